"""A vendor's files of the seeded market: the minutes that Kite's candles have, with differences on
purpose, so that a merge has something to decide. Pure but for ``write``.

What differs, on each day of each instrument: one high is a tick higher, one close is twelve ticks
away, one volume is doubled, five minutes are missing. Once a file one line is no bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.packets import price_scale_of
from kite_contracts.sessions.model import MINUTE_NS
from kite_runtime.clock import IST
from kite_simulator.history import History
from kite_simulator.market import tick_of

Int64s = npt.NDArray[np.int64]

HIGHER, AWAY, DOUBLED, MISSING = 30, 60, 90, range(120, 125)
"""Minutes of the day that differ, counted from the first one."""
TICKS_AWAY: Final = 12
NO_BAR: Final = "# the feed was restarted here"


@dataclass(frozen=True, slots=True)
class Line:
    """One bar as a vendor has it: ``opens`` in India; prices in rupees; ``oi`` 0 without one."""

    symbol: str
    opens: datetime
    prices: Sequence[Decimal]
    volume: int
    oi: int


def _bar_end_text(line: Line) -> str:
    ends = line.opens + timedelta(minutes=1)
    prices = ",".join(f"{price:f}" for price in line.prices)
    return f"{line.symbol},{ends:%Y%m%d,%H:%M},{prices},{line.volume},{line.oi}"


def _metastock(line: Line) -> str:
    prices = ",".join(f"{price:f}" for price in line.prices)
    return f"{line.symbol},{line.opens:%m/%d/%Y,%H:%M:%S},{prices},{line.volume}"


def _gdfl(line: Line) -> str:
    last_second = line.opens + timedelta(seconds=59)
    prices = ",".join(f"{price:f}" for price in line.prices)
    stamp = f"{last_second:%d/%m/%Y,%H:%M:%S}"
    return f"{line.symbol}.NSE,{stamp},{prices},{line.volume},{line.oi}"


LAYOUTS: Final = MappingProxyType(
    {
        "bar-end-text": ("", _bar_end_text),
        "metastock": ("<ticker>,<date>,<time>,<open>,<high>,<low>,<close>,<vol>", _metastock),
        "gdfl": ("Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest", _gdfl),
    }
)
"""Name in vendor.toml → the header, and how a line is written."""


def lines_of(history: History, symbol: str, token: int, day: date) -> Iterator[Line]:
    """The vendor's bars of one instrument and day; none where nothing was traded."""
    opens = datetime.combine(day, time(), IST)
    over = datetime.combine(day, time(23, 59), IST)
    bars = history.minutes(token, opens, over, datetime.now(UTC))
    scale, tick = price_scale_of(token), tick_of(token)
    for number, bar in enumerate(_differing(bars, tick).tolist()):
        if number in MISSING or not bar[5]:
            continue
        prices = [Decimal(price).scaleb(-scale) for price in bar[1:5]]
        when = datetime.fromtimestamp(bar[0] // MINUTE_NS * 60, IST)
        yield Line(symbol, when, prices, bar[5], bar[6])


def _differing(bars: Int64s, tick: int) -> Int64s:
    found = bars.copy()
    if len(found) > MISSING[-1]:
        found[HIGHER, 2] += tick
        found[AWAY, 4] += TICKS_AWAY * tick
        found[AWAY, 2] = max(found[AWAY, 2], found[AWAY, 4])
        found[DOUBLED, 5] *= 2
    return found


def write(
    folder: Path,
    history: History,
    tokens: dict[str, int],
    days: Sequence[date],
    layout: str,
    say: Callable[[str], None],
) -> int:
    """One file a day, of all these symbols; the number of bars. Raises OSError."""
    header, written = LAYOUTS[layout]
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for day in days:
        lines = [
            written(line)
            for symbol, token in tokens.items()
            for line in lines_of(history, symbol, token, day)
        ]
        if not lines:
            say(f"{day} has no session: no file")
            continue
        total += len(lines)
        if day == days[0]:
            lines.append(NO_BAR)
        path = folder / f"{layout}-{day:%Y%m%d}.txt"
        path.write_text("".join(f"{line}\n" for line in [header, *lines] if line), "utf-8")
        say(f"{path}: {len(lines):,} lines")
    return total
