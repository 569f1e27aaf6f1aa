"""Small bars for tests: one day of NSE, the delivered rules, and a merge without tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from kite_bars_store.bars import (
    NO_OI,
    BarColumns,
    BarInstrument,
    MergeRules,
    SourceBars,
    Verdict,
    load_rules,
    screen,
)
from kite_bars_store.bars.chunks import chunks
from kite_bars_store.bars.columns import concat, is_ascending
from kite_bars_store.bars.grid import calendar_sessions
from kite_bars_store.bars.merging import merge
from kite_bars_store.bars.observations import counting_of
from kite_bars_store.bars.projecting import setting_of
from kite_contracts.sessions import Holidays, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns

DAY = date(2026, 6, 1)  # a Monday
SBIN = BarInstrument("NSE", "SBIN", 2, 5)
TCS = BarInstrument("NSE", "TCS", 2, 5)
Bar = tuple[int, ...]
"""Open, high, low, close, volume, and open interest where there is one."""


@lru_cache(maxsize=1)
def calendar() -> SessionCalendar:
    holidays = Holidays(date(2000, 1, 1), date(2040, 12, 31), frozenset(), "the tests")
    return SessionCalendar.load(holidays=holidays)


@lru_cache(maxsize=1)
def rules() -> MergeRules:
    return load_rules()


def at(minute: int, day: date = DAY) -> int:
    """Nanoseconds of the minute of the session: 0 is 09:15."""
    return midnight_ns(day) + (555 + minute) * MINUTE_NS


def when(minute: int, day: date = DAY) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at(minute, day) // 1000)


def source(
    name: str,
    bars: Mapping[int, Bar],
    instrument: BarInstrument = SBIN,
    day: date = DAY,
    **more: Any,
) -> SourceBars:
    """What a source says of one instrument, by minute of the session."""
    rows = [(0, at(minute, day), *bar) for minute, bar in bars.items()]
    return SourceBars(name, "m1", [instrument], BarColumns.of(rows), **more)


def rising(count: int, start: int = 10_000, volume: int = 100) -> dict[int, Bar]:
    """Plain bars that nothing is odd about, from 09:15 on."""
    bars: dict[int, Bar] = {}
    for minute in range(count):
        price = start + 5 * (minute % 7)
        bars[minute] = (price, price + 10, price - 10, price + 5, volume + minute * 13 % 7)
    return bars


def merged(
    sources: Sequence[SourceBars], by: MergeRules | None = None
) -> dict[int, dict[str, int]]:
    """The golden bars by minute of the session, of one instrument on one day."""
    by = by or rules()
    same_scale = {each.source: each for each in sources}
    assert len(same_scale) == len(sources)
    ids = {(SBIN.exchange, SBIN.tradingsymbol): 1, (TCS.exchange, TCS.tradingsymbol): 2}
    good = []
    for each in sources:
        found = screen(each.bars, each.instruments, 1)
        assert not found.refused
        good.append(SourceBars(**{**vars(each), "bars": found.bars}))
    (chunk,) = chunks(good, ids, by)
    observed = concat(
        [
            {**part.columns, "batch": np.full(len(part.columns["cell"]), number)}
            for number, part in enumerate(chunk.parts, 1)
        ]
    )
    setting = setting_of(chunk.grid, chunk.exchanges, by, calendar_sessions(calendar(), by.phases))
    golden = merge(counting_of(observed, [], chunk.grid), setting, by).bars
    assert is_ascending(golden["cell"])
    minutes = (chunk.grid.times(golden["cell"]) - at(0)) // MINUTE_NS
    rows = {}
    for row, minute in enumerate(minutes.tolist()):
        rows[minute] = {name: int(column[row]) for name, column in golden.items()}
    return rows


def verdicts(golden: Mapping[int, Mapping[str, int]]) -> dict[int, str]:
    return {minute: Verdict(bar["verdict"]).name for minute, bar in golden.items()}


def values(bar: Mapping[str, int]) -> Bar:
    names = ("open", "high", "low", "close", "volume", "oi")
    found = tuple(bar[name] for name in names)
    return found[:5] if found[5] == NO_OI else found
