"""Numbers for the bars of a month: each instrument has the same slots. Pure.

A *cell* is one bar's place: ``instrument * slots + slot``. A *day* of an instrument is
``cell // slots_a_day``; whatever a rule looks at lies within one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import Int64s
from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import PhaseName, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, day_of, midnight_ns

CLOSED: Final = -32768
"""The session minute of a slot outside the session."""
UNVERIFIED: Final = 16_384
"""Added to the session minute of a slot in which a session was held, perhaps."""
_OPENS: Final = 555
"""When the equities usually open, in minutes since midnight."""
DAY_MINUTES: Final = 1440

Sessions = Callable[[str, date], npt.NDArray[np.int16]]
"""The session minute of each of a day's 1440 minutes on an exchange, or `CLOSED`."""


@dataclass(frozen=True)
class Month:
    """A month in India; ``first`` is its first day."""

    first: date

    @property
    def next(self) -> Month:
        return Month((self.first + timedelta(31)).replace(day=1))

    @property
    def days(self) -> int:
        return (self.next.first - self.first).days

    @property
    def starts_ns(self) -> int:
        return midnight_ns(self.first)

    @property
    def ends_ns(self) -> int:
        return midnight_ns(self.next.first)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


@dataclass(frozen=True)
class Grid:
    """The slots of one month at one bar length (1 or 1440 minutes)."""

    month: Month
    minutes: int

    @property
    def slots_a_day(self) -> int:
        return DAY_MINUTES // self.minutes

    @property
    def slots(self) -> int:
        return self.month.days * self.slots_a_day

    def cells(self, instrument: Int64s, ts_open_ns: Int64s) -> Int64s:
        return instrument * self.slots + (ts_open_ns - self.month.starts_ns) // self._slot_ns

    def instruments(self, cells: Int64s) -> Int64s:
        return cells // self.slots

    def times(self, cells: Int64s) -> Int64s:
        """ts_open_ns of each cell."""
        return self.month.starts_ns + cells % self.slots * self._slot_ns

    def days(self, cells: Int64s) -> Int64s:
        """Equal for cells of one instrument and day."""
        return cells // self.slots_a_day

    @property
    def _slot_ns(self) -> int:
        return self.minutes * MINUTE_NS


def month_of(ts_ns: int) -> Month:
    return Month(day_of(ts_ns).replace(day=1))


def month_starts(first_ns: int, last_ns: int) -> list[Month]:
    """The months from that of ``first_ns`` to that of ``last_ns``, both included."""
    found = [month_of(first_ns)]
    while found[-1].ends_ns <= last_ns:
        found.append(found[-1].next)
    return found


def calendar_sessions(calendar: SessionCalendar, phases: Sequence[PhaseName]) -> Sessions:
    """Sessions by the calendar.

    A minute is inside when any class of the segment's instruments trades in one of ``phases``: what
    class an instrument is of is not known here, and a bar that might be right stays. So do all
    bars of an exchange or a day whose hours are unknown, and of an old day that was not verified:
    there minutes besides the usual ones are UNVERIFIED more than they would be. So are minutes of
    a day with a halt in which trading may have gone on.
    """

    def sessions(exchange: str, day: date) -> npt.NDArray[np.int16]:
        try:
            classes = (None, *calendar.classes(exchange))
        except UnknownContractError:
            return _ALL_DAY
        days = [calendar.day(exchange, day, each) for each in classes]
        if any(each.is_trading and not each.phases for each in days):
            return _ALL_DAY
        minutes = np.concatenate([each.minutes(phases) for each in days])
        opening = np.concatenate([each.minutes() for each in days])
        found = np.full(DAY_MINUTES, CLOSED, np.int16)
        unverified = any(each.is_unverified for each in days)
        if unverified:
            found[:] = _ALL_DAY - _OPENS + UNVERIFIED
        if len(minutes):
            inside = np.unique((minutes - midnight_ns(day)) // MINUTE_NS)
            opens = (
                int((opening if len(opening) else minutes).min()) - midnight_ns(day)
            ) // MINUTE_NS
            found[inside] = inside - opens
        doubtful = [each.doubtful_minutes() for each in days]
        sure = [np.setdiff1d(minutes, own) for own in doubtful]
        perhaps = np.setdiff1d(np.concatenate(doubtful), np.concatenate(sure))
        found[(perhaps - midnight_ns(day)) // MINUTE_NS] += UNVERIFIED
        return found

    return sessions


_ALL_DAY: Final = np.arange(DAY_MINUTES, dtype=np.int16)


def session_table(grid: Grid, exchange: str, sessions: Sessions) -> npt.NDArray[np.int16]:
    """The session minute of each slot of the month; of a day bar 0 where the day trades, and
    UNVERIFIED where it is not known whether it did."""
    days = [sessions(exchange, grid.month.first + timedelta(n)) for n in range(grid.month.days)]
    table = np.stack(days)
    if grid.minutes == 1:
        return table.reshape(-1)
    perhaps = table >= UNVERIFIED - DAY_MINUTES
    known = ((table != CLOSED) & ~perhaps).any(axis=1)
    unknown = np.where(perhaps.any(axis=1), UNVERIFIED, CLOSED)
    return np.where(known, 0, unknown).astype(np.int16)
