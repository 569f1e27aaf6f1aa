"""Dead letters from the real Kafka into the real Postgres, once each, through kills."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from mixed_letters import mixed_letters, produce
from service_runs import running, until
from stage import wait_for_leaders

from kite_bars_store.database import connect
from kite_bars_store.errors import DatabaseUnreachable, NotMigrated, StatementFailed
from kite_bars_store.failures import FailureStore, Selection, Stored
from kite_dead_letters.intake import IntakeCounters, IntakeMetrics
from kite_dead_letters.service import IntakeService
from kite_kafka_io.errors import BrokerUnreachable, UnknownTopic
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import EXIT_TRY_LATER, exit_code_of

COUNT = 600
DEADLINE_S = 90.0
Make = Callable[..., IntakeService]


@pytest.fixture()
def make(kafka_bootstrap: str, migrated_dsn: str) -> Make:
    def service(*topics: str, **options: Any) -> IntakeService:
        values: dict[str, Any] = {"group": topics[0], "once": True, **options}
        return IntakeService(
            KafkaSettings(bootstrap=kafka_bootstrap), migrated_dsn, list(topics), **values
        )

    return service


def stored(dsn: str) -> list[tuple[str, int, int]]:
    with closing(connect(dsn, application_name="tests")) as connection:
        rows = FailureStore(connection).summaries(Selection(), limit=100_000)
    return sorted((each.topic, each.partition, each.offset) for each in rows)


def test_every_letter_is_stored_once_with_the_reason_intended(
    make: Make, make_topic: Callable[..., str], migrated_dsn: str, kafka_bootstrap: str
) -> None:
    topic, other = make_topic(2), make_topic(1)
    letters = list(mixed_letters(5, COUNT, large_every=200))
    assert produce(kafka_bootstrap, topic, letters) == COUNT
    assert produce(kafka_bootstrap, other, letters[:10]) == 10
    done = make(topic, other).run()
    assert (done.consumed, done.stored, done.refused) == (COUNT + 10, COUNT + 10, 0)
    assert make(topic, other).run().consumed == 0
    again = make(topic, other, group="another").run()
    assert (again.stored, again.already_there) == (0, COUNT + 10)
    assert len(stored(migrated_dsn)) == COUNT + 10
    with closing(connect(migrated_dsn, application_name="tests")) as connection:
        found = FailureStore(connection).page(Selection(topic=other))
        overview = FailureStore(connection).overview()
    assert [each.record.reason for each in found] == [str(each.intended) for each in letters[:10]]
    assert [each.record.value for each in found] == [each.value for each in letters[:10]]
    expected = {str(reason) for reason in {each.intended for each in letters}}
    assert set(overview.open_by_reason) == expected


def test_the_metrics_and_readiness_tell_of_it(
    make: Make, make_topic: Callable[..., str], kafka_bootstrap: str
) -> None:
    topic = make_topic()
    produce(kafka_bootstrap, topic, list(mixed_letters(1, 30)))
    counters = IntakeCounters()
    assert counters.problems() == ["not connected yet"]
    make(topic, counters=counters).run()
    assert counters.problems() == []
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in IntakeMetrics(counters, lambda: time.time() + 60).collect()
        for sample in metric.samples
    }
    assert values[("dlq_triage_consumed_total",)] == values[("dlq_triage_stored_total",)] == 30
    assert values[("dlq_triage_failures", "open")] == 30
    assert values[("dlq_triage_lag",)] == 0
    assert 60 <= values[("dlq_triage_oldest_open_seconds",)] < 600
    by_reason = {name[1]: n for name, n in values.items() if "by_reason" in name[0]}
    assert sum(by_reason.values()) == 30


def test_a_topic_made_anew_is_told_apart_while_the_service_runs(
    make: Make, make_topic: Callable[..., str], migrated_dsn: str, kafka_bootstrap: str
) -> None:
    topic = make_topic()
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    letters = list(mixed_letters(2, 5))
    produce(kafka_bootstrap, topic, letters)
    with running(make(topic, once=False, look_every_s=0.2)) as service:
        until(lambda: service.counters.stored == 5, service)
        admin.delete_topics([topic])[topic].result(timeout=30)
        admin.create_topics([NewTopic(topic, 1, replication_factor=-1)])[topic].result(timeout=30)
        wait_for_leaders(admin, [topic])
        produce(kafka_bootstrap, topic, letters)
        until(lambda: service.counters.stored == 10, service)
    assert stored(migrated_dsn) == sorted([(topic, 0, n) for n in range(5)] * 2)


def test_topics_that_come_later_are_found(
    make: Make, make_topic: Callable[..., str], kafka_bootstrap: str
) -> None:
    first = make_topic()
    pattern = f"{first[:-1]}*.dlq"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    name = f"{first[:-1]}x.dlq"
    with running(make(first, pattern, once=False, look_every_s=0.2)) as service:
        until(lambda: service.counters.trouble is None, service)
        admin.create_topics([NewTopic(name, 1, replication_factor=-1)])[name].result(timeout=30)
        try:
            wait_for_leaders(admin, [name])
            produce(kafka_bootstrap, name, list(mixed_letters(2, 7)))
            until(lambda: service.counters.stored == 7, service)
        finally:
            admin.delete_topics([name])[name].result(timeout=30)


def test_a_record_that_postgres_does_not_take_leaves_its_place(
    make: Make,
    make_topic: Callable[..., str],
    migrated_dsn: str,
    kafka_bootstrap: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = make_topic()
    produce(kafka_bootstrap, topic, list(mixed_letters(3, 20)))
    record = FailureStore.record

    def refuse_one(self: FailureStore, records: Any) -> Stored:
        given = list(records)
        if any(each.offset == 13 and each.headers for each in given):
            raise StatementFailed("Postgres failed at storing dead letters: no such thing.")
        return record(self, given)

    monkeypatch.setattr(FailureStore, "record", refuse_one)
    done = make(topic).run()
    assert (done.consumed, done.stored, done.refused) == (20, 19, 1)
    monkeypatch.undo()
    with closing(connect(migrated_dsn, application_name="tests")) as connection:
        store = FailureStore(connection)
        left = store.failure(store.find(topic, 0, 13)[0])
    assert left is not None
    assert left.record.value is None
    assert left.record.problems == ("Postgres failed at storing dead letters: no such thing.",)


def test_what_a_person_must_correct_is_raised(make: Make, fresh_dsn: str, make_topic: Any) -> None:
    with pytest.raises(UnknownTopic):
        make("nowhere.dlq", once=False).run()
    unmigrated = make(make_topic(), once=False)
    unmigrated.dsn = fresh_dsn
    with pytest.raises(NotMigrated):
        unmigrated.run()


def test_what_is_away_at_the_beginning_is_said_at_once(make: Make) -> None:
    away = make("x.dlq")
    away.dsn = "postgresql://127.0.0.1:9/kite"
    with pytest.raises(DatabaseUnreachable) as raised:
        away.run()
    assert exit_code_of(raised.value) == EXIT_TRY_LATER
    away = make("x.dlq")
    away.kafka = KafkaSettings(bootstrap="127.0.0.1:9")
    with pytest.raises(BrokerUnreachable) as unreachable:
        away.run()
    assert exit_code_of(unreachable.value) == EXIT_TRY_LATER
