"""Servers of their own that are killed on the way: nothing is lost, nothing is there twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from letters_proof import Proof
from mixed_letters import mixed_letters, produce
from service_runs import running, until
from stage import wait_for_leaders

from bars_store.database import connect
from bars_store.failures import FailureStore, Selection
from contracts.migrations import runner
from devstack.databases import database
from devstack.kafka import KafkaServer, private_kafka
from devstack.postgres import PostgresServer, private_postgres
from dlq_triage import service as services
from dlq_triage.service import IntakeService
from kafka_io.settings import KafkaSettings

COUNT = 600
TOPIC = "x.dead"
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


def test_the_proof_in_small(own_servers: Servers) -> None:
    kafka, postgres = own_servers
    proof = Proof(kafka, postgres, 2_600, large_every=500, kill_kafka=False, deadline_s=120.0)
    ledger = proof.run()
    assert ledger.faults == []
    assert ledger.counts["produced"] == ledger.counts["stored"] == 2_600
    assert ledger.counts["redriven"] > 500
