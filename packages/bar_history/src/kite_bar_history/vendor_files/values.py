"""What the values of a vendor's file mean: instruments and times. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files.layouts import END, EPOCH, ISO, Layout
from kite_bars_store.bars import BarInstrument
from kite_bars_store.bars.sql import nanoseconds
from kite_contracts.sessions.model import MINUTE_NS, day_of, midnight_ns
from kite_runtime.clock import IST

UNKNOWN: Final = -1
ASIDE: Final = -2
NOT_A_TIME: Final = -(1 << 62)
_TIMES_KEPT: Final = 1 << 17
"""Parsed times, about a year of minutes; some 40 MB."""


class Fault(NamedTuple):
    """Why a line is no bar: a code for machines and a message for people."""

    reason: str
    message: str


class Roster:
    """The instruments asked for, numbered; and which others exist.

    ``is_known`` (exchange, symbol) is true of an instrument that exists and was not asked for.
    """

    def __init__(self, asked: Sequence[Listed], is_known: Callable[[str, str], bool]) -> None:
        self.asked = tuple(asked)
        self._is_known = is_known
        self._numbers: dict[tuple[str, str], int] = {
            (each.instrument.exchange, each.instrument.tradingsymbol): at
            for at, each in enumerate(asked)
        }

    def number(self, exchange: str, symbol: str) -> int:
        """Its number, or `ASIDE`, or `UNKNOWN`."""
        key = (exchange, symbol)
        found = self._numbers.get(key)
        if found is None:
            found = ASIDE if self._is_known(exchange, symbol) else UNKNOWN
            self._numbers[key] = found
        return found

    def instruments(self, layout: Layout) -> list[BarInstrument]:
        """With the decimals that prices of this layout are kept with."""
        return [_at_scale(each.instrument, layout.price_decimals) for each in self.asked]


class OpenRoster(Roster):
    """Asks for every instrument that turns up, and takes this for its tick, times ``10**2``."""

    def __init__(self, tick_size: int) -> None:
        super().__init__((), lambda exchange, symbol: False)
        self._tick_size = tick_size

    def number(self, exchange: str, symbol: str) -> int:
        """Its number; a new one where it is new."""
        key = (exchange, symbol)
        if key not in self._numbers:
            listed = Listed(BarInstrument(exchange, symbol, 2, self._tick_size), exchange)
            self._numbers[key] = len(self.asked)
            self.asked = (*self.asked, listed)
        return self._numbers[key]


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
        """The instrument of a line; None where the file has no such column."""
        own = self.symbol if symbol is None else symbol.strip()
        where = self.exchange if exchange is None else exchange.strip()
        return where or self.exchange, self.layout.rename.get(own, own)


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
            day = _day(text.strip(), self._layout.date_format)
            begins = datetime.combine(day, time(), self._layout.time_zone)
            changes = begins.utcoffset() != (begins + timedelta(1)).utcoffset()
            return NOT_A_TIME if changes else nanoseconds(begins)
        except (ValueError, OverflowError):
            return NOT_A_TIME

    def moment_ns(self, text: str) -> int:
        """From the beginning of a day to when the bar opens; `NOT_A_TIME` for what is no time."""
        try:
            moment = _time(text.strip(), self._layout.time_format)
        except ValueError:
            return NOT_A_TIME
        label = datetime.combine(date.min, moment) - datetime.min
        return self.of_instant(label // timedelta(microseconds=1) * 1000)

    def of_instant(self, ts_ns: int) -> int:
        """From the nanoseconds of the label."""
        if self._layout.interval == "d1":
            return midnight_ns(day_of(ts_ns))
        return ts_ns - MINUTE_NS if self._layout.stamp == END else ts_ns

    def _opens_ns(self, date_text: str, time_text: str) -> int | None:
        """None for what is no time. A column that is not there is an empty text."""
        layout, date_text, time_text = self._layout, date_text.strip(), time_text.strip()
        try:
            if "time" not in layout.columns:
                return midnight_ns(_day(date_text, layout.date_format))
            if "date" not in layout.columns:
                label = _moment(time_text, layout.time_format)
            else:
                label = datetime.combine(
                    _day(date_text, layout.date_format),
                    _time(time_text, layout.time_format),
                )
            if layout.interval == "d1" and label.tzinfo is None:
                return midnight_ns(label.date())
            if label.tzinfo is None:
                label = label.replace(tzinfo=layout.time_zone)
            return self.of_instant(nanoseconds(label))
        except (ValueError, OverflowError, OSError):
            return None


@lru_cache(maxsize=1 << 14)
def _day(text: str, form: str) -> date:
    return date.fromisoformat(text) if form == ISO else datetime.strptime(text, form).date()


@lru_cache(maxsize=1 << 14)
def _time(text: str, form: str) -> time:
    return datetime.strptime(text, form).timetz()


def _moment(text: str, form: str) -> datetime:
    if form == ISO:
        return datetime.fromisoformat(text)
    if form == EPOCH:
        return datetime.fromtimestamp(int(text), IST)
    return datetime.strptime(text, form)
