"""Postgres is restored from a backup that is older than the group's progress; locks; a frozen loop.

A backup is a copy of the database, as `CREATE DATABASE ... TEMPLATE` makes it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from mixed_letters import Mixed, mixed_letters, produce
from psycopg.conninfo import conninfo_to_dict
from service_runs import running, until
from stage import wait_for_leaders

from kite_bars_store.database import connect
from kite_bars_store.failures import FailureStore, Selection
from kite_dead_letters import service as services
from kite_dead_letters.intake import IntakeCounters
from kite_dead_letters.service import IntakeService
from kite_devstack.databases import database
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.settings import KafkaSettings
from kite_runtime import health

LETTERS = list(mixed_letters(11, 60))
PARTITIONS = 2
Place = tuple[int, int]


@dataclass
class Stage:
    """One topic, its group, and a database with its backups."""

    bootstrap: str
    server: str
    dsn: str
    topic: str
    opened: ExitStack = field(default_factory=ExitStack)

    def service(self, **options: Any) -> IntakeService:
        values: dict[str, Any] = {"group": self.topic, "once": True, **options}
        return IntakeService(
            KafkaSettings(bootstrap=self.bootstrap), self.dsn, [self.topic], **values
        )

    def consume(self, letters: list[Mixed]) -> IntakeCounters:
        """These come into the topic and are stored, with all that was there before."""
        produce(self.bootstrap, self.topic, letters)
        return self.service().run()

    def backup(self) -> str:
        """A copy of the database as it is now."""
        return self.opened.enter_context(
            database(self.server, str(conninfo_to_dict(self.dsn)["dbname"]))
        )

    def places(self) -> list[Place]:
        """What is stored of the topic."""
        with closing(connect(self.dsn, application_name="tests")) as connection:
            rows = FailureStore(connection).summaries(Selection(topic=self.topic), limit=100_000)
        return sorted((each.partition, each.offset) for each in rows)

    def in_kafka(self) -> list[Place]:
        settings = KafkaSettings(bootstrap=self.bootstrap)
        found: list[RawRecord] = []
        with RawReader(settings, [self.topic]) as reader:
            while not reader.finished:
                found += reader.read(1.0)
        return sorted((each.partition, each.offset) for each in found)

    def recreate(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.delete_topics([self.topic])[self.topic].result(timeout=30)
        new = NewTopic(self.topic, PARTITIONS, replication_factor=-1)
        admin.create_topics([new])[self.topic].result(timeout=30)
        wait_for_leaders(admin, [self.topic])

    def delete_before(self, offset: int) -> None:
        """Have Kafka remove the records of each partition below ``offset``, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        asked = [TopicPartition(self.topic, number, offset) for number in range(PARTITIONS)]
        for answer in admin.delete_records(asked).values():
            answer.result(timeout=30)


@pytest.fixture()
def stage(
    kafka_bootstrap: str, postgres_server: str, migrated_dsn: str, make_topic: Callable[..., str]
) -> Iterator[Stage]:
    made = Stage(kafka_bootstrap, postgres_server, migrated_dsn, make_topic(PARTITIONS))
    with made.opened:
        yield made


@pytest.mark.parametrize("before", [0, 20])
@pytest.mark.parametrize("once", [True, False])
def test_letters_between_the_backup_and_the_groups_progress_are_read_again(
    stage: Stage, before: int, once: bool
) -> None:
    if before:
        assert stage.consume(LETTERS[:before]).stored == before
    backup = stage.backup()
    assert stage.consume(LETTERS[before:]).stored == len(LETTERS) - before
    stage.dsn = backup
    restored = stage.service(once=once)
    if once:
        restored.run()
    else:
        with running(restored):
            until(lambda: restored.counters.stored == len(LETTERS) - before, restored)
    assert restored.counters.stored == len(LETTERS) - before
    assert restored.counters.missing == 0
    assert stage.places() == stage.in_kafka()
    assert stage.consume(LETTERS[:3]).consumed == 3, "and only once again"


def test_a_restored_database_while_others_of_the_group_go_on(stage: Stage) -> None:
    backup = stage.backup()
    with running(stage.service(once=False)) as other:
        produce(stage.bootstrap, stage.topic, LETTERS)
        until(lambda: other.counters.stored == len(LETTERS), other)
        stage.dsn = backup
        assert stage.service(once=False).group == other.group
        with running(stage.service(once=False)) as restored:
            until(lambda: restored.counters.stored == len(LETTERS), restored)
    assert stage.places() == stage.in_kafka()


