"""Any batches in any order: the golden bars are what the observations say, rebuilt or not."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pytest
from bar_samples import Bar, calendar, rules, source, when
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kite_bars_store.bars import BarInstrument, BarStore, SourceBars
from kite_bars_store.database import Connection, connect
from kite_devstack.databases import database

EXAMPLES = settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SOURCES = ("kite", "vendor", "live")
PAST = date(2024, 1, 30)
DAYS = (PAST, PAST + timedelta(1), PAST + timedelta(3))  # the last one is in the next month
_names = itertools.count()


@dataclass(frozen=True)
class Step:
    """A merge of one or more sources, or another thing that happens to the tables."""

    kind: str
    sources: tuple[SourceBars, ...] = ()
    number: int = 0


@st.composite
def said(draw: st.DrawFn, name: str) -> SourceBars:
    day = draw(st.sampled_from(DAYS))
    minutes = draw(st.lists(st.integers(-3, 20), unique=True, min_size=1, max_size=24))
    factor = draw(st.sampled_from([1, 1, 1, 2]))
    bars: dict[int, Bar] = {}
    for minute in minutes:
        price = factor * 5 * (2_000 + draw(st.integers(0, 3)))
        volume = draw(st.sampled_from([0, 100, 1_000, 1_005]))
        oi = (draw(st.integers(1, 3)),) if draw(st.booleans()) else ()
        bars[minute] = (price, price + 5 * factor, price - 5 * factor, price, volume, *oi)
    purpose = draw(st.sampled_from(["history", "history", "heal"]))
    instrument = BarInstrument("NSE", draw(st.sampled_from(["A", "B"])), 2, 5)
    return source(name, bars, instrument, day, purpose=purpose)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    kind = draw(st.sampled_from(["merge"] * 6 + ["again", "drop", "damage", "decide"]))
    names = draw(st.lists(st.sampled_from(SOURCES), unique=True, min_size=1))
    sources = tuple(draw(said(name)) for name in names) if kind == "merge" else ()
    return Step(kind, sources, draw(st.integers(0, 3)))


@pytest.fixture(scope="module")
def shared(postgres_server: str, migrated_template: str) -> Iterator[Connection]:
    """One database for all examples, which keep apart by the names of their instruments."""
    with (
        database(postgres_server, migrated_template) as dsn,
        contextlib.closing(connect(dsn, application_name="tests")) as connection,
    ):
        yield connection


class Example:
    """A store whose instruments belong to this example alone."""

    def __init__(self, connection: Connection, rows_max: int = 10_000) -> None:
        self.connection = connection
        self.name = f"example {next(_names)}"
        self.store = BarStore(connection, rules(), calendar(), rows_max=rows_max)

    def own(self, given: SourceBars) -> SourceBars:
        names = [
            replace(e, tradingsymbol=f"{self.name} {e.tradingsymbol}") for e in given.instruments
        ]
        return replace(given, instruments=names)

    def merge(self, sources: Sequence[SourceBars]) -> int:
        result = self.store.merge([self.own(each) for each in sources])
        return result.appended + result.golden.written

    def play(self, sequence: Sequence[Step]) -> list[Step]:
        """Plays the steps; returns those merges that came to pass."""
        merges = [step for step in sequence if step.kind == "merge"]
        for step in sequence:
            if step.kind == "merge":
                self.merge(step.sources)
            elif step.kind == "again" and merges:
                self.merge(merges[step.number % len(merges)].sources)
            elif step.kind == "drop":
                self.store.drop_projection()
            elif step.kind == "damage":
                self.damage()
            elif step.kind == "decide":
                self.decide(step.number)
        return merges

    def damage(self) -> None:
        """Somebody deletes and changes golden bars, and repairs it as the manual says."""
        self.connection.execute("DELETE FROM bars_1m WHERE volume = 100")
        self.connection.execute("UPDATE bars_1m SET close = close + 5, verdict = 1")
        self.store.rebuild()

    def decide(self, number: int) -> None:
        for each in self.store.revisions(undecided=False):
            if each.tradingsymbol.startswith(f"{self.name} "):
                symbol = f"NSE:{each.tradingsymbol}"
                self.store.decide(each.batch_id, symbol, accept=number % 2 == 0, who="example")

    def golden(self, *, batches: bool = True) -> list[tuple[object, ...]]:
        """All golden bars; with ``batches`` False without the numbers of batches."""
        numbers = "b.batch_id, b.other_batch_id," if batches else ""
        return self.connection.execute(
            f"""
            SELECT right(i.tradingsymbol, 1), b.ts_open, {numbers} b.open, b.high, b.low, b.close,
                   b.volume, b.oi, b.flags, b.verdict, b.differs, b.from_other, b.session_minute
            FROM bars_1m b JOIN bar_instrument i USING (instrument_id)
            WHERE i.tradingsymbol LIKE %s ORDER BY 1, 2
            """.encode(),
            [f"{self.name} _"],
        ).fetchall()


@EXAMPLES
@given(st.lists(steps(), min_size=1, max_size=8))
def test_the_rebuilt_projection_equals_the_incremental_one(
    shared: Connection, sequence: list[Step]
) -> None:
    example = Example(shared)
    example.play(sequence)
    example.store.rebuild()
    before = example.golden()
    # From nothing, and in other pieces.
    example.store.drop_projection()
    assert example.golden() == []
    BarStore(shared, rules(), calendar(), rows_max=1).rebuild()
    assert example.golden() == before


@EXAMPLES
@given(st.lists(steps().filter(lambda step: step.kind in ("merge", "again", "decide")), max_size=8))
def test_merges_leave_nothing_for_a_rebuild_to_mend(
    shared: Connection, sequence: list[Step]
) -> None:
    example = Example(shared)
    example.play(sequence)
    before = example.golden()
    assert example.store.rebuild().written == 0
    assert example.golden() == before


@EXAMPLES
@given(
    st.lists(st.sampled_from(SOURCES).flatmap(said), max_size=6), st.randoms(use_true_random=False)
)
def test_the_order_of_sources_does_not_matter(
    shared: Connection, batches: list[SourceBars], random: object
) -> None:
    """Of one source the last word counts, so its own batches keep their order."""
    queues = {name: [each for each in batches if each.source == name] for name in SOURCES}
    names = [each.source for each in batches]
    random.shuffle(names)  # type: ignore[attr-defined]
    one, two, three = Example(shared), Example(shared), Example(shared, rows_max=1)
    for each in batches:
        one.merge([each])
    for name in names:
        two.merge([queues[name].pop(0)])
    rounds = itertools.zip_longest(*([e for e in batches if e.source == n] for n in SOURCES))
    for together in rounds:
        three.merge([each for each in together if each is not None])
    assert one.golden(batches=False) == two.golden(batches=False) == three.golden(batches=False)


@EXAMPLES
@given(st.lists(steps(), min_size=1, max_size=6))
def test_the_last_batch_again_writes_nothing(shared: Connection, sequence: list[Step]) -> None:
    example = Example(shared)
    merges = example.play([step for step in sequence if step.kind == "merge"])
    tables = "SELECT (SELECT count(*) FROM bar_batch), (SELECT count(*) FROM bar_observation)"
    for step in merges[-1:]:
        before = shared.execute(tables).fetchone()
        assert example.merge(step.sources) == 0
        assert shared.execute(tables).fetchone() == before


@EXAMPLES
@given(st.lists(steps(), min_size=1, max_size=6))
def test_what_was_known_is_what_was_golden_then(shared: Connection, sequence: list[Step]) -> None:
    example = Example(shared)
    merges = [step for step in sequence if step.kind in ("merge", "decide")]
    symbols = [f"NSE:{example.name} {letter}" for letter in "AB"]
    span = (symbols, when(-100, DAYS[0]), when(2_000, DAYS[-1]))
    states = []
    for step in merges:
        example.play([step])
        row = shared.execute(
            """
            SELECT greatest((SELECT max(recorded_at) FROM bar_batch),
                            (SELECT max(decided_at) FROM bar_decision))
            """
        ).fetchone()
        assert row is not None
        if isinstance(row[0], datetime):
            states.append((row[0], example.store.read_bars(*span)))
    for time, table in states:
        assert example.store.read_bars(*span, as_of=time).equals(table)
