"""One day of several instruments as a sheet: a row each, a column a minute, and what is missing in
it. Pure; what the causes mean is in ``missing``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import Columns, Int64s, run_starts
from kite_bars_store.bars.missing.expected import Hours
from kite_contracts.sessions import INDICES
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns

SELDOM: Final = 1e-2
"""A silence that a smaller share of days has is not taken for one without a trade."""
SELDOM_BOTH: Final = 1e-6
"""The same where two sources have bars before and after it and neither has one in it."""
DAY_MINUTES: Final = 1440

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Cause(StrEnum):
    """Why a minute has no golden bar."""

    HOLIDAY = "HOLIDAY"
    OUTSIDE_SESSION = "OUTSIDE_SESSION"
    NOT_LISTED = "NOT_LISTED"
    NO_TRADE = "NO_TRADE"
    OUTAGE = "OUTAGE"
    UNVERIFIED_DAY = "UNVERIFIED_DAY"
    NO_BARS = "NO_BARS"
    UNEXPLAINED = "UNEXPLAINED"


UNEXPLAINED: Final = (Cause.UNEXPLAINED, Cause.NO_BARS, Cause.UNVERIFIED_DAY)
"""What no cause explains: on any day, on one without any bar, on one of uncertain hours."""
CAUSES: Final = tuple(Cause)
"""Their order in the columns."""
CODE: Final = {cause: code for code, cause in enumerate(CAUSES)}


@dataclass(frozen=True)
class Watched:
    """An instrument that bars are expected of. ``segment`` and ``stock_class`` are the calendar's;
    ``listed_from`` is included, ``listed_until`` is not; None where it is not known."""

    name: str
    segment: str
    stock_class: str | None = None
    listed_from: date | None = None
    listed_until: date | None = None

    @property
    def is_traded(self) -> bool:
        """False for an index: it has no volume at any time, so no minute is one without a trade."""
        return self.segment != INDICES

    def is_listed(self, day: date) -> bool:
        return (self.listed_from is None or self.listed_from <= day) and (
            self.listed_until is None or day < self.listed_until
        )


@dataclass(frozen=True)
class Held:
    """Golden minute bars of one day, in any order. ``instrument`` is an index into the watched;
    ``sources`` is 2 where two sources say something of the minute, else 1; ``traded``: its volume
    is not 0."""

    instrument: Int64s
    ts_open_ns: Int64s
    sources: npt.NDArray[np.int8]
    traded: Bools


@dataclass(frozen=True)
class Silence:
    """A gap of the feed, ``[since_ns, until_ns)``. ``instruments`` None: of all."""

    since_ns: int
    until_ns: int
    instruments: frozenset[int] | None = None


@dataclass(frozen=True)
class Sheet:
    """One day of the instruments of one kind: a row each, a column a minute of ``minutes``.
    ``is_traded`` as that of `Watched`; ``is_empty``: whether a row's day has no bar at all."""

    minutes: Int64s
    inside: Bools
    is_closed: bool
    is_unverified: bool
    listed: Bools
    is_empty: Bools
    sources: npt.NDArray[np.int8]
    traded: Bools
    silent: Bools
    is_traded: bool = True

    @property
    def expected(self) -> Bools:
        return self.listed[:, None] & self.inside[None, :]

    @classmethod
    def of(
        cls,
        watched: Sequence[Watched],
        rows: Int64s,
        day: date,
        its_hours: Hours,
        held: Held,
        silences: Sequence[Silence],
    ) -> Sheet:
        shape = len(rows), len(its_hours.minutes)
        row_of = np.full(len(watched), -1, np.int64)
        row_of[rows] = np.arange(len(rows))
        column_of = np.full(DAY_MINUTES, -1, np.int64)
        column_of[its_hours.minutes] = np.arange(len(its_hours.minutes))
        minute = (held.ts_open_ns - midnight_ns(day)) // MINUTE_NS
        row, column = row_of[held.instrument], column_of[minute]
        mine = (row >= 0) & (column >= 0)
        place = row[mine], column[mine]
        sources, traded = np.zeros(shape, np.int8), np.zeros(shape, np.bool_)
        sources[place], traded[place] = held.sources[mine], held.traded[mine]
        silent = np.zeros(shape, np.bool_)
        opens = midnight_ns(day) + its_hours.minutes * MINUTE_NS
        for each in silences:
            touched = (opens < each.until_ns) & (opens + MINUTE_NS > each.since_ns)
            if touched.any():
                named = each.instruments
                whose = [named is None or n in named for n in rows.tolist()]
                silent |= np.array(whose, np.bool_)[:, None] & touched[None, :]
        listed = np.array([watched[n].is_listed(day) for n in rows.tolist()], np.bool_)
        return cls(
            minutes=its_hours.minutes,
            inside=its_hours.inside,
            is_closed=its_hours.is_closed,
            is_unverified=its_hours.is_unverified,
            listed=listed,
            is_empty=~np.isin(rows, held.instrument),
            sources=sources,
            traded=traded,
            silent=silent,
            is_traded=all(watched[n].is_traded for n in rows.tolist()),
        )

    def causes(self) -> npt.NDArray[np.int8]:
        """The code of each minute's cause; -1 where nothing is missing."""
        found = np.full(self.sources.shape, -1, np.int8)
        gone = self.sources == 0
        found[gone] = CODE[Cause.UNVERIFIED_DAY if self.is_unverified else Cause.UNEXPLAINED]
        if not self.is_unverified:
            found[gone & self.is_empty[:, None]] = CODE[Cause.NO_BARS]
        odds = self._odds(gone & self.expected)
        some = np.max(self.sources, axis=1, initial=0)[:, None] > 0
        if self.is_traded:
            found[gone & some & (odds >= SELDOM)] = CODE[Cause.NO_TRADE]
        found[gone & self.silent] = CODE[Cause.OUTAGE]
        agreed = _between(self.sources > 1) & (odds >= SELDOM_BOTH)
        if self.is_traded:
            found[gone & agreed] = CODE[Cause.NO_TRADE]
        found[gone & ~self.listed[:, None]] = CODE[Cause.NOT_LISTED]
        outside = Cause.HOLIDAY if self.is_closed else Cause.OUTSIDE_SESSION
        found[gone & ~self.inside[None, :]] = CODE[outside]
        return found

    def _odds(self, gone: Bools) -> Floats:
        """Of each minute that is gone: how many silences as long as the one that it is in are to
        be expected at the day's rate of trading."""
        starts = run_starts(self.keys(gone).reshape(-1))
        run = np.diff(np.append(starts, gone.size))
        length = np.where(gone, np.repeat(run, run).reshape(gone.shape), 0)
        odds = self._expected_runs(length, length)
        # A long silence that is a loss tells nothing of the rate at which others happen.
        lost = np.where(odds < SELDOM, length, 0).max(axis=1, initial=0)[:, None]
        return self._expected_runs(length, length + np.where(length < lost, lost, 0))

    def _expected_runs(self, length: Int64s, others: Int64s) -> Floats:
        """At the rate of the day's minutes without ``others`` of them."""
        total = self.expected.sum(axis=1)[:, None]
        quiet = (self.expected & ~self.traded).sum(axis=1)[:, None]
        found: Floats = total * np.power(quiet_share(quiet - others, total - others), length)
        return found

    def keys(self, values: npt.NDArray[Any]) -> Int64s:
        """Equal for equal values (-1 to 14) in neighbouring minutes of a row; a break of the
        session parts them."""
        breaks = np.concatenate([[0], np.cumsum(np.diff(self.minutes) > 1)])
        rows = np.arange(len(values))[:, None] * DAY_MINUTES
        found: Int64s = (rows + breaks[None, :]) * 16 + values
        return found


