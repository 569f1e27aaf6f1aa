"""Which minutes of a day an instrument should have bars of, by the session calendar. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import Int64s
from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import SEGMENTS, DayKind, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns
from kite_runtime.clock import IST

_DAYS_BACK: Final = 14
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Hours:
    """The minutes of one day that a bar might be missing from, as minutes since midnight in India.

    ``minutes`` ascend; where ``inside`` is False the segment does not trade, although it does at
    that time on a usual day. ``is_closed``: it does not trade on that day at all;
    ``is_unverified``: a special session may have been held instead of what the calendar knows.
    """

    minutes: Int64s
    inside: npt.NDArray[np.bool_]
    is_closed: bool
    is_unverified: bool = False

    @property
    def expected(self) -> Int64s:
        return self.minutes[self.inside]


NO_HOURS: Final = Hours(_NONE, np.zeros(0, np.bool_), is_closed=False)


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
        return NO_HOURS
    own = _common(calendar, segment, classes, day)
    if found.kind is DayKind.REGULAR or (found.kind is DayKind.WEEKEND and not found.is_trading):
        every = np.ones(len(own), np.bool_)
        return Hours(own, every, not found.is_trading, found.is_unverified)
    if found.is_trading and not found.phases:
        return NO_HOURS
    usual = _NONE if day.weekday() >= 5 else _usual(calendar, segment, classes, day)
    perhaps = (found.doubtful_minutes() - midnight_ns(day)) // MINUTE_NS
    minutes = np.setdiff1d(np.union1d(usual, own), perhaps)
    return Hours(minutes, np.isin(minutes, own), is_closed=not found.is_trading)


def last_day_over(calendar: SessionCalendar, segments: Iterable[str], at: datetime) -> date:
    """The last day in India whose sessions in all of these segments have ended at ``at``."""
    today = at.astimezone(IST).date()
    at_ns = int(at.timestamp()) * 10**9
    known = [each for each in segments if each in SEGMENTS]
    phases = [phase for each in known for phase in calendar.day(each, today).phases]
    return today if all(phase.closes_ns <= at_ns for phase in phases) else today - timedelta(1)


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
