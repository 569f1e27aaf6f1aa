"""What the values of a vendor's file mean: instruments and times. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files.contracts import Contract, Contracts, Name, Rolling, named
from kite_bar_history.vendor_files.layouts import CONTRACT, END, LAST_SECOND, START, Layout
from kite_bar_history.vendor_files.times import day_of_text, moment_of_text, time_of_text
from kite_bars_store.bars import BarInstrument
from kite_bars_store.bars.sql import nanoseconds
from kite_contracts.sessions import INDICES
from kite_contracts.sessions.model import MINUTE_NS, day_of, midnight_ns

UNKNOWN: Final = -1
ASIDE: Final = -2
ON_DAY: Final = -10
NOT_A_TIME: Final = -(1 << 62)
_AFTER_OPEN: Final = {START: 0, END: MINUTE_NS, LAST_SECOND: MINUTE_NS - 1_000_000_000}
"""From the opening of a minute to its stamp."""
_TIMES_KEPT: Final = 1 << 17
"""Parsed times, about a year of minutes; some 40 MB."""


class Fault(NamedTuple):
    """Why a line is no bar: a code for machines and a message for people."""

    reason: str
    message: str


class Roster:
    """The instruments asked for, numbered.

    ``contracts`` finds those of them that a file names by what they are instead of by symbol.
    """

    def __init__(self, asked: Sequence[Listed], contracts: Contracts | None = None) -> None:
        self.asked = tuple(asked)
        self._contracts = contracts
        self._rolling: list[Rolling] = []
        self._numbers: dict[Name, int] = {
            (each.instrument.exchange, each.instrument.tradingsymbol): at
            for at, each in enumerate(asked)
        }

    def number(self, name: Name | None) -> int:
        """Its number, or `ASIDE`, or `UNKNOWN` for None; of a `Rolling`, which is another contract
        on another day, a number up to `ON_DAY`, for `number_on`."""
        if name is None:
            return UNKNOWN
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = self._found(name)
        return found

    def _found(self, name: Name) -> int:
        if isinstance(name, tuple) or self._contracts is None:
            return ASIDE
        if isinstance(name, Contract):
            at = self._contracts.number(name)
            return ASIDE if at is None else at
        if not self._contracts.has_future(name):
            return ASIDE
        self._rolling.append(name)
        return ON_DAY - len(self._rolling) + 1

    def number_on(self, number: int, ts_ns: int) -> int:
        """Of a number up to `ON_DAY`: that of the contract of the day, `ASIDE` if it is not asked
        for, `UNKNOWN` where the instrument history does not have it."""
        assert self._contracts is not None
        found = self._contracts.on_day(self._rolling[ON_DAY - number], day_of(ts_ns))
        if found is None:
            return UNKNOWN
        return self._numbers.get(found, ASIDE)

    def left_aside(self) -> list[str]:
        """The names, like ``NSE:SBIN``, that were met and are not asked for."""
        own = [name for name, number in self._numbers.items() if number == ASIDE]
        return [f"{name[0]}:{name[1]}" for name in own if isinstance(name, tuple)]

    def undescribed(self) -> list[str]:
        """The derivatives asked for that the history does not describe, where contracts were met
        that could be these."""
        met = any(not isinstance(name, tuple) for name in self._numbers)
        return self._contracts.undescribed() if met and self._contracts else []

    def has_volume(self, number: int) -> bool:
        """False for an index: nothing of it is traded."""
        return self.asked[number].segment != INDICES

    def instruments(self, layout: Layout) -> list[BarInstrument]:
        """With the decimals that prices of this layout are kept with."""
        return [_at_scale(each.instrument, layout.price_decimals) for each in self.asked]


class OpenRoster(Roster):
    """Asks for every instrument that turns up, and takes this for its tick, times ``10**2``.

    A contract keeps the name that the file has for it, as there is no history to ask.
    """

    def __init__(self, tick_size: int) -> None:
        super().__init__(())
        self._tick_size = tick_size

    def _found(self, name: Name) -> int:
        key = name if isinstance(name, tuple) else (name.exchange, name.text)
        listed = Listed(BarInstrument(*key, 2, self._tick_size), key[0])
        self.asked = (*self.asked, listed)
        return len(self.asked) - 1

    def has_volume(self, number: int) -> bool:
        """Unknown, so that a file without volume can be looked at."""
        return False


def _at_scale(instrument: BarInstrument, decimals: int | None) -> BarInstrument:
    scale = max(instrument.price_scale, decimals or 0)
    tick = instrument.tick_size * 10 ** (scale - instrument.price_scale)
    return BarInstrument(instrument.exchange, instrument.tradingsymbol, scale, tick)


@dataclass(frozen=True)
class Naming:
    """How a file names its instruments: by its name, and the layout's renames."""

    layout: Layout
    exchange: str
    symbol: str

    @classmethod
    def of(cls, layout: Layout, of_name: Mapping[str, str]) -> Naming:
        exchange = of_name.get("exchange") or layout.exchange
        return cls(layout, exchange, of_name.get("symbol", ""))

    def key(self, exchange: str | None, symbol: str | None) -> tuple[str, str]:
        """The instrument of a line by symbol; None where the file has no such column."""
        own = self.symbol if symbol is None else symbol.strip()
        where = self.exchange if exchange is None else exchange.strip()
        return where or self.exchange, self.layout.rename.get(own, own)

    def meant(self, cells: Mapping[str, str]) -> Name | None:
        """What the columns `IDENTITY` of a line name; None for what names nothing."""
        where, symbol = self.key(cells.get("exchange"), cells.get("symbol"))
        if "underlying" in self.layout.columns:
            parts = {key: cells.get(key, "").strip() for key in CONTRACT}
            return named(where, parts, self.layout.expiry_format)
        if not symbol or not (where or self.layout.symbol_patterns):
            return None
        if symbol not in self.layout.rename.values():
            for pattern in self.layout.symbol_patterns:
                match = pattern.fullmatch(symbol)
                if match is not None:
                    parts = {key: value or "" for key, value in match.groupdict().items()}
                    exchange = parts.pop("exchange", "") or where
                    if "symbol" in parts:
                        own = parts["symbol"]
                        return exchange, self.layout.rename.get(own, own)
                    return named(exchange, {**parts, "text": symbol}, self.layout.expiry_format)
        return where, symbol


