"""One line of a vendor's file → one bar, or the reason why it is none. Pure.

This is the reference: `blocks` reads whole blocks at once and hands what looks odd to this.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from kite_bar_history.vendor_files.layouts import PRICES, Layout
from kite_bar_history.vendor_files.values import ASIDE, UNKNOWN, Clock, Fault, Naming, Roster
from kite_bars_store.bars import NO_OI
from kite_bars_store.bars.screening import FIRST_NS, LAST_NS, PRICE_MAX, VOLUME_MAX
from kite_contracts.sessions.model import MINUTE_NS

NOISE: Final = 1e-6
"""Binary floats that somebody printed, such as 246.95000000000002, are this near to a price."""
SHOWN_MAX: Final = 40

Bar = tuple[int, int, int, int, int, int, int, int]
"""instrument, ts_open_ns, open, high, low, close, volume, oi."""


@dataclass(frozen=True)
class Frame:
    """What the lines of one file have in common. ``positions`` is where each field stands."""

    layout: Layout
    naming: Naming
    roster: Roster
    clock: Clock
    positions: Mapping[str, int]
    width: int
    since_ns: int
    until_ns: int

    def scale(self, number: int) -> int:
        """Decimals with which prices of an instrument of the roster are kept."""
        return max(
            self.roster.asked[number].instrument.price_scale, self.layout.price_decimals or 0
        )


def read_line(line: str, frame: Frame) -> Bar | Fault | None:
    """None for a bar of another instrument or another day than those asked for."""
    try:
        cells = next(csv.reader([line], delimiter=frame.layout.delimiter, strict=True), [])
    except csv.Error as exc:
        return Fault("NOT_A_LINE", f"cannot be split into columns ({exc})")
    if len(cells) != frame.width:
        return Fault("COLUMN_COUNT", f"{len(cells)} columns instead of {frame.width}")
    return read_cells({key: cells[at] for key, at in frame.positions.items()}, frame)


def read_cells(cells: Mapping[str, str], frame: Frame) -> Bar | Fault | None:
    """The same, of the texts of the fields."""
    exchange, symbol = frame.naming.key(cells.get("exchange"), cells.get("symbol"))
    number = frame.roster.number(exchange, symbol)
    if number == UNKNOWN:
        return Fault("UNKNOWN_SYMBOL", f"nobody knows {exchange}:{symbol[:SHOWN_MAX]}")
    if number == ASIDE:
        return None
    ts_ns = frame.clock.opens_ns(cells.get("date", ""), cells.get("time", ""))
    if ts_ns is None:
        text = f"{cells.get('date', '')} {cells.get('time', '')}".strip()
        return Fault("NOT_A_TIME", f"{text[:SHOWN_MAX]!r} is no time of this layout")
    return judge_values(number, ts_ns, cells, frame)


def judge_values(
    number: int, ts_ns: int, cells: Mapping[str, str], frame: Frame
) -> Bar | Fault | None:
    """The same, where instrument and time are known."""
    scale = frame.scale(number)
    if not FIRST_NS <= ts_ns < LAST_NS:
        return Fault("TIME_OUT_OF_RANGE", "the time is before 1990 or after 2100")
    if ts_ns % MINUTE_NS:
        return Fault("TIME_NOT_ALIGNED", "the time is not the beginning of a bar")
    if not frame.since_ns <= ts_ns < frame.until_ns:
        return None
    prices = []
    for name in PRICES:
        price = _price(cells[name].strip(), name, scale)
        if isinstance(price, Fault):
            return price
        prices.append(price)
    opens, high, low, close = prices
    volume = _count(cells["volume"].strip(), "volume")
    oi = _oi(cells.get("oi", "").strip(), frame.layout)
    if isinstance(volume, Fault):
        return volume
    if isinstance(oi, Fault):
        return oi
    if high < max(opens, close) or low > min(opens, close):
        return Fault("OHLC_CONTRADICTS", "open, high, low and close contradict one another")
    if volume < 0:
        return Fault("NEGATIVE_VOLUME", f"the volume is {volume}")
    return number, ts_ns, opens, high, low, close, volume, oi


def _price(text: str, name: str, scale: int) -> int | Fault:
    value = _number(text)
    if value is None or value.is_nan():
        return Fault("NOT_A_PRICE", f"{name} is {text[:SHOWN_MAX]!r}")
    if not value.is_finite() or abs(value) > PRICE_MAX:
        return Fault(
            "PRICE_OUT_OF_RANGE", f"{name} is {text[:SHOWN_MAX]}, more than anything is traded at"
        )
    scaled = value.scaleb(scale)
    whole = round(scaled)
    if abs(scaled - whole) > NOISE:
        return Fault(
            "PRICE_TOO_FINE",
            f"{name} is {text[:SHOWN_MAX]}, with more than {scale} decimals: state price_decimals",
        )
    return whole


def _count(text: str, name: str) -> int | Fault:
    value = _number(text)
    if value is None or not value.is_finite():
        return Fault("NOT_A_VOLUME", f"{name} is {text[:SHOWN_MAX]!r}")
    if abs(value) > VOLUME_MAX:
        return Fault("VOLUME_OUT_OF_RANGE", f"{name} is {text[:SHOWN_MAX]}")
    if value != round(value):
        return Fault("NOT_A_VOLUME", f"{name} is {text[:SHOWN_MAX]}, which is no whole number")
    return int(value)


def _oi(text: str, layout: Layout) -> int | Fault:
    if not text:
        return NO_OI
    value = _count(text, "oi")
    if isinstance(value, Fault):
        return value
    if value < 0:
        return Fault("NEGATIVE_OI", f"the open interest is {value}")
    return NO_OI if value == 0 and layout.zero_oi_is_none else value


def _number(text: str) -> Decimal | None:
    """The number of a text as a machine writes it: no underscores, which Python would take."""
    if "_" in text or not text.isascii():
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
