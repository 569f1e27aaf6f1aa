"""Servers of their own that are killed on the way: nothing is lost, nothing is there twice."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from letters_proof import Proof
from mixed_letters import mixed_letters, produce
from service_runs import running, until
from stage import wait_for_leaders

from kite_bars_store.database import connect
from kite_bars_store.failures import FailureStore, Selection
from kite_contracts.migrations import runner
from kite_dead_letters import dump as dumping
from kite_dead_letters import service as services
from kite_dead_letters.dump import DumpFile
from kite_dead_letters.service import IntakeService
from kite_devstack.databases import database
from kite_devstack.kafka import KafkaServer, private_kafka
from kite_devstack.postgres import PostgresServer, private_postgres
from kite_dlq_triage.cli import main
from kite_kafka_io import raw_reader
from kite_kafka_io.settings import KafkaSettings
from kite_runtime import logs

COUNT = 600
TOPIC = "x.dead"
DUMPED = "dumped.dead"
DUMPED_COUNT = 8_000
Servers = tuple[KafkaServer, PostgresServer]


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("kafka")
    with private_kafka(folder, os.environ) as kafka, private_postgres() as postgres:
        yield kafka, postgres


def test_broker_and_database_are_killed_on_the_way(
    own_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "BACKOFF_MAX_S", 1.0)
    with database(own_servers[1].dsn) as dsn:
        runner.upgrade(dsn)
        through_kills(*own_servers, dsn)


def through_kills(kafka: KafkaServer, postgres: PostgresServer, dsn: str) -> None:
    settings = KafkaSettings(bootstrap=kafka.bootstrap)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(TOPIC, 2, replication_factor=-1)])[TOPIC].result(timeout=30)
    wait_for_leaders(admin, [TOPIC])
    letters = list(mixed_letters(7, 4 * COUNT))
    service = IntakeService(settings, dsn, [TOPIC])
    sent = 0
    with running(service):
        for kill in (postgres, kafka, postgres, None):
            sent += produce(kafka.bootstrap, TOPIC, letters[sent : sent + COUNT])
            if kill is None:
                break
            until(lambda: service.counters.consumed > 0, service)
            kill.kill()
            if kill is postgres:
                before = service.counters.db_errors
                sent += produce(kafka.bootstrap, TOPIC, letters[sent : sent + 50])
                until(lambda n=before: service.counters.db_errors > n, service)  # type: ignore[misc]
                assert service.counters.problems()
            kill.start()
        until(lambda: service.counters.stored == sent, service)
    counters = service.counters
    assert counters.refused == 0
    assert counters.stored + counters.already_there == counters.consumed
    with closing(connect(dsn, application_name="tests")) as connection:
        rows = FailureStore(connection).summaries(Selection(topic=TOPIC), limit=100_000)
    places = {(each.partition, each.offset) for each in rows}
    assert len(places) == len(rows) == sent


@pytest.fixture(scope="module")
def dumped(own_servers: Servers) -> str:
    kafka = own_servers[0]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(DUMPED, 2, replication_factor=-1)])[DUMPED].result(timeout=30)
    wait_for_leaders(admin, [DUMPED])
    produce(kafka.bootstrap, DUMPED, mixed_letters(8, DUMPED_COUNT))
    return DUMPED


@pytest.mark.parametrize("fault", ["kill", "suspend"])
def test_the_broker_goes_while_a_dump_runs(
    own_servers: Servers,
    dumped: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    fault: str,
) -> None:
    """It ends with one sentence, and the next dump is whole."""
    kafka = own_servers[0]
    monkeypatch.setattr(dumping, "SILENCE_S", 2.0)
    # The log is the whole process's, and would stay with this test's standard error.
    monkeypatch.setattr(logs, "configure_logs", lambda quiet: None)
    # Most of the topic is still the broker's when the first lines are written.
    monkeypatch.setattr(raw_reader, "PREFETCH_KIB", 256)
    monkeypatch.setattr(raw_reader, "FETCH_BYTES", 64 * 1024)
    out = tmp_path / "out.jsonl"
    asked = ("--topic", dumped, "--dump", str(out), "--bootstrap", kafka.bootstrap)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(DumpFile, "write", once(getattr(kafka, fault)))
            assert dump(asked, monkeypatch) == 75
    finally:
        kafka.start() if fault == "kill" else kafka.resume()
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("dlq_triage: Kafka has sent nothing for 2 s"), said
    assert not out.exists()
    found = places(tmp_path / "out.jsonl.part")
    assert 0 < len(found) < DUMPED_COUNT
    assert max(found.values()) == 1
    assert dump(asked, monkeypatch) == 3
    assert list(places(out).values()) == [1] * DUMPED_COUNT


def once(fault: Callable[[], None]) -> Callable[[DumpFile, Sequence[bytes]], None]:
    """``DumpFile.write``, and the fault behind the first lines."""
    write, waiting = DumpFile.write, [fault]

    def call(file: DumpFile, lines: Sequence[bytes]) -> None:
        write(file, lines)
        if waiting:
            waiting.pop()()

    return call


def dump(asked: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The exit code of the program."""
    monkeypatch.setattr(sys, "argv", ["dlq_triage", "dump", *asked])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def places(path: Path) -> Counter[tuple[int, int]]:
    """How often each record is in the file."""
    lines = map(orjson.loads, path.read_bytes().splitlines())
    return Counter((line["partition"], line["offset"]) for line in lines)


def test_the_proof_in_small(own_servers: Servers) -> None:
    kafka, postgres = own_servers
    proof = Proof(kafka, postgres, 2_600, large_every=500, kill_kafka=False, deadline_s=120.0)
    ledger = proof.run()
    assert ledger.faults == []
    assert ledger.counts["produced"] == ledger.counts["stored"] == 2_600
    assert ledger.counts["redriven"] > 500
