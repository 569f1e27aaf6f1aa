"""Bars in Postgres: what was observed, the golden bars, and what was known when. docs/bars.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from kite_bars_store.bars import writing
from kite_bars_store.bars.chunks import ROWS_MAX, Chunk, chunks
from kite_bars_store.bars.columns import INTERVALS, PURPOSES, RECORDED, BarInstrument, SourceBars
from kite_bars_store.bars.grid import Grid, Month, Sessions, calendar_sessions
from kite_bars_store.bars.reading import Query, read
from kite_bars_store.bars.records import (
    BarStory,
    Field,
    Flag,
    GoldenBar,
    GoldenCount,
    Mark,
    MergeResult,
    Observation,
    RefusedRow,
    RestatedStretch,
    Verdict,
)
from kite_bars_store.bars.rules import MergeRules
from kite_bars_store.bars.screening import screen
from kite_bars_store.bars.sql import nanoseconds, statement, utc
from kite_bars_store.database import Connection, Cursor, check_revision, lock, transaction
from kite_contracts.sessions import SessionCalendar

REVISION: Final = "0004"
"""The migration that brings the tables."""


class BarStore:
    """Records bars by ``rules`` and the sessions of ``calendar``, and answers with golden ones.

    All methods raise ConnectionLost, DatabaseBusy, DatabaseRefused, NotMigrated, RulesFaulty and
    StatementFailed; the writing ones also CommitUnknown. `merge` and `rebuild` are one transaction
    a month (and at most ``rows_max`` bars): after an error they may be called again, and go on
    where they were. The other methods are one transaction each.
    """

    def __init__(
        self,
        connection: Connection,
        rules: MergeRules,
        calendar: SessionCalendar,
        *,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._sessions: Sessions = calendar_sessions(calendar, rules.phases)
        self._rows_max = rows_max
        self._made: set[Month] = set()

    def check(self) -> None:
        """Raises NotMigrated when the tables are missing."""
        check_revision(self._connection, REVISION)

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult:
        """Record what the sources have and bring the golden bars of those days in line.

        Of each bar only what differs from the same source's last observation is appended. The same
        bars again write nothing. Sources may come in one call or one by one, in any order: the
        golden bars are the same. Raises ValueError for a source that is there twice with one
        interval, an interval other than m1 and d1, or an unknown purpose.
        """
        _check(sources)
        screened = [(each, screen(each.bars, each.instruments, _minutes(each))) for each in sources]
        refused = tuple(
            RefusedRow(each.source, each.interval, bad.row, bad.reason)
            for each, found in screened
            for bad in found.refused
        )
        good = [
            replace(each, bars=found.bars, rows_refused=each.rows_refused + len(found.refused))
            for each, found in screened
        ]
        batches = []
        golden = GoldenCount()
        for chunk in self._chunks(good):
            done, count = self._record(chunk)
            batches.extend(done)
            golden += count
        repeated = sum(found.repeated for _, found in screened)
        return MergeResult(tuple(batches), golden, refused, repeated)

    def mark(self) -> Mark | None:
        """How far the record has come; None while it is empty."""
        with transaction(self._connection, "reading the last batch") as cursor:
            row = cursor.execute(statement("mark")).fetchone()
        return None if row is None else Mark(*row)

    def stands(self, mark: Mark) -> bool:
        """Whether bars that were recorded at the mark need no merge: this database has had it, no
        bar was revised since, and all golden bars are made by these rules."""
        params = {**vars(mark), "rules_sha256": self._rules.sha256}
        with transaction(self._connection, "comparing with a mark") as cursor:
            return cursor.execute(statement("mark_stands"), params).fetchone() == (True,)

    def rebuild(self, interval: str | None = None, month: date | None = None) -> GoldenCount:
        """Make golden bars from the observations alone: of all months and intervals, or of one.

        What is as it should be is not written again, so the count is of what was wrong.
        """
        total = GoldenCount()
        for minutes, first in self._months(interval, month):
            grid = Grid(Month(first), minutes)
            with transaction(self._connection, f"rebuilding the bars of {grid.month}") as cursor:
                writing.month_lock(cursor, grid)
                self._add_rules(cursor)
                total += writing.rebuild_month(cursor, self._writer(cursor), grid)
                params = {"minutes": minutes, "month": first, "rules_sha256": self._rules.sha256}
                cursor.execute(statement("set_projection"), params)
        return total

    def drop_projection(self, interval: str | None = None, month: date | None = None) -> int:
        """Delete golden bars, of all months and intervals or of one; returns how many.

        The next merge into a month, or `rebuild`, makes them again.
        """
        total = 0
        for minutes, first in self._months(interval, month):
            grid = Grid(Month(first), minutes)
            with transaction(self._connection, f"dropping the bars of {grid.month}") as cursor:
                writing.month_lock(cursor, grid)
                params = {
                    "minutes": minutes,
                    "month": first,
                    "since": utc(grid.month.starts_ns),
                    "until": utc(grid.month.ends_ns),
                }
                total += cursor.execute(statement("clear_golden", minutes), params).rowcount
                cursor.execute(statement("drop_projection"), params)
        return total

    def read_bars(
        self,
        symbols: Iterable[str],
        since: datetime,
        until: datetime,
        interval: str = "m1",
        *,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """Golden bars that open in ``[since, until)``; call ``.to_pandas()`` on it for a frame.

        ``symbols`` are like ``NSE:SBIN``; one without bars has no rows. ``interval`` is m1, m5,
        m15, h1 or d1; the columns are `BAR_SCHEMA`, of m5, m15 and h1 `DERIVED_SCHEMA`. Prices
        are as the sources gave them, never adjusted for what happened later.

        ``as_of`` answers with what had been recorded until then: no later observation, revision
        or decision counts, and no bar that ends later is among them. Raises ValueError for an
        unknown interval, a time without zone, or a symbol without exchange.
        """
        if interval not in INTERVALS:
            raise ValueError(
                f"there is no interval {interval!r}: take one of {', '.join(INTERVALS)}"
            )
        if as_of is not None:
            nanoseconds(as_of)
        wanted = [_split(each) for each in symbols]
        with transaction(self._connection, "reading bars") as cursor:
            ids = _ids(cursor, wanted)
            query = Query(
                {number: key for key, number in ids.items()},
                nanoseconds(since),
                nanoseconds(until),
                INTERVALS[interval],
                as_of,
            )
            names = {number: name for name, number in _sources(cursor).items()}
            return read(cursor, query, names, self._rules, self._sessions)

    def story(self, symbol: str, ts_open: datetime, interval: str = "m1") -> BarStory | None:
        """All observations of one bar (m1 or d1) and its golden bar; None for an unknown symbol."""
        key = _split(symbol)
        with transaction(self._connection, "reading a bar") as cursor:
            number = _ids(cursor, [key]).get(key)
            if number is None:
                return None
            minutes = INTERVALS[interval]
            params = {"instrument_id": number, "minutes": minutes, "ts_open": ts_open}
            rows = cursor.execute(statement("observations_of_bar"), params).fetchall()
            bar = cursor.execute(statement("golden_bar", minutes), params).fetchone()
        golden = None
        if bar is not None:
            values = list(bar)
            values[8:12] = Verdict(bar[8]), Flag(bar[9]), Field(bar[10]), Field(bar[11])
            golden = GoldenBar(*values)
        return BarStory(BarInstrument(*key), tuple(Observation(*row) for row in rows), golden)

    def revisions(self, *, undecided: bool = True) -> list[RestatedStretch]:
        """Stretches that a source restated by one ratio; only those that are undecided."""
        with transaction(self._connection, "reading revisions") as cursor:
            rows = cursor.execute(statement("revisions"), {"undecided": undecided}).fetchall()
        return [RestatedStretch(*row) for row in rows]

    def decide(
        self, batch_id: int, symbol: str, *, accept: bool, who: str, note: str = ""
    ) -> GoldenCount:
        """Note whether a revision counts, and bring the golden bars of its month in line.

        A later decision replaces it. Raises ValueError when there is no such revision.
        """
        exchange, tradingsymbol = _split(symbol)
        params: dict[str, Any] = {
            "batch_id": batch_id,
            "exchange": exchange,
            "tradingsymbol": tradingsymbol,
            "accepted": accept,
            "who": who,
            "note": note,
        }
        with transaction(self._connection, "deciding on a revision") as cursor:
            found = cursor.execute(statement("find_revision"), params).fetchone()
            if found is None:
                raise ValueError(f"batch {batch_id} restated no stretch of {symbol}")
            grid = Grid(Month(found[1]), found[0])
            writing.month_lock(cursor, grid)
            writing.batch_lock(cursor)
            cursor.execute(statement("append_decision"), {**params, "instrument_id": found[2]})
            self._add_rules(cursor)
            count = writing.rebuild_month(cursor, self._writer(cursor), grid)
            params = {"minutes": found[0], "month": found[1], "rules_sha256": self._rules.sha256}
            cursor.execute(statement("set_projection"), params)
            return count

    def _chunks(self, sources: Sequence[SourceBars]) -> Iterable[Chunk]:
        keys = {(i.exchange, i.tradingsymbol) for each in sources for i in each.instruments}
        if not any(len(each.bars) for each in sources):
            return
        for each in sources:
            self._rules.rank(each.source)
        ids = self._known(sorted(keys), sorted({each.source for each in sources}))
        for interval in RECORDED:
            same = [each for each in sources if each.interval == interval]
            if same:
                yield from chunks(same, ids, self._rules, self._rows_max)

    def _known(
        self, keys: Sequence[tuple[str, str]], sources: Sequence[str]
    ) -> dict[tuple[str, str], int]:
        """The instruments' numbers; what is not known yet gets one. Sources and rules, too."""
        with transaction(self._connection, "looking instruments up") as cursor:
            ids = _ids(cursor, keys)
            if len(ids) == len(keys) and set(sources) <= set(_sources(cursor)):
                self._add_rules(cursor)
                return ids
            lock(cursor, "names of bars")
            cursor.execute(statement("add_instruments"), _columns(keys))
            cursor.execute(statement("add_sources"), {"sources": list(sources)})
            self._add_rules(cursor)
            return _ids(cursor, keys)

    def _record(self, chunk: Chunk) -> tuple[list[Any], GoldenCount]:
        month = chunk.grid.month
        self._make_partitions(month)
        with transaction(self._connection, f"recording the bars of {month}") as cursor:
            return writing.record(cursor, self._writer(cursor), chunk)

    def _make_partitions(self, month: Month) -> None:
        """Those of the month and of the next one, in a transaction of their own: none waits."""
        if month in self._made:
            return
        with transaction(self._connection, "making a month's partitions") as cursor:
            for each in (month, month.next):
                cursor.execute(statement("make_month"), {"month": each.first})
        self._made.add(month)

    def _writer(self, cursor: Cursor) -> writing.Writer:
        return writing.Writer(self._rules, self._sessions, _sources(cursor))

    def _add_rules(self, cursor: Cursor) -> None:
        params = {"sha256": self._rules.sha256, "rules": self._rules.canonical}
        cursor.execute(statement("add_rules"), params)

    def months(self, interval: str | None = None) -> list[tuple[str, date]]:
        """The months (first day) of which bars were recorded, by interval: m1, then d1."""
        names = {INTERVALS[each]: each for each in RECORDED}
        return [(names[minutes], first) for minutes, first in self._months(interval, None)]

    def _months(self, interval: str | None, month: date | None) -> list[tuple[int, date]]:
        with transaction(self._connection, "reading the list of months") as cursor:
            rows = cursor.execute(statement("months")).fetchall()
        return [
            (minutes, first)
            for minutes, first in rows
            if (interval is None or INTERVALS[interval] == minutes)
            and (month is None or first == month.replace(day=1))
        ]


def _check(sources: Sequence[SourceBars]) -> None:
    seen = set()
    for each in sources:
        if each.interval not in RECORDED:
            raise ValueError(f"bars of {each.interval!r} are not recorded: m1 and d1 are")
        if each.purpose not in PURPOSES:
            raise ValueError(f"there is no purpose {each.purpose!r}")
        if (each.source, each.interval) in seen:
            raise ValueError(f"{each.source} is there twice with {each.interval}")
        seen.add((each.source, each.interval))


def _minutes(source: SourceBars) -> int:
    return INTERVALS[source.interval]


def _split(symbol: str) -> tuple[str, str]:
    exchange, _, tradingsymbol = symbol.partition(":")
    if not exchange or not tradingsymbol:
        raise ValueError(f"{symbol!r} is no symbol: write it like NSE:SBIN")
    return exchange, tradingsymbol


def _columns(keys: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {"exchanges": [key[0] for key in keys], "tradingsymbols": [key[1] for key in keys]}


def _ids(cursor: Cursor, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    rows = cursor.execute(statement("find_instruments"), _columns(keys)).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def _sources(cursor: Cursor) -> dict[str, int]:
    return {row[0]: row[1] for row in cursor.execute(statement("sources")).fetchall()}
