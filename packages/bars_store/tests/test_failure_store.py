"""Dead letters in Postgres: stored once, listed, decided about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from letters import TOPIC, letter

from kite_bars_store.database import Connection, connect
from kite_bars_store.errors import NotMigrated
from kite_bars_store.failures import (
    Decided,
    Decision,
    FailureStore,
    GroupFilter,
    Selection,
    Status,
    Stored,
)
from kite_contracts.migrations import runner


@pytest.fixture()
def failures(connection: Connection) -> FailureStore:
    return FailureStore(connection)


def ids(failures: FailureStore, **chosen: object) -> list[int]:
    return [each.failure_id for each in failures.summaries(Selection(**chosen))]  # type: ignore[arg-type]


def test_a_record_is_stored_once_by_topic_partition_and_offset(failures: FailureStore) -> None:
    first = [letter(0), letter(1), letter(1, partition=1)]
    assert failures.record(first) == Stored(3, 0)
    assert failures.record([*first, letter(2), letter(2)]) == Stored(1, 4)
    assert failures.record([]) == Stored(0, 0)
    assert failures.count(Selection()) == 4


def test_the_next_offset_is_behind_the_last_record_of_the_topic_with_this_id(
    failures: FailureStore,
) -> None:
    old, new = uuid4(), uuid4()
    failures.record([letter(offset, topic_id=old) for offset in (9, 3)])
    failures.record([letter(4, topic_id=new), letter(2, partition=1, topic_id=new)])
    places = [(TOPIC, 0), (TOPIC, 1), (TOPIC, 2), ("other", 0)]
    found = [failures.next_offsets({TOPIC: each, "other": new}, places) for each in (old, new)]
    assert found == [{(TOPIC, 0): 10}, {(TOPIC, 0): 5, (TOPIC, 1): 3}]
    assert failures.next_offsets({TOPIC: uuid4()}, [(TOPIC, 0)]) == {}
    assert failures.next_offsets({}, []) == {}


def test_a_topic_that_was_made_anew_has_other_records_at_the_same_offsets(
    failures: FailureStore,
) -> None:
    old, new = uuid4(), uuid4()
    assert failures.record([letter(7, topic_id=old, value=b"old")]).stored == 1
    assert failures.record([letter(7, topic_id=new, value=b"new")]).stored == 1
    newest, oldest = failures.find(TOPIC, 0, 7)
    found = failures.failure(newest)
    assert found is not None
    assert found.record.value == b"new"
    assert failures.neighbours(newest) == [] == failures.neighbours(oldest)


@pytest.mark.parametrize(
    "odd",
    [
        letter(value=None, key=None, headers=[]),
        letter(
            value=b"", key=b"", headers=[(b"", b""), (b"a", None), (b"a", b"\xff"), (b"\0", b"")]
        ),
        letter(value=bytes(900_000), ts_ns=None, first_failure_ns=2**63 - 1),
        letter(
            problems=("header dlq.attempt is malformed: b'\\xff'",),
            error_path="/depth/0",
            component="sink",
        ),
    ],
    ids=["nothing", "bytes", "large", "problems"],
)
def test_what_comes_back_is_what_was_stored(failures: FailureStore, odd: object) -> None:
    failures.record([odd])  # type: ignore[list-item]
    [found] = failures.page(Selection())
    assert found.record == odd
    assert (found.status, found.assignee) == (Status.OPEN, "")


def test_what_postgres_cannot_hold_is_left_out_and_never_fails(failures: FailureStore) -> None:
    failures.record(
        [
            letter(
                message="a\0b\ud800c" + "x" * 5000,
                origin_topic="t\0",
                origin_offset=2**63,
                feed_seq=-(2**63) - 1,
                ts_ns=2**70,
                attempt=2**80,
            )
        ]
    )
    [found] = failures.page(Selection())
    assert found.record.message.startswith("a\ufffdb?cxxx")
    assert len(found.record.message) == 4096
    assert found.record.origin_topic == "t\ufffd"
    assert (found.record.origin_offset, found.record.feed_seq) == (None, None)
    assert found.record.attempt == 2**63 - 1
    assert found.record.ts_ns is None
    assert found.seen_at == found.stored_at


def test_a_time_in_the_future_does_not_become_the_last_seen(failures: FailureStore) -> None:
    far = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    failures.record([letter(0, ts_ns=far), letter(1, ts_ns=-5), letter(2)])
    [group] = failures.groups()
    assert group.last_seen < datetime.now(UTC) + timedelta(minutes=1)
    assert group.first_seen == datetime.fromtimestamp(1_790_000_002, UTC)


def test_groups_count_by_status_and_can_be_filtered(failures: FailureStore) -> None:
    failures.record([letter(0), letter(1, topic="bars.dlq"), letter(2)])
    failures.record([letter(3, fingerprint="b" * 16, reason="TOO_LARGE", origin_topic=None)])
    big, small = failures.groups()
    assert (big.total, big.open, big.reason) == (3, 3, "SEMANTIC_RANGE")
    assert big.topics == ("bars.dlq", "ticks.dlq")
    assert small.origin_topic is None
    assert failures.group("b" * 16) == small
    assert failures.group("nothing") is None
    failures.decide(Selection(fingerprint="b" * 16), Decision.RESOLVE, "me")
    at = datetime.fromtimestamp(1_790_000_002, UTC)

    def found(**chosen: object) -> list[str]:
        return [each.fingerprint[0] for each in failures.groups(GroupFilter(**chosen))]  # type: ignore[arg-type]

    assert found() == ["f", "b"]
    assert found(status=Status.OPEN) == ["f"]
    assert found(status=Status.RESOLVED, reason="TOO_LARGE") == ["b"]
    assert found(status=Status.IGNORED) == found(reason="AUTH") == []
    assert found(topic="bars.dlq") == ["f"]
    assert found(since=at) == ["f", "b"]
    assert found(since=at + timedelta(seconds=1)) == ["b"]
    assert found(until=at) == ["f"]


def test_each_decision_is_an_event_and_the_same_again_does_nothing(failures: FailureStore) -> None:
    failures.record([letter(offset) for offset in range(3)])
    one, two, three = ids(failures)
    chosen = Selection(ids=(one, two, 999))
    assert failures.decide(chosen, Decision.ASSIGN, "ann", assignee="bob") == Decided(2, 0)
    assert failures.decide(chosen, Decision.RESOLVE, "bob", "fixed in 1.2") == Decided(2, 0)
    assert failures.decide(chosen, Decision.RESOLVE, "bob") == Decided(0, 2)
    assert failures.decide(Selection(), Decision.IGNORE, "bob") == Decided(3, 0)
    assert failures.decide(Selection(ids=(one,)), Decision.REOPEN, "ann", "again") == Decided(1, 0)
    assert failures.decide(Selection(ids=(one,)), Decision.NOTE, "ann", "hm") == Decided(1, 0)
    assert [(event.kind, event.who, event.note) for event in failures.history(one)] == [
        ("assign", "ann", ""),
        ("resolve", "bob", "fixed in 1.2"),
        ("ignore", "bob", ""),
        ("reopen", "ann", "again"),
        ("note", "ann", "hm"),
    ]
    states = {each.failure_id: (each.status, each.assignee) for each in failures.page(Selection())}
    assert states == {
        one: (Status.OPEN, "bob"),
        two: (Status.IGNORED, "bob"),
        three: (Status.IGNORED, ""),
    }
    [group] = failures.groups()
    assert (group.open, group.ignored, group.resolved, group.assignees) == (1, 2, 0, ("bob",))
    assert failures.decide(Selection(ids=(one,)), Decision.ASSIGN, "ann", assignee="").changed == 1
    assert failures.group(group.fingerprint).assignees == ("bob",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("decision", "who", "assignee"),
    [
        (Decision.ASSIGN, "me", None),
        (Decision.ASSIGN, "me", "x" * 201),
        (Decision.RESOLVE, "me", "you"),
        (Decision.RESOLVE, "", None),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(
    failures: FailureStore, decision: Decision, who: str, assignee: str | None
) -> None:
    with pytest.raises(ValueError, match="decision"):
        failures.decide(Selection(), decision, who, assignee=assignee)


def test_a_selection_fits_every_condition(failures: FailureStore) -> None:
    failures.record([letter(0), letter(1, reason="AUTH"), letter(2, topic="z.dlq")])
    one, two, three = ids(failures)
    at = datetime.fromtimestamp(1_790_000_001, UTC)
    assert ids(failures, reasons=("AUTH",)) == [two]
    assert ids(failures, reasons=("AUTH", "SEMANTIC_RANGE")) == [one, two, three]
    assert ids(failures, reasons=("TOO_LARGE",)) == []
    assert ids(failures, topic="z.dlq") == [three]
    assert ids(failures, since=at) == [two, three]
    assert ids(failures, until=at) == [one]
    assert ids(failures, up_to=two) == [one, two]
    assert ids(failures, ids=(three, one), reasons=("AUTH",)) == []
    assert ids(failures, ids=()) == []
    assert failures.last_id() == three


def test_pages_are_bounded_by_bytes_and_never_empty_before_the_end(failures: FailureStore) -> None:
    failures.record([letter(offset, value=bytes(1000)) for offset in range(7)])
    seen: list[int] = []
    sizes: list[int] = []
    while page := failures.page(Selection(), after=seen[-1] if seen else 0, bytes_max=2500):
        seen += [each.failure_id for each in page]
        sizes.append(len(page))
    assert seen == ids(failures)
    assert sizes == [3, 3, 1]
    assert len(failures.page(Selection(), bytes_max=1)) == 1
    assert len(failures.page(Selection(), limit=2)) == 2


def test_neighbours_lie_around_it_in_its_partition(failures: FailureStore) -> None:
    failures.record([letter(offset) for offset in (1, 4, 5, 9, 12)])
    failures.record([letter(6, partition=1)])
    [here] = failures.find(TOPIC, 0, 5)
    assert [each.offset for each in failures.neighbours(here)] == [1, 4, 9, 12]
    assert [each.offset for each in failures.neighbours(here, count=1)] == [4, 9]


def test_the_overview_counts_and_knows_the_oldest(failures: FailureStore) -> None:
    empty = failures.overview()
    assert (empty.total, empty.oldest_open, dict(empty.open_by_reason)) == (0, None, {})
    failures.record([letter(0), letter(1), letter(2, reason="AUTH", fingerprint="a")])
    failures.decide(Selection(ids=(ids(failures)[0],)), Decision.RESOLVE, "me")
    found = failures.overview()
    assert found.total == 3
    assert found.by_status[Status.OPEN] == 2
    assert found.open_by_reason == {"AUTH": 1, "SEMANTIC_RANGE": 1}
    assert found.oldest_open == datetime.fromtimestamp(1_790_000_001, UTC)
    later = found.oldest_open + timedelta(hours=2)
    assert found.oldest_open_age(later) == timedelta(hours=2)


def test_the_migration_is_asked_for(fresh_dsn: str, connection: Connection) -> None:
    FailureStore(connection).check()
    runner.upgrade(fresh_dsn, "0001")
    with connect(fresh_dsn, application_name="tests") as old, pytest.raises(NotMigrated):
        FailureStore(old).check()
