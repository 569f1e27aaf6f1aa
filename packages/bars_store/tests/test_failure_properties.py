"""Any records and decisions in any order: the projection rebuilt is the one that was kept."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letters import letter

from kite_bars_store.database import Connection, connect
from kite_bars_store.failures import (
    Decision,
    Entry,
    FailureRecord,
    FailureStore,
    Outcome,
    RedriveLedger,
    Selection,
    Status,
)
from kite_bars_store.failures.ledger import redrive_id
from kite_devstack.databases import database

STATES = "SELECT * FROM dlq_state ORDER BY failure_id"
GROUPS = "SELECT * FROM dlq_group ORDER BY fingerprint"
EXAMPLES = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count()

RECORDS = st.lists(
    st.builds(
        letter,
        offset=st.integers(0, 6),
        partition=st.integers(0, 1),
        fingerprint=st.sampled_from(["a", "b"]),
        ts_ns=st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 10**18),
        topic=st.sampled_from(["x.dlq", "y.dlq"]),
    ),
    min_size=2,
    max_size=8,
)
DECISIONS = st.tuples(
    st.sampled_from(["redriven", "refused", *Decision]),
    st.builds(Selection, fingerprint=st.sampled_from(["a", "b"]))
    | st.builds(
        Selection,
        fingerprint=st.sampled_from(["a", "b"]),
        status=st.none() | st.sampled_from(Status),
        topic=st.none() | st.sampled_from(["x.dlq", "y.dlq"]),
    ),
)


@pytest.fixture(scope="module")
def shared(postgres_server: str, migrated_template: str) -> Iterator[Connection]:
    """One database for all examples, which keep apart by topic and fingerprint."""
    with (
        database(postgres_server, migrated_template) as dsn,
        contextlib.closing(connect(dsn, application_name="tests")) as connection,
    ):
        yield connection


def own(number: int, record: FailureRecord) -> FailureRecord:
    return replace(
        record, topic=f"{number}-{record.topic}", fingerprint=f"{number}-{record.fingerprint}"
    )


def chosen_of(number: int, chosen: Selection) -> Selection:
    topic = None if chosen.topic is None else f"{number}-{chosen.topic}"
    return replace(chosen, fingerprint=f"{number}-{chosen.fingerprint}", topic=topic)


def apply(connection: Connection, kind: str, chosen: Selection) -> None:
    store, ledger = FailureStore(connection), RedriveLedger(connection)
    if kind in ("redriven", "refused"):
        redrive(store, ledger, kind, chosen)
    else:
        assignee = "somebody" if kind == Decision.ASSIGN else None
        store.decide(chosen, Decision(kind), "me", "why", assignee=assignee)


def redrive(store: FailureStore, ledger: RedriveLedger, kind: str, chosen: Selection) -> None:
    """Reserve everything chosen that is open, and settle it; half of it is told twice."""
    page = store.page(chosen)
    sent = ledger.times_sent(each.failure_id for each in page)
    run = ledger.begin("me", {"test": True})
    entries = [
        Entry(
            redrive_id=redrive_id(
                each.record.topic,
                each.record.topic_id,
                each.record.partition,
                each.record.offset,
                2 + sent.get(each.failure_id, 0),
            ),
            failure_id=each.failure_id,
            run_id=run.run_id,
            position=position,
            attempt=2 + sent.get(each.failure_id, 0),
            kind="quarantined" if position % 3 == 0 else "redriven",
            target="ticks",
            key=b"k",
            value=b"v",
            headers=[(b"h", None)],
        )
        for position, each in enumerate(page, start=1)
    ]
    taken = ledger.reserve(entries)
    assert len(taken) == sum(each.status is Status.OPEN for each in page)
    assert ledger.reserve(entries) == set()
    if kind == "redriven":
        outcome = Outcome(produced=sorted(taken))
    else:
        outcome = Outcome(refused=dict.fromkeys(sorted(taken), "too large"))
    assert ledger.settle(outcome, "me") == len(taken)
    assert ledger.settle(outcome, "me") == 0


@EXAMPLES
@given(first=RECORDS, then=st.lists(DECISIONS | RECORDS, min_size=3, max_size=10))
def test_the_rebuilt_projection_is_the_incremental_one(
    shared: Connection, first: list[FailureRecord], then: list[Any]
) -> None:
    number = next(_numbers)
    store = FailureStore(shared)
    places: set[tuple[str, int, int]] = set()
    for step in [first, *then]:
        if isinstance(step, tuple):
            apply(shared, step[0], chosen_of(number, step[1]))
            continue
        records = [own(number, each) for each in step]
        new = {(each.topic, each.partition, each.offset) for each in records} - places
        assert store.record(records).stored == len(new)
        places |= new
    kept = shared.execute(STATES).fetchall(), shared.execute(GROUPS).fetchall()
    assert store.rebuild() == len(kept[0])
    rebuilt = shared.execute(STATES).fetchall(), shared.execute(GROUPS).fetchall()
    assert rebuilt == kept
    counts = Counter(row[1] for row in kept[0])
    assert {row[0]: row[6] for row in kept[1]} == dict(counts)
