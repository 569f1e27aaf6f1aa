"""Questions about many golden bars at once, for reports and exports. Reads alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from kite_bars_store.bars.columns import (
    INTERVALS,
    PRICES,
    RECORDED,
    VALUES,
    BarColumns,
    BarInstrument,
    Columns,
    SourceBars,
)
from kite_bars_store.bars.grid import Grid, month_starts
from kite_bars_store.bars.loading import ALL_KNOWN, Scope, load_observations, load_revisions
from kite_bars_store.bars.observations import counting_of
from kite_bars_store.bars.quality import rescaled
from kite_bars_store.bars.records import Field, Gap, Verdict
from kite_bars_store.bars.rules import MergeRules
from kite_bars_store.bars.sql import GOLDEN, nanoseconds, statement
from kite_bars_store.database import Connection, Cursor, load_statements, transaction
from kite_bars_store.database.binary import read_arrays

_LOADED: Final = load_statements("kite_bars_store.bars", "survey.sql")
_JUDGED_FIELDS: Final = (
    ("ts_open", "timestamptz"),
    ("instrument_id", "int4"),
    ("verdict", "int2"),
    ("flags", "int4"),
    ("traded", "int2"),
)
WINDOW: Final = 10
"""Instruments of which a month of observations is in memory at once."""


@dataclass(frozen=True)
class Surveyed:
    """An instrument and the number that it has in the tables."""

    number: int
    exchange: str
    tradingsymbol: str

    @property
    def name(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


@dataclass(frozen=True)
class ObservedBar:
    """One source's observation of a bar. Prices are times ``10**price_scale``."""

    source: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    oi: int | None
    price_scale: int


@dataclass(frozen=True)
class Conflict:
    """A golden bar whose sources differ by more than the rules allow; ``won`` precedes.

    ``price_bps`` is the largest of the four differences in basis points of the winner's close,
    ``volume_bps`` in those of the larger volume; ``tick`` is 0 when it is not known.
    """

    instrument: int
    ts_open: datetime
    verdict: Verdict
    differs: Field
    won: ObservedBar
    other: ObservedBar
    tick: Decimal
    price_bps: Decimal
    volume_bps: Decimal


