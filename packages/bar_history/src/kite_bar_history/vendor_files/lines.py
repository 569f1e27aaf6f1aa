"""One line of a vendor's file → one bar, or the reason why it is none. Pure.

This is the reference: `blocks` reads whole blocks at once and hands what looks odd to this.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from kite_bar_history.refused import MESSAGES
from kite_bar_history.vendor_files.contracts import Rolling
from kite_bar_history.vendor_files.layouts import IDENTITY, LAST_SECOND, PRICES, Layout
from kite_bar_history.vendor_files.times import fits, formats_of
from kite_bar_history.vendor_files.values import (
    ASIDE,
    ON_DAY,
    UNKNOWN,
    Clock,
    Fault,
    Naming,
    Roster,
)
from kite_bars_store.bars import NO_OI
from kite_bars_store.bars.screening import FIRST_NS, LAST_NS, PRICE_MAX, VOLUME_MAX
from kite_contracts.sessions.model import MINUTE_NS, day_of

NOISE: Final = 1e-6
"""Binary floats that somebody printed, such as 246.95000000000002, are this near to a price."""
SHOWN_MAX: Final = 40
_FLOAT32: Final = Decimal("1.2e-7")
"""The largest relative error of a float of 32 bits, twice over."""
_GROUPED: Final = re.compile(r"-?[0-9]{1,3}(,[0-9]{2,3})*,[0-9]{3}(\.[0-9]*)?")

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
    layout = frame.layout
    if any(cells[key].strip() not in values for key, values in layout.keep.items()):
        return None
    name = frame.naming.meant(cells)
    number = frame.roster.number(name)
    if number == UNKNOWN:
        return Fault("UNKNOWN_SYMBOL", _unnamed(cells, layout))
    if number == ASIDE:
        return None
    if ts_ns is None:
        ts_ns = frame.clock.opens_ns(cells.get("date", ""), cells.get("time", ""))
    if ts_ns is None:
        return Fault("NOT_A_TIME", _no_time(cells, layout))
    if not FIRST_NS <= ts_ns < LAST_NS:
        return Fault("TIME_OUT_OF_RANGE", MESSAGES["TIME_OUT_OF_RANGE"])
    if ts_ns % MINUTE_NS:
        return Fault("TIME_NOT_ALIGNED", _unaligned(layout))
    if not frame.since_ns <= ts_ns < frame.until_ns:
        return None
    if number <= ON_DAY:
        assert isinstance(name, Rolling)
        number = frame.roster.number_on(number, ts_ns)
        if number == ASIDE:
            return None
        if number == UNKNOWN:
            return Fault("UNKNOWN_CONTRACT", _unlisted(name, ts_ns))
    try:
        opens, high, low, close = (
            _price(cells[name], name, frame.scale(number), layout) for name in PRICES
        )
        volume = _volume(cells, frame, number)
        oi = _oi(cells.get("oi", ""), layout)
    except _NoValue as exc:
        return exc.fault
    if layout.untraded and not (opens or high or low or volume):
        if oi == NO_OI or not close:
            return None
        opens = high = low = close
    if high < max(opens, close) or low > min(opens, close):
        return Fault("OHLC_CONTRADICTS", MESSAGES["OHLC_CONTRADICTS"])
    if volume < 0:
        return Fault("NEGATIVE_VOLUME", f"the volume is {volume}")
    return number, ts_ns, opens, high, low, close, volume, oi


def _unnamed(cells: Mapping[str, str], layout: Layout) -> str:
    shown = " ".join(cells[key].strip()[:SHOWN_MAX] for key in IDENTITY if key in cells).strip()
    form = layout.expiry_format
    if not shown or not form:
        return "exchange or symbol is empty"
    return f"{shown} names no contract: expiry_format of layout {layout.name} is {form!r}"


def _no_time(cells: Mapping[str, str], layout: Layout) -> str:
    """Which column is not as the layout states it, and what would read it."""
    for key in ("date", "time"):
        text, form = cells.get(key, "").strip(), getattr(layout, f"{key}_format")
        kind = key if "date" in cells and "time" in cells else "moment"
        kind = "date" if key == "date" else kind
        if key not in cells or (form and text and fits([text], form, kind)):
            continue
        known = " or ".join(f'"{each}"' for each in formats_of([text], kind)[:2]) if text else ""
        hint = f": write {key}_format = {known} in a layout for it" if known else ""
        return f"{key} is {text[:SHOWN_MAX]!r}, not written as {form!r}{hint}"
    return f"{cells.get('date', '')} {cells.get('time', '')} is no time of this layout".strip()


def _unaligned(layout: Layout) -> str:
    if layout.stamp == LAST_SECOND:
        return 'the second is not 59, as stamp = "last-second" has it'
    return (
        f'{MESSAGES["TIME_NOT_ALIGNED"]}; stamps such as 09:15:59 need stamp = "{LAST_SECOND}" in '
        "the layout"
    )


def _unlisted(name: Rolling, ts_ns: int) -> str:
    return (
        f"{name.text[:SHOWN_MAX]} on {day_of(ts_ns)} names no contract: the instrument history "
        f"has fewer than {name.rank} futures of {name.underlying} on {name.exchange} on that day"
    )


class _NoValue(Exception):
    """A text is no price or count."""

    def __init__(self, reason: str, message: str) -> None:
        self.fault = Fault(reason, message)


def _price(cell: str, name: str, scale: int, layout: Layout) -> int:
    value, text = _number(cell, layout), f"{name} is {cell.strip()[:SHOWN_MAX]}"
    if value is None or value.is_nan():
        raise _NoValue("NOT_A_PRICE", f"{name} is {cell.strip()[:SHOWN_MAX]!r}{_hint(cell)}")
    if not value.is_finite() or abs(value) > PRICE_MAX:
        raise _NoValue("PRICE_OUT_OF_RANGE", f"{text}, more than anything is traded at")
    scaled = value.scaleb(scale)
    whole = round(scaled)
    if abs(scaled - whole) > NOISE:
        fine = f"{text}, with more than {scale} decimals: {_finer(value, whole, scale)}"
        raise _NoValue("PRICE_TOO_FINE", fine)
    return whole


def _finer(value: Decimal, whole: int, scale: int) -> str:
    """What to do about a price with more decimals than the instrument has."""
    near = Decimal(whole).scaleb(-scale)
    if abs(value - near) < abs(value) * _FLOAT32:
        return f"it looks like {near} that was kept in 32 bits; ask for a file of exact prices"
    return "state price_decimals if they are meant"


def _volume(cells: Mapping[str, str], frame: Frame, number: int) -> int:
    cell = cells.get("volume", "")
    if not cell.strip() and not frame.roster.has_volume(number):
        return 0
    if "volume" not in cells:
        name = frame.roster.asked[number].instrument.name
        raise _NoValue(
            "NOT_A_VOLUME", f"the file has no volume, and {name} is no index of the history"
        )
    volume = _count(cell, "volume", frame.layout)
    if "lot" not in cells:
        return volume
    lot = _count(cells["lot"], "lot", frame.layout)
    if lot <= 0 or abs(volume * lot) > VOLUME_MAX:
        raise _NoValue("VOLUME_OUT_OF_RANGE", f"volume is {volume} lots of {lot}")
    return volume * lot


def _count(cell: str, name: str, layout: Layout) -> int:
    value, text = _number(cell, layout), f"{name} is {cell.strip()[:SHOWN_MAX]}"
    if value is None or not value.is_finite():
        raise _NoValue("NOT_A_VOLUME", f"{name} is {cell.strip()[:SHOWN_MAX]!r}{_hint(cell)}")
    if abs(value) > VOLUME_MAX:
        raise _NoValue("VOLUME_OUT_OF_RANGE", text)
    if value != round(value):
        raise _NoValue("NOT_A_VOLUME", f"{text}, which is no whole number")
    return int(value)


def _oi(cell: str, layout: Layout) -> int:
    if not cell.strip():
        return NO_OI
    value = _count(cell, "oi", layout)
    if value < 0:
        raise _NoValue("NEGATIVE_OI", f"the open interest is {value}")
    return NO_OI if value == 0 and layout.zero_oi_is_none else value


def _number(cell: str, layout: Layout) -> Decimal | None:
    """The number of a text as a machine writes it: no underscores, which Python would take."""
    if layout.thousands and is_grouped(cell):
        cell = cell.replace(",", "")
    if "_" in cell or not cell.isascii():
        return None
    try:
        return Decimal(cell)
    except InvalidOperation:
        return None


def is_grouped(cell: str) -> bool:
    """``1,234.50`` or ``12,34,567``, not ``1,5``: that is a half in other countries."""
    return bool(_GROUPED.fullmatch(cell.strip()))


def _hint(cell: str) -> str:
    return ': write thousands = "," in a layout for it' if is_grouped(cell) else ""
