"""Two sources of minute bars for the benchmarks of bars: seeded, and made window by window.

A window is a month of some instruments, as much as the store wants in one call; so bars of any
count fit into memory. Each source lacks one bar in 200, and one in 20 of the vendor's differs by
ticks or by volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import numpy as np

from kite_bars_store.bars import NO_OI, BarColumns, BarInstrument, SourceBars
from kite_bars_store.bars.columns import take
from kite_contracts.sessions import Holidays, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns

SESSION_MINUTES = 375
FIRST_DAY = date(2026, 6, 1)
DIFFERING_SHARE = 20
LACKING_SHARE = 200
PRICE_SCALE = 2
TICK = 5
_OPENS_MINUTE = 9 * 60 + 15


@dataclass(frozen=True)
class Scale:
    """How much: instruments, trading days, and instruments a window."""

    instruments: int
    days: int
    a_window: int

    @property
    def bars(self) -> int:
        """Of a source that would lack nothing."""
        return self.instruments * self.days * SESSION_MINUTES

    def __str__(self) -> str:
        return f"{self.instruments} instruments, {self.days} days, {self.bars:,} minutes"


def calendar() -> SessionCalendar:
    """Every weekday trades."""
    none = Holidays(date(2000, 1, 1), date(2040, 12, 31), frozenset(), "the benchmark")
    return SessionCalendar.load(holidays=none)


def trading_days(count: int) -> list[date]:
    days = (FIRST_DAY + timedelta(n) for n in range(7 * (count // 5 + 1)))
    return [each for each in days if each.weekday() < 5][:count]


def months(scale: Scale) -> list[date]:
    """The first day of each month that has bars."""
    return sorted({each.replace(day=1) for each in trading_days(scale.days)})


def windows(scale: Scale, *, revised: bool = False) -> Iterator[list[SourceBars]]:
    """Kite and the vendor, a month of ``a_window`` instruments at a time; the same each time.

    With ``revised`` one bar in 100 of Kite's has another volume.
    """
    for month, group in groupby(trading_days(scale.days), lambda each: each.replace(day=1)):
        days = list(group)
        for first in range(0, scale.instruments, scale.a_window):
            numbers = range(first, min(first + scale.a_window, scale.instruments))
            yield _window(days, numbers, seed=month.toordinal() + first, revised=revised)


def peak_mb() -> float:
    """The most memory that this process has had. Linux; a child's `ru_maxrss` has its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("/proc/self/status does not tell the peak memory")


def _window(
    days: Sequence[date], numbers: Sequence[int], *, seed: int, revised: bool
) -> list[SourceBars]:
    random = np.random.default_rng(seed)
    opens = np.array([midnight_ns(each) for each in days], np.int64) + _OPENS_MINUTE * MINUTE_NS
    times = (opens[:, None] + np.arange(SESSION_MINUTES) * MINUTE_NS).reshape(-1)
    steps = random.integers(-3, 4, (len(numbers), len(times))) * TICK
    close = 50_000 + np.cumsum(steps, axis=1).reshape(-1)
    count = len(close)
    open_ = close - TICK * random.integers(-2, 3, count)
    high = np.maximum(open_, close) + TICK * random.integers(0, 3, count)
    low = np.minimum(open_, close) - TICK * random.integers(0, 3, count)
    volume = random.integers(1, 100_000, count)
    columns = {
        "instrument": np.repeat(np.arange(len(numbers)), len(times)),
        "ts_open_ns": np.tile(times, len(numbers)),
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "oi": np.full(count, NO_OI),
    }
    differs = random.integers(0, DIFFERING_SHARE, count) == 0
    other = {
        **columns,
        "high": high + np.where(differs, TICK * random.integers(0, 4, count), 0),
        "volume": volume + np.where(differs, random.integers(0, 2_000, count), 0),
    }
    if revised:
        columns["volume"] = volume + (volume % 100 == 0)
    kite, vendor = (
        BarColumns(**take(each, random.integers(0, LACKING_SHARE, count) > 0))
        for each in (columns, other)
    )
    names = [BarInstrument("NSE", f"SHARE{number}", PRICE_SCALE, TICK) for number in numbers]
    return [SourceBars("kite", "m1", names, kite), SourceBars("vendor", "m1", names, vendor)]
