"""Any dumps in any order: the history says what its definition says, rebuilt or not."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from masters import Row, at, day, snapshot

from kite_bars_store.database import Connection, connect
from kite_bars_store.instruments import InstrumentStore, Snapshot
from kite_devstack.databases import database

DAYS = 5
EXAMPLES = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SYMBOLS = st.sampled_from(["A", "B&C", "D E", 'F"G', "é'H"])
ROWS = st.lists(
    st.builds(
        Row,
        tradingsymbol=SYMBOLS,
        token=st.integers(1, 3),
        exchange=st.sampled_from(["NFO", "BFO"]),
        lot_size=st.sampled_from([50, 75]),
        expiry=st.none() | st.integers(0, DAYS).map(day),
        strike=st.none() | st.just(100),
        name=st.sampled_from(["", "N", None]),
    ),
    unique_by=lambda row: (row.exchange, row.tradingsymbol),
    max_size=6,
)


@st.composite
def dumps(draw: st.DrawFn) -> Snapshot:
    exchanges = draw(st.sampled_from([("NFO",), ("BFO",), ("BFO", "NFO")]))
    rows = [row for row in draw(ROWS) if row.exchange in exchanges]
    return snapshot(draw(st.integers(0, DAYS)), rows, exchanges)


SEQUENCES = st.lists(dumps(), min_size=1, max_size=6)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def shared(postgres_server: str, migrated_template: str) -> Iterator[Connection]:
    """One database for all examples, which keep apart by their source."""
    with (
        database(postgres_server, migrated_template) as dsn,
        contextlib.closing(connect(dsn, application_name="tests")) as connection,
    ):
        yield connection


def recorded(
    connection: Connection, dumps: Sequence[Snapshot]
) -> tuple[InstrumentStore, list[Snapshot]]:
    """A new history, and the dumps that were new to it."""
    source = f"example {next(_numbers)}"
    store = InstrumentStore(connection, source=source)
    new = [each for each in dumps if store.record(dataclasses.replace(each, source=source)).new]
    return store, new


def projection(connection: Connection, source: str) -> list[tuple[object, ...]]:
    """All ranges; the dump that opened one is told by day and content, not by its number."""
    return connection.execute(
        """
        SELECT b.observed_on, b.content_sha256, b.exchanges, v.exchange, v.tradingsymbol,
               v.valid_from, v.valid_to, v.instrument_token, v.name, v.expiry, v.strike, v.lot_size
        FROM instrument_validity v JOIN instrument_batch b USING (batch_id)
        WHERE v.source = %s
        ORDER BY v.exchange, v.tradingsymbol, v.valid_from
        """,
        [source],
    ).fetchall()


@EXAMPLES
@given(SEQUENCES)
def test_every_day_is_what_its_last_dump_said(shared: Connection, sequence: list[Snapshot]) -> None:
    store, new = recorded(shared, sequence)
    for number in range(-1, DAYS + 2):
        assert store.at(day(number)).equals(at(new, day(number))), number


@EXAMPLES
@given(SEQUENCES)
def test_the_rebuilt_projection_equals_the_incremental_one(
    shared: Connection, sequence: list[Snapshot]
) -> None:
    store, _ = recorded(shared, sequence)
    incremental = projection(shared, store.source)
    assert store.rebuild() == len(incremental)
    assert projection(shared, store.source) == incremental


@EXAMPLES
@given(SEQUENCES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_of_days_does_not_matter(
    shared: Connection, sequence: list[Snapshot], random: object
) -> None:
    """Of dumps of one day the last one counts, so those keep their order."""
    by_day: dict[date, list[Snapshot]] = {}
    for each in sequence:
        by_day.setdefault(each.observed_on, []).append(each)
    shuffled: list[Snapshot] = []
    waiting = [each.observed_on for each in sequence]
    random.shuffle(waiting)  # type: ignore[attr-defined]
    for when in waiting:
        shuffled.append(by_day[when].pop(0))
    first, _ = recorded(shared, sequence)
    second, _ = recorded(shared, shuffled)
    assert projection(shared, first.source) == projection(shared, second.source)


@EXAMPLES
@given(SEQUENCES)
def test_a_second_run_of_the_same_dumps_writes_nothing(
    shared: Connection, sequence: list[Snapshot]
) -> None:
    store, _ = recorded(shared, sequence)
    before = projection(shared, store.source), store.days()
    for each in sequence:
        done = store.record(dataclasses.replace(each, source=store.source))
        assert (done.new, done.observations) == (False, 0)
    assert (projection(shared, store.source), store.days()) == before


@EXAMPLES
@given(SEQUENCES, st.data())
def test_what_was_known_is_what_had_been_recorded(
    shared: Connection, sequence: list[Snapshot], data: st.DataObject
) -> None:
    store, new = recorded(shared, sequence)
    in_order = sorted(store.days(), key=lambda batch: batch.batch_id)
    count = data.draw(st.integers(1, len(new)))
    known = in_order[count - 1].recorded_at
    for number in range(DAYS + 1):
        expected = at(new[:count], day(number))
        assert store.at(day(number), known_at=known).equals(expected), number
