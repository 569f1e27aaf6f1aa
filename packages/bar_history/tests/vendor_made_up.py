"""Made-up vendors' files of the shapes that configs/vendor.toml tells of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kite_runtime.clock import IST

FIRST = datetime(2024, 1, 2, 9, 15, tzinfo=IST)
"""A Tuesday on which everything trades."""


def minute(at: int, first: datetime = FIRST) -> datetime:
    """The opening of the bar number ``at``."""
    return first + timedelta(minutes=at)


def prices(at: int) -> tuple[int, int, int, int, int]:
    """OHLC in paise, on the grid of 5, and volume of the bar number ``at``."""
    opens = 60_000 + at * 5
    return opens, opens + 20, opens - 15, opens + 10, 1_000 + at % 7


def rupees(paise: int) -> str:
    return f"{paise // 100}.{paise % 100:02}"


def vendor_line(symbol: str, at: int, *, first: datetime = FIRST, volume: int | None = None) -> str:
    """A line of the layout bar-end-text."""
    label = minute(at, first) + timedelta(minutes=1)
    *ohlc, traded = prices(at)
    said = ",".join(map(rupees, ohlc))
    return f"{symbol},{label:%Y%m%d},{label:%H:%M},{said},{traded if volume is None else volume},0"


def vendor_text(symbol: str, bars: Iterable[int] = range(375), first: datetime = FIRST) -> str:
    return "".join(vendor_line(symbol, at, first=first) + "\n" for at in bars)


def kite_text(bars: Iterable[int] = range(375), *, higher: int = 0) -> str:
    """A file of the layout kite; every fifth close is ``higher`` paise up, and high with it."""
    lines = ["Date,Open,High,Low,Close,Volume"]
    for at in bars:
        opens, high, low, close, volume = prices(at)
        if at % 5 == 0:
            high, close = max(high, close + higher), close + higher
        said = ", ".join(rupees(each) for each in (opens, high, low, close))
        lines.append(f"{minute(at):%Y-%m-%d %H:%M:%S}, {said}, {volume}")
    return "\n".join(lines) + "\n"