class BarSurvey:
    """Answers about the golden bars of ``interval`` (m1 or d1) that open in a span.

    All methods raise ConnectionLost, DatabaseBusy, DatabaseRefused, NotMigrated and
    StatementFailed; each is one transaction. ``since`` is included, ``until`` is not.
    """

    def __init__(self, connection: Connection, interval: str = "m1") -> None:
        self._connection = connection
        self._minutes = INTERVALS[interval]
        if self._minutes not in GOLDEN:
            raise ValueError(f"{interval} is derived: only m1 and d1 are surveyed")

    def names(self) -> list[str]:
        """Every instrument that ever had a bar, as ``NSE:SBIN``."""
        with transaction(self._connection, "reading the names of bars") as cursor:
            return [f"{row[0]}:{row[1]}" for row in cursor.execute(self._sql("names")).fetchall()]

    def instruments(
        self,
        since: datetime,
        until: datetime,
        symbols: Iterable[str] | None = None,
        *,
        observed: bool = False,
    ) -> list[Surveyed]:
        """Those with a golden bar in the span, by exchange and symbol; with ``observed`` those of
        which a source has any, be it golden now or not."""
        keys = None if symbols is None else [each.partition(":") for each in symbols]
        params = {
            **self._span(since, until),
            "exchanges": None if keys is None else [key[0] for key in keys],
            "tradingsymbols": None if keys is None else [key[2] for key in keys],
        }
        bars = _LOADED["observations"] if observed else b"{golden}"
        query = self._sql("with_bars", bars)
        with self._reading("looking for instruments with bars") as cursor:
            return [Surveyed(*row) for row in cursor.execute(query, params).fetchall()]

    def judged(self, instruments: Sequence[Surveyed], since: datetime, until: datetime) -> Columns:
        """Every golden bar of the span: ``instrument`` (index into the list), ``ts_open``
        (nanoseconds), ``verdict``, ``flags``, ``traded`` (1: its volume is not 0); int64."""
        order = np.argsort([each.number for each in instruments])
        ids = np.array([each.number for each in instruments], np.int64)[order]
        params = {**self._span(since, until), "ids": ids.tolist()}
        with self._reading("reading verdicts") as cursor:
            rows = read_arrays(cursor, self._sql("judged"), _JUDGED_FIELDS, params)
        rows["instrument"] = order[np.searchsorted(ids, rows.pop("instrument_id"))]
        return rows

    def conflict_sizes(
        self,
        instruments: Sequence[Surveyed],
        since: datetime,
        until: datetime,
        price_edges: Sequence[int],
        volume_edges: Sequence[int],
    ) -> list[tuple[int, int, int]]:
        """(class of the price difference, of the volume difference, how many) of conflicts.

        A class is 0 for no difference, else one more than how many of the edges (ascending, in
        basis points) the difference reaches.
        """
        params = {
            **self._span(since, until),
            "ids": [each.number for each in instruments],
            "price_edges": list(price_edges),
            "volume_edges": list(volume_edges),
        }
        with self._reading("measuring conflicts") as cursor:
            rows = cursor.execute(self._sql("conflict_sizes"), params).fetchall()
        return [(row[0], row[1], row[2]) for row in rows]

    def largest_conflicts(
        self, instruments: Sequence[Surveyed], since: datetime, until: datetime, limit: int
    ) -> list[Conflict]:
        """The conflicts with the largest difference in price, then in volume; ``instrument`` is an
        index into the list."""
        position = {each.number: row for row, each in enumerate(instruments)}
        params = {**self._span(since, until), "ids": list(position), "limit": limit}
        with self._reading("reading conflicts") as cursor:
            rows = cursor.execute(self._sql("largest_conflicts"), params).fetchall()
        return [_conflict(row, position[row[0]]) for row in rows]

    def observed(
        self,
        instruments: Sequence[Surveyed],
        since: datetime,
        until: datetime,
        rules: MergeRules,
        as_of: datetime | None = None,
    ) -> Iterator[list[SourceBars]]:
        """What the sources have in the span, by precedence: of each bar the last observation that
        counts, recorded until ``as_of``. A list for each month of some instruments. Raises
        RulesFaulty for a source that the rules do not have."""
        own = sorted(instruments, key=lambda each: each.number)
        first, last = nanoseconds(since), nanoseconds(until)
        for month in month_starts(first, last - 1):
            span = max(first, month.starts_ns), min(last, month.ends_ns)
            for start in range(0, len(own), WINDOW):
                some = own[start : start + WINDOW]
                ids = np.array([each.number for each in some], np.int64)
                scope = Scope(Grid(month, self._minutes), ids, *span)
                yield self._sources(some, scope, rules, as_of or ALL_KNOWN)

    def _sources(
        self,
        instruments: Sequence[Surveyed],
        scope: Scope,
        rules: MergeRules,
        known_at: datetime | str,
    ) -> list[SourceBars]:
        with self._reading("reading observations") as cursor:
            names = {row[1]: row[0] for row in cursor.execute(statement("sources")).fetchall()}
            observed = load_observations(cursor, scope, names, rules, known_at)
            revisions = load_revisions(cursor, scope, names, rules, known_at)
        latest = counting_of(observed, revisions, scope.grid)
        place, times = scope.grid.instruments(latest["cell"]), scope.grid.times(latest["cell"])
        scales = np.zeros(len(instruments), np.int64)
        np.maximum.at(scales, place, latest["scale"])
        for name in PRICES:
            latest[name] = rescaled(latest[name], latest["scale"], scales[place])
        whose = [
            BarInstrument(each.exchange, each.tradingsymbol, scale)
            for each, scale in zip(instruments, scales.tolist(), strict=True)
        ]
        interval = RECORDED[self._minutes > 1]
        found = []
        for rank in np.unique(latest["rank"]).tolist():
            rows = np.flatnonzero(latest["rank"] == rank)
            values = (latest[name][rows] for name in VALUES)
            bars = BarColumns(place[rows], times[rows], *values)
            found.append(SourceBars(rules.sources[rank], interval, whose, bars))
        return found

    @contextmanager
    def _reading(self, doing: str) -> Iterator[Cursor]:
        with transaction(self._connection, doing) as cursor:
            cursor.execute(self._sql("tune"))
            yield cursor

    def _span(self, since: datetime, until: datetime) -> dict[str, Any]:
        return {"since": since, "until": until, "minutes": self._minutes}

    def _sql(self, name: str, bars: bytes = b"") -> bytes:
        text = _LOADED[name].replace(b"{conflict_pairs}", _LOADED["conflict_pairs"])
        text = text.replace(b"{bars}", bars)
        return text.replace(b"{golden}", GOLDEN[self._minutes].encode())


def _conflict(row: Sequence[Any], instrument: int) -> Conflict:
    return Conflict(
        instrument,
        row[1],
        Verdict(row[2]),
        Field(row[3]),
        ObservedBar(row[4], *row[6:13]),
        ObservedBar(row[5], *row[13:20]),
        row[20].normalize(),
        row[21],
        row[22],
    )


STATES: Final = ("opened", "closed", "healed")


class GapLedger:
    """Appends what happens to gaps. Raises what `BarStore` raises; each call is one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, gap: Gap, *, batch_ids: Sequence[int] = ()) -> bool:
        """Note a state of a gap; False when it was noted before, as events may come twice.

        ``batch_ids`` are the batches with the bars of a healed one. Raises ValueError for a state
        that is none, or an end that is missing or there too early.
        """
        if gap.state not in STATES:
            raise ValueError(f"a gap is never {gap.state!r}: take one of {', '.join(STATES)}")
        if (gap.to_ts is None) != (gap.state == "opened"):
            raise ValueError("a gap has an end when it is closed or healed, and not before")
        params = {
            **vars(gap),
            "tokens": list(gap.tokens),
            "batch_ids": list(batch_ids),
        }
        with transaction(self._connection, "noting a gap") as cursor:
            return cursor.execute(statement("record_gap"), params).rowcount == 1

    def unhealed(self) -> list[Gap]:
        """Gaps whose bars were not fetched yet, by their beginning; closed ones have an end."""
        with transaction(self._connection, "looking for gaps") as cursor:
            rows = cursor.execute(statement("open_gaps")).fetchall()
        return [_gap(row) for row in rows]


def _gap(row: tuple[Any, ...]) -> Gap:
    values = list(row)
    values[4] = tuple(row[4])
    return Gap(*values)