def test_what_kafka_no_longer_has_is_counted_and_reported(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(services.log, "error", lambda event, **more: reported.append(more))
    stage.consume(LETTERS[:20])
    in_backup = stage.places()
    backup = stage.backup()
    stage.consume(LETTERS[20:])
    wanted = {
        number: sum(place[0] == number for place in in_backup) for number in range(PARTITIONS)
    }
    left_from = max(wanted.values()) + 3
    stage.delete_before(left_from)
    stage.dsn = backup
    done = stage.service().run()
    assert done.missing == sum(left_from - stored for stored in wanted.values())
    assert stage.places() == sorted(in_backup + stage.in_kafka())
    assert [(each["first_offset"], each["last_offset"]) for each in reported] == [
        (wanted[number], left_from - 1) for number in range(PARTITIONS)
    ]
    assert stage.service().run().missing == 0, "what comes behind it is stored"


def test_letters_that_kafka_removed_while_nobody_consumed_are_reported(stage: Stage) -> None:
    stage.consume(LETTERS[:20])
    produce(stage.bootstrap, stage.topic, LETTERS[20:])
    before = stage.places()
    stage.delete_before(-1)  # up to the end
    done = stage.service().run()
    assert done.missing == len(LETTERS) - 20
    assert stage.places() == before


def test_a_first_start_behind_what_kafka_removed_misses_nothing(stage: Stage) -> None:
    produce(stage.bootstrap, stage.topic, LETTERS)
    stage.delete_before(5)
    done = stage.service().run()
    assert (done.missing, done.stored) == (0, len(LETTERS) - 5 * PARTITIONS)


@pytest.mark.parametrize("count", [5, 60])
def test_a_recreated_topic_is_read_from_its_beginning_whatever_the_group_has(
    stage: Stage, count: int
) -> None:
    stage.consume(LETTERS[:30])
    old = stage.places()
    stage.recreate()
    done = stage.consume(LETTERS[:count])
    assert (done.stored, done.missing) == (count, 0)
    assert stage.places() == sorted(old + stage.in_kafka())


@contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Another session holds the table, as a migration or a VACUUM FULL does."""
    with closing(connect(dsn, application_name="tests", autocommit=False)) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


@pytest.mark.parametrize("table", ["dlq_failure", "dlq_state", "dlq_group"])
def test_behind_a_lock_it_is_not_ready_names_it_and_goes_on_afterwards(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(services, "LOCK_S", 1)
    with running(stage.service(once=False)) as service:
        until(lambda: service.counters.problems() == [], service)
        with locked(stage.dsn, table):
            produce(stage.bootstrap, stage.topic, LETTERS)
            until(lambda: service.counters.db_errors >= 1, service)
            seen: set[str] = set()

            def tried_again() -> bool:
                seen.update(service.counters.problems() or ["ready"])
                return service.counters.db_errors >= 3

            until(tried_again, service)
            assert "ready" not in seen
            assert all("holds a lock" in each for each in seen), seen
        until(lambda: service.counters.stored == len(LETTERS), service)
        assert service.counters.problems() == []


def test_a_stop_behind_a_lock_ends_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "LOCK_S", 1)
    with ExitStack() as held:
        with running(stage.service(once=False)) as service:
            until(lambda: service.counters.problems() == [], service)
            held.enter_context(locked(stage.dsn, "dlq_failure"))
            produce(stage.bootstrap, stage.topic, LETTERS)
            until(lambda: service.counters.db_errors >= 1, service)
        assert service.counters.stored == 0
    assert stage.service().run().stored == len(LETTERS), "nothing was committed"


def test_a_stop_before_a_suspended_postgres_ends_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend of the connection is suspended: it answers nothing, also no cancel."""
    monkeypatch.setattr(services, "LET_GO_S", 0.2)
    asked, suspended = threading.Event(), 0

    def watched(name: str) -> Callable[..., object]:
        method = getattr(FailureStore, name)

        def call(*given: object) -> object:
            asked.set()
            return method(*given)

        return call

    for name in ("record", "overview"):
        monkeypatch.setattr(FailureStore, name, watched(name))
    try:
        with running(stage.service(once=False)) as service:
            until(lambda: service.counters.problems() == [], service)
            suspended = backend_of(stage.dsn)
            os.kill(suspended, signal.SIGSTOP)
            asked.clear()
            produce(stage.bootstrap, stage.topic, LETTERS)
            until(asked.is_set, service)
        assert service.counters.stored == 0
    finally:
        if suspended:
            os.kill(suspended, signal.SIGCONT)
    assert stage.service().run().stored == len(LETTERS), "nothing was committed"


def backend_of(dsn: str) -> int:
    """The process that serves `consume` in this database."""
    query = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE application_name = %s AND datname = current_database()"
    )
    with closing(connect(dsn, application_name="tests")) as other:
        [[pid]] = other.execute(query, [services.APPLICATION]).fetchall()
    return int(pid)


def test_a_frozen_loop_has_no_pulse_and_one_that_waits_for_postgres_has(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FROZEN_S", 0.5)
    read, thaw, frozen = RawReader.read, threading.Event(), threading.Event()
    freezing = threading.Event()

    def read_or_freeze(self: RawReader, timeout_s: float) -> list[RawRecord]:
        if freezing.is_set():
            frozen.set()
            thaw.wait(30)
        return read(self, timeout_s)

    monkeypatch.setattr(RawReader, "read", read_or_freeze)
    with running(stage.service(once=False)) as service:
        until(lambda: service.counters.problems() == [], service)
        assert service.pulse.is_felt()
        freezing.set()
        assert frozen.wait(30)
        until(lambda: not service.pulse.is_felt(), service)
        freezing.clear()
        thaw.set()
        until(service.pulse.is_felt, service)
    away = stage.service(once=False)
    away.dsn = "postgresql://127.0.0.1:9/kite"
    felt: set[bool] = set()
    with running(away):

        def tried() -> bool:
            felt.add(away.pulse.is_felt())
            return away.counters.db_errors >= 3

        until(tried, away)
    assert felt == {True}
