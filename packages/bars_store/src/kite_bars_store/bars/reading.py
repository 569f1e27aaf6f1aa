"""Golden bars out of the store, as Arrow: by the projection, or as they were known at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from kite_bars_store.bars.columns import NO_OI, Columns, Int64s, concat, run_starts, take
from kite_bars_store.bars.grid import Grid, Sessions, month_starts
from kite_bars_store.bars.loading import Scope, load_golden, load_observations, load_revisions
from kite_bars_store.bars.merging import merge
from kite_bars_store.bars.observations import counting_of
from kite_bars_store.bars.projecting import setting_of
from kite_bars_store.bars.quality import rescaled
from kite_bars_store.bars.records import Verdict
from kite_bars_store.bars.rules import MergeRules
from kite_bars_store.bars.sql import nanoseconds
from kite_bars_store.database import Cursor
from kite_contracts.sessions.model import MINUTE_NS

_NAMES: Final = pa.dictionary(pa.int32(), pa.string())
_COMMON: Final = [
    pa.field("exchange", _NAMES, nullable=False),
    pa.field("tradingsymbol", _NAMES, nullable=False),
    pa.field("ts_open", pa.timestamp("ns", "UTC"), nullable=False),
    *(pa.field(name, pa.int64(), nullable=False) for name in ("open", "high", "low", "close")),
    pa.field("price_scale", pa.int16(), nullable=False),
    pa.field("volume", pa.int64(), nullable=False),
    pa.field("oi", pa.int64()),
    pa.field("flags", pa.int32(), nullable=False),
]
BAR_SCHEMA: Final = pa.schema(
    [
        *_COMMON,
        pa.field("verdict", _NAMES, nullable=False),
        pa.field("differs", pa.int16(), nullable=False),
        pa.field("from_other", pa.int16(), nullable=False),
        pa.field("batch_id", pa.int64(), nullable=False),
        pa.field("other_batch_id", pa.int64()),
        pa.field("session_minute", pa.int16(), nullable=False),
    ]
)
"""m1 and d1. Prices are integers times ``10**price_scale``."""

DERIVED_SCHEMA: Final = pa.schema(
    [
        *_COMMON,
        pa.field("minutes", pa.int16(), nullable=False),
        pa.field("conflicts", pa.int16(), nullable=False),
    ]
)
"""m5, m15 and h1: ``minutes`` is of how many each bar is made, ``conflicts`` in how many of
them the sources differ."""


@dataclass(frozen=True)
class Query:
    """``instruments``: (exchange, tradingsymbol) by number. ``minutes`` is 1, 5, 15, 60 or 1440."""

    instruments: Mapping[int, tuple[str, str]]
    since_ns: int
    until_ns: int
    minutes: int
    as_of: datetime | None

    @property
    def ids(self) -> Int64s:
        return np.array(sorted(self.instruments), np.int64)


def read(
    cursor: Cursor, query: Query, sources: Mapping[int, str], rules: MergeRules, sessions: Sessions
) -> pa.Table:
    """Bars that open in ``[since, until)``, by instrument number and time.

    With ``as_of`` no bar that ends later is among them, be it there or not.
    """
    derived = query.minutes not in (1, 1440)
    length_ns = query.minutes * MINUTE_NS
    reach_ns = length_ns if derived else 0
    parts = []
    if len(query.instruments) and query.since_ns < query.until_ns:
        first, last = query.since_ns - reach_ns, query.until_ns + reach_ns - 1
        for month in month_starts(first, last):
            grid = Grid(month, 1440 if query.minutes == 1440 else 1)
            span = max(first, month.starts_ns), min(last + 1, month.ends_ns)
            parts.append(_month(cursor, query, grid, span, sources, rules, sessions))
    bars = _joined(parts)
    if derived:
        bars = aggregate(bars, query.minutes)
    opens = bars["ts_open_ns"]
    wanted = (opens >= query.since_ns) & (opens < query.until_ns)
    if query.as_of is not None:
        wanted &= opens + length_ns <= nanoseconds(query.as_of)
    return _table(take(bars, wanted), query.instruments, DERIVED_SCHEMA if derived else BAR_SCHEMA)


def _month(
    cursor: Cursor,
    query: Query,
    grid: Grid,
    span: tuple[int, int],
    sources: Mapping[int, str],
    rules: MergeRules,
    sessions: Sessions,
) -> Columns:
    if query.as_of is None:
        found = load_golden(cursor, Scope(grid, query.ids, *span))
    else:
        scope = Scope.whole(grid, query.ids)
        observed = load_observations(cursor, scope, sources, rules, query.as_of)
        revisions = load_revisions(cursor, scope, sources, rules, query.as_of)
        exchanges = [query.instruments[number][0] for number in query.ids.tolist()]
        setting = setting_of(grid, exchanges, rules, sessions)
        found = merge(counting_of(observed, revisions, grid), setting, rules).bars
    cells = found.pop("cell")
    times = grid.times(cells)
    found = {
        "instrument_id": query.ids[grid.instruments(cells)],
        "ts_open_ns": times,
        "batch_id": found.pop("batch"),
        "other_batch_id": found.pop("other_batch"),
        "price_scale": found.pop("scale"),
        **{name: column.astype(np.int64, copy=False) for name, column in found.items()},
    }
    return take(found, (times >= span[0]) & (times < span[1]))


def _joined(parts: Sequence[Columns]) -> Columns:
    """All months, by instrument and time."""
    if not parts:
        names = {field.name for field in BAR_SCHEMA} - {"exchange", "tradingsymbol", "ts_open"}
        return {name: np.empty(0, np.int64) for name in (*names, "instrument_id", "ts_open_ns")}
    bars = concat(parts)
    if len(parts) == 1:
        return bars
    return take(bars, np.argsort(bars["instrument_id"], kind="stable"))


def _table(
    bars: Columns, instruments: Mapping[int, tuple[str, str]], schema: pa.Schema
) -> pa.Table:
    numbers = sorted(instruments)
    position = np.searchsorted(np.array(numbers, np.int64), bars["instrument_id"])
    columns: dict[str, Any] = {
        "exchange": _named([instruments[number][0] for number in numbers], position),
        "tradingsymbol": _named([instruments[number][1] for number in numbers], position),
        "ts_open": pa.array(bars["ts_open_ns"]).cast(pa.timestamp("ns", "UTC")),
        "oi": pa.array(bars["oi"], mask=bars["oi"] == NO_OI),
    }
    if "verdict" in schema.names:
        labels = [verdict.name for verdict in Verdict]
        columns["verdict"] = _named(labels, bars["verdict"] - 1)
        other = bars["other_batch_id"]
        columns["other_batch_id"] = pa.array(other, mask=other == 0)
    for field in schema:
        if field.name not in columns:
            columns[field.name] = pa.array(bars[field.name]).cast(field.type)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _named(names: Sequence[str], position: Int64s) -> pa.Array:
    """A dictionary column of the names that occur; others would show what was known later."""
    used, index = np.unique(position, return_inverse=True)
    occurring = [names[number] for number in used.tolist()]
    distinct = list(dict.fromkeys(occurring))
    place = np.array([distinct.index(name) for name in occurring], np.int32)
    codes = place[index] if len(distinct) else place
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct, pa.string()))


def aggregate(bars: Columns, minutes: int) -> Columns:
    """Bars of ``minutes`` counted from the day's opening, as the view bars_5m and its like.

    ``bars`` are golden minutes by instrument and time, with ``instrument_id`` and ``ts_open_ns``.
    The answer has ``minutes`` (of how many each is made) and ``conflicts`` instead of a verdict.
    """
    opens = bars["ts_open_ns"] - bars["session_minute"] % minutes * MINUTE_NS
    changes = (np.diff(opens, prepend=opens[:1] - 1) != 0) | (
        np.diff(bars["instrument_id"], prepend=-1) != 0
    )
    starts = np.flatnonzero(changes)
    ends = np.append(starts[1:], len(opens)) - 1
    if not len(starts):
        empty = take(bars, starts)
        return {**empty, "minutes": starts, "conflicts": starts}
    scale = np.maximum.reduceat(bars["price_scale"], starts)
    run = np.cumsum(changes) - 1
    prices = {
        name: rescaled(bars[name], bars["price_scale"], scale[run])
        for name in ("open", "high", "low", "close")
    }
    conflict = bars["verdict"] >= int(Verdict.CONFLICT_BROKER_WON)
    return {
        "instrument_id": bars["instrument_id"][starts],
        "ts_open_ns": opens[starts],
        "open": prices["open"][starts],
        "high": np.maximum.reduceat(prices["high"], starts),
        "low": np.minimum.reduceat(prices["low"], starts),
        "close": prices["close"][ends],
        "price_scale": scale,
        "volume": np.add.reduceat(bars["volume"], starts),
        "oi": _last_oi(bars["oi"], run, len(starts)),
        "flags": np.bitwise_or.reduceat(bars["flags"], starts),
        "minutes": ends - starts + 1,
        "conflicts": np.add.reduceat(conflict.astype(np.int64), starts),
    }


def _last_oi(oi: Int64s, run: Int64s, count: int) -> Int64s:
    found = np.full(count, NO_OI, np.int64)
    known = np.flatnonzero(oi != NO_OI)
    last = np.append(run_starts(run[known])[1:], len(known)) - 1
    if len(known):
        found[run[known[last]]] = oi[known[last]]
    return found