class Clock:
    """Texts of a layout → the nanoseconds at which the bar opens."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.opens_ns = lru_cache(_TIMES_KEPT)(self._opens_ns)
        self.adds_up = layout.interval == "m1" and "%z" not in layout.time_format
        """Whether `day_ns` and `moment_ns`, added, are when the bar opens."""

    def day_ns(self, text: str) -> int:
        """When a day begins; `NOT_A_TIME` for what is none, and if clocks are changed in it."""
        try:
            day = day_of_text(text.strip(), self._layout.date_format)
            begins = datetime.combine(day, time(), self._layout.time_zone)
            changes = begins.utcoffset() != (begins + timedelta(1)).utcoffset()
            return NOT_A_TIME if changes else nanoseconds(begins)
        except (ValueError, OverflowError):
            return NOT_A_TIME

    def moment_ns(self, text: str) -> int:
        """From the beginning of a day to when the bar opens; `NOT_A_TIME` for what is no time."""
        try:
            moment = time_of_text(text.strip(), self._layout.time_format)
        except ValueError:
            return NOT_A_TIME
        label = datetime.combine(date.min, moment) - datetime.min
        return self.of_instant(label // timedelta(microseconds=1) * 1000)

    def of_instant(self, ts_ns: int) -> int:
        """From the nanoseconds of the label."""
        if self._layout.interval == "d1":
            return midnight_ns(day_of(ts_ns))
        return ts_ns - _AFTER_OPEN[self._layout.stamp]

    def _opens_ns(self, date_text: str, time_text: str) -> int | None:
        """None for what is no time. A column that is not there is an empty text."""
        layout, date_text, time_text = self._layout, date_text.strip(), time_text.strip()
        try:
            if "time" not in layout.columns:
                return midnight_ns(day_of_text(date_text, layout.date_format))
            if "date" not in layout.columns:
                label = moment_of_text(time_text, layout.time_format)
            else:
                label = datetime.combine(
                    day_of_text(date_text, layout.date_format),
                    time_of_text(time_text, layout.time_format),
                )
            if layout.interval == "d1" and label.tzinfo is None:
                return midnight_ns(label.date())
            if label.tzinfo is None:
                label = label.replace(tzinfo=layout.time_zone)
            return self.of_instant(nanoseconds(label))
        except (ValueError, OverflowError, OSError):
            return None
