"""One line of a vendor's file → one bar, or the reason why it is none. Pure.

This is the reference: `blocks` reads whole blocks at once and hands what looks odd to this.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from kite_bar_history.refused import MESSAGES
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


def read_cells(
    cells: Mapping[str, str], frame: Frame, ts_ns: int | None = None
) -> Bar | Fault | None:
    """The same, of the texts of the fields; ``ts_ns`` is when the bar opens, if that is known."""
    exchange, symbol = frame.naming.key(cells.get("exchange"), cells.get("symbol"))
    number = frame.roster.number(exchange, symbol)
    if number == UNKNOWN:
        return Fault("UNKNOWN_SYMBOL", f"unknown instrument {exchange}:{symbol[:SHOWN_MAX]}")
    if number == ASIDE:
        return None
    date_text, time_text = cells.get("date", ""), cells.get("time", "")
    if ts_ns is None:
        ts_ns = frame.clock.opens_ns(date_text, time_text)
    if ts_ns is None:
        text = f"{date_text} {time_text}".strip()
        return Fault("NOT_A_TIME", f"{text[:SHOWN_MAX]!r} is no time of this layout")
    if not FIRST_NS <= ts_ns < LAST_NS:
        return Fault("TIME_OUT_OF_RANGE", MESSAGES["TIME_OUT_OF_RANGE"])
    if ts_ns % MINUTE_NS:
        return Fault("TIME_NOT_ALIGNED", MESSAGES["TIME_NOT_ALIGNED"])
    if not frame.since_ns <= ts_ns < frame.until_ns:
        return None
    try:
        opens, high, low, close = (
            _price(cells[name], name, frame.scale(number)) for name in PRICES
        )
        volume = _count(cells["volume"], "volume")
        oi = _oi(cells.get("oi", ""), frame.layout)
    except _NoValue as exc:
        return exc.fault
    if high < max(opens, close) or low > min(opens, close):
        return Fault("OHLC_CONTRADICTS", MESSAGES["OHLC_CONTRADICTS"])
    if volume < 0:
        return Fault("NEGATIVE_VOLUME", f"the volume is {volume}")
    return number, ts_ns, opens, high, low, close, volume, oi


class _NoValue(Exception):
    """A text is no price or count."""

    def __init__(self, reason: str, message: str) -> None:
        self.fault = Fault(reason, message)


def _price(cell: str, name: str, scale: int) -> int:
    value, text = _number(cell), f"{name} is {cell.strip()[:SHOWN_MAX]}"
    if value is None or value.is_nan():
        raise _NoValue("NOT_A_PRICE", f"{name} is {cell.strip()[:SHOWN_MAX]!r}")
    if not value.is_finite() or abs(value) > PRICE_MAX:
        raise _NoValue("PRICE_OUT_OF_RANGE", f"{text}, more than anything is traded at")
    scaled = value.scaleb(scale)
    whole = round(scaled)
    if abs(scaled - whole) > NOISE:
        fine = f"{text}, with more than {scale} decimals: state price_decimals"
        raise _NoValue("PRICE_TOO_FINE", fine)
    return whole


def _count(cell: str, name: str) -> int:
    value, text = _number(cell), f"{name} is {cell.strip()[:SHOWN_MAX]}"
    if value is None or not value.is_finite():
        raise _NoValue("NOT_A_VOLUME", f"{name} is {cell.strip()[:SHOWN_MAX]!r}")
    if abs(value) > VOLUME_MAX:
        raise _NoValue("VOLUME_OUT_OF_RANGE", text)
    if value != round(value):
        raise _NoValue("NOT_A_VOLUME", f"{text}, which is no whole number")
    return int(value)


def _oi(cell: str, layout: Layout) -> int:
    if not cell.strip():
        return NO_OI
    value = _count(cell, "oi")
    if value < 0:
        raise _NoValue("NEGATIVE_OI", f"the open interest is {value}")
    return NO_OI if value == 0 and layout.zero_oi_is_none else value


def _number(cell: str) -> Decimal | None:
    """The number of a text as a machine writes it: no underscores, which Python would take."""
    if "_" in cell or not cell.isascii():
        return None
    try:
        return Decimal(cell)
    except InvalidOperation:
        return None
