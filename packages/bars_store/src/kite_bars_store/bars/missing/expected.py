"""Which minutes of a day an instrument should have bars of, by the session calendar. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import Int64s
from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import DayKind, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns

_DAYS_BACK: Final = 14
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Hours:
    """The minutes of one day that a bar might be missing from, as minutes since midnight in India.

    ``minutes`` ascend; where ``inside`` is False the segment does not trade, although it does at
    that time on a usual day. ``is_closed``: it does not trade on that day at all.
    """

    minutes: Int64s
    inside: npt.NDArray[np.bool_]
    is_closed: bool

    @property
    def expected(self) -> Int64s:
        return self.minutes[self.inside]


def hours(calendar: SessionCalendar, segment: str, stock_class: str | None, day: date) -> Hours:
    """What to expect of the segment on this day; nothing where its hours are not known.

    Instruments whose class is not known (None) are only expected to trade in the minutes in which
    all classes of the segment do: a minute that may be outside their session is no missing one, nor
    is one in which a halt may have begun. A weekend has no minutes unless it trades.
    """
    try:
        classes = (stock_class,) if stock_class else (None, *calendar.classes(segment))
        found = calendar.day(segment, day)
    except UnknownContractError:
        return Hours(_NONE, np.zeros(0, np.bool_), is_closed=False)
    own = _common(calendar, segment, classes, day)
    if found.kind is DayKind.REGULAR or (found.kind is DayKind.WEEKEND and not found.is_trading):
        return Hours(own, np.ones(len(own), np.bool_), is_closed=not found.is_trading)
    if found.is_trading and not found.phases:
        return Hours(_NONE, np.zeros(0, np.bool_), is_closed=False)
    usual = _NONE if day.weekday() >= 5 else _usual(calendar, segment, classes, day)
    perhaps = (found.doubtful_minutes() - midnight_ns(day)) // MINUTE_NS
    minutes = np.setdiff1d(np.union1d(usual, own), perhaps)
    return Hours(minutes, np.isin(minutes, own), is_closed=not found.is_trading)


def _common(
    calendar: SessionCalendar, segment: str, classes: tuple[str | None, ...], day: date
) -> Int64s:
    """The minutes in which every class trades continuously."""
    common: Int64s | None = None
    for each in classes:
        opens = calendar.expected_minutes(segment, day, stock_class=each)
        minutes = (opens - midnight_ns(day)) // MINUTE_NS
        common = minutes if common is None else np.intersect1d(common, minutes)
    return _NONE if common is None else common


def _usual(
    calendar: SessionCalendar, segment: str, classes: tuple[str | None, ...], day: date
) -> Int64s:
    """Those of the last regular day before."""
    for back in range(1, _DAYS_BACK + 1):
        before = day - timedelta(back)
        if calendar.day(segment, before).kind is DayKind.REGULAR:
            return _common(calendar, segment, classes, before)
    return _NONE
