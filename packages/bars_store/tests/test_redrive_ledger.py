"""The ledger: nothing is reserved or settled twice, and what is in doubt comes again."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from letters import letter

from kite_bars_store.database import Connection, connect
from kite_bars_store.failures import (
    Decision,
    Entry,
    FailureStore,
    Outcome,
    RedriveLedger,
    Run,
    Selection,
    Status,
)
from kite_bars_store.failures.ledger import redrive_id


@pytest.fixture()
def failures(connection: Connection) -> FailureStore:
    store = FailureStore(connection)
    store.record([letter(offset) for offset in range(4)])
    return store


@pytest.fixture()
def ledger(connection: Connection) -> RedriveLedger:
    return RedriveLedger(connection)


def entry(run: Run, failure_id: int, position: int, **fields: Any) -> Entry:
    values: dict[str, Any] = {
        "redrive_id": redrive_id("t", uuid4(), 0, failure_id, 2),
        "failure_id": failure_id,
        "run_id": run.run_id,
        "position": position,
        "attempt": 2,
        "kind": "redriven",
        "target": "ticks",
        "key": None,
        "value": b"\x00value",
        "headers": [(b"dlq.attempt", b"2"), (b"own", None)],
    }
    return Entry(**{**values, **fields})


def ids(failures: FailureStore) -> list[int]:
    return [each.failure_id for each in failures.summaries(Selection())]


def test_the_id_of_a_redrive_depends_on_all_that_tells_it_apart() -> None:
    topic_id = uuid4()
    first = redrive_id("t", topic_id, 1, 2, 3)
    assert first == redrive_id("t", topic_id, 1, 2, 3)
    others = [
        redrive_id("u", topic_id, 1, 2, 3),
        redrive_id("t", uuid4(), 1, 2, 3),
        redrive_id("t", topic_id, 0, 2, 3),
        redrive_id("t", topic_id, 1, 0, 3),
        redrive_id("t", topic_id, 1, 2, 4),
    ]
    assert len({first, *others}) == 6


def test_runs_have_feed_sessions_of_their_own_that_no_feed_has(ledger: RedriveLedger) -> None:
    sessions = [ledger.begin("me", {}).feed_session for _ in range(5)]
    assert sorted(set(sessions)) == sessions
    assert {session & 15 for session in sessions} == {15}


def test_what_is_reserved_comes_again_byte_for_byte_until_it_is_settled(
    failures: FailureStore, ledger: RedriveLedger
) -> None:
    one, two, three, _ = ids(failures)
    run = ledger.begin("ann", {"ids": [one]}, transform="set /a", transform_sha256=bytes(32))
    lines = [entry(run, two, 2), entry(run, one, 1), entry(run, three, 3, kind="quarantined")]
    assert ledger.reserve(lines) == {line.redrive_id for line in lines}
    assert ledger.count_reserved() == 3
    in_order = [lines[1], lines[0], lines[2]]
    assert ledger.reserved() == in_order
    assert ledger.reserved(lines[1]) == in_order[1:]
    assert ledger.reserved(bytes_max=1) == in_order[:1]
    produced = [lines[0].redrive_id, lines[2].redrive_id]
    outcome = Outcome(produced, {lines[1].redrive_id: "the broker refuses it"})
    assert ledger.settle(outcome, "ann") == 3
    assert ledger.reserved() == []
    states = [each.status for each in failures.page(Selection())]
    assert states == [Status.OPEN, Status.REDRIVEN, Status.QUARANTINED, Status.OPEN]
    assert [(each.kind, each.note) for each in failures.history(one)] == [
        ("refused", "the broker refuses it")
    ]
    [event] = failures.history(two)
    assert (event.kind, event.note, event.redrive_id) == (
        "redriven",
        "into ticks",
        lines[0].redrive_id,
    )
    [line] = ledger.lines(two)
    assert (line.status, line.who, line.transform) == ("produced", "ann", "set /a")
    assert ledger.times_sent(ids(failures)) == {one: 1, two: 1, three: 1}
    assert failures.groups()[0].open == 2


def test_settling_twice_has_no_second_effect(failures: FailureStore, ledger: RedriveLedger) -> None:
    one = ids(failures)[0]
    line = entry(ledger.begin("me", {}), one, 1)
    ledger.reserve([line])
    outcome = Outcome([line.redrive_id])
    assert [ledger.settle(outcome, "me"), ledger.settle(outcome, "me")] == [1, 0]
    assert len(failures.history(one)) == 1


def test_only_one_line_of_a_failure_is_open_and_only_open_failures_have_one(
    failures: FailureStore, ledger: RedriveLedger
) -> None:
    one, two, *_ = ids(failures)
    failures.decide(Selection(ids=(two,)), Decision.RESOLVE, "me")
    run = ledger.begin("me", {})
    first = entry(run, one, 1)
    assert ledger.reserve([first, entry(run, two, 2)]) == {first.redrive_id}
    assert ledger.reserve([entry(ledger.begin("you", {}), one, 1)]) == set()
    ledger.settle(Outcome([first.redrive_id]), "me")
    failures.decide(Selection(ids=(one,)), Decision.REOPEN, "me")
    again = ledger.begin("me", {})
    assert ledger.reserve([entry(again, one, 1, redrive_id=first.redrive_id)]) == set()
    assert len(ledger.reserve([entry(again, one, 2)])) == 1


def test_two_sessions_that_reserve_the_same_get_it_once(
    failures: FailureStore, ledger: RedriveLedger, migrated_dsn: str
) -> None:
    one = ids(failures)[0]
    with connect(migrated_dsn, application_name="other") as second:
        other = RedriveLedger(second)
        mine, theirs = ledger.begin("me", {}), other.begin("you", {})
        taken = [ledger.reserve([entry(mine, one, 1)]), other.reserve([entry(theirs, one, 1)])]
    assert [len(each) for each in taken] == [1, 0]


def test_a_refusal_is_noted_once_until_the_reason_changes(
    failures: FailureStore, ledger: RedriveLedger
) -> None:
    one, two, *_ = ids(failures)
    assert ledger.refuse({one: "/a: no", two: "/b: no", 999: "nobody"}, "me") == 2
    assert ledger.refuse({one: "/a: no", two: "/b: still no"}, "me") == 1
    assert [each.note for each in failures.history(two)] == ["/b: no", "/b: still no"]
    assert failures.page(Selection())[0].status is Status.OPEN