def _between(there: Bools) -> Bools:
    """Where something is there before, and something after, in the same row."""
    before = np.logical_or.accumulate(there, axis=1)
    after = np.logical_or.accumulate(there[:, ::-1], axis=1)[:, ::-1]
    return before & after


def no_runs() -> Columns:
    names = ("instrument", "day", "since_ns", "minutes", "cause")
    return {**{name: np.empty(0, np.int64) for name in names}, "whole": np.empty(0, np.bool_)}


def runs_of(sheet: Sheet, rows: Int64s, day: int, midnight: int) -> Columns:
    """Runs of one cause in neighbouring minutes. ``whole`` marks what nothing explains on a day
    without any bar."""
    if not len(sheet.minutes):
        return no_runs()
    causes = sheet.causes()
    starts = run_starts(sheet.keys(causes).reshape(-1))
    length = np.diff(np.append(starts, causes.size))
    cause = causes.reshape(-1)[starts].astype(np.int64)
    keep = cause >= 0
    starts, length, cause = starts[keep], length[keep], cause[keep]
    row, column = starts // len(sheet.minutes), starts % len(sheet.minutes)
    return {
        "instrument": rows[row],
        "day": np.full(len(row), day, np.int64),
        "since_ns": midnight + sheet.minutes[column] * MINUTE_NS,
        "minutes": length,
        "cause": cause,
        "whole": np.isin(cause, [CODE[each] for each in UNEXPLAINED]) & sheet.is_empty[row],
    }


def quiet_share(quiet: Int64s, total: Int64s) -> Floats:
    """The share of minutes without a trade, where ``quiet`` of ``total`` were seen; one more of
    each kind, for a rate of 0 or 1 is never known for certain."""
    found: Floats = (np.maximum(quiet, 0) + 1) / (np.maximum(total, 0) + 2)
    return found
