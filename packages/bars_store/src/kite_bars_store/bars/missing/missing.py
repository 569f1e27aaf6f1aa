"""Which minutes have no golden bar, and why. Pure; vectorised over columns.

    missing = explain(watched, days, held_of, silences, calendar)

    missing.by_cause()                    # {Cause.NO_TRADE: 12, Cause.UNEXPLAINED: 3, …}
    missing.by_symbol()                   # {"NSE:SBIN": {Cause.NO_TRADE: 12}, …}
    missing.by_day()                      # {date(2026, 6, 1): {Cause.UNEXPLAINED: 3}, …}
    missing.unexplained                   # minutes; not 0 is a finding (exit code 3)
    missing.holes()                       # runs: symbol, since (aware), minutes, cause
    missing.expected, missing.present     # minutes, int32 [instrument, day]

``watched`` are the instruments (`Watched`), ``days`` dates in India, ``held_of(day)`` gives the
golden bars of a day (`Held`), so that one day at a time is in memory. Over the tables
``coverage.missing_minutes(connection, listed, first, last, calendar)`` does all of it.

Causes, the first that holds:

    HOLIDAY           the segment is closed on this weekday
    OUTSIDE_SESSION   it trades on this day, but not in this minute as on a usual one
    NOT_LISTED        before the listing or after the expiry
    NO_TRADE          two sources have bars before and after it on this day, neither has this one,
                      and so long a silence may happen
    OUTAGE            a recorded outage of the feed that was not healed covers it
    NO_TRADE          one source alone has the day, and so long a silence is nothing unusual
    UNVERIFIED_DAY    none of them, and the hours of the day are not known with certainty: a special
                      session may have been held on it
    NO_BARS           none of them, and the instrument has no bar on that day at all
    UNEXPLAINED       none of them

NO_TRADE is a judgement: if a share q of the day's other minutes is without a trade, one expects
n·q^k runs of k such minutes among n. Of one source's bars 1 % is enough to take a silence for one
without a trade, of two that agree a millionth. So a liquid stock may miss one minute, or three that
neither source has, and an option that trades ten times a day may be silent for hours. A day without
any bar is judged by the instrument's other days in the same way. A minute that a source pads flat
is there and not missing. An index has no volume at any time, so it has no minute without a trade:
what is missing of it is UNEXPLAINED, or NO_BARS. A day that is not over has no missing minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import Columns, Int64s, concat
from kite_bars_store.bars.missing.day_sheet import (
    CAUSES,
    CODE,
    SELDOM,
    UNEXPLAINED,
    Cause,
    Held,
    Sheet,
    Silence,
    Watched,
    no_runs,
    quiet_share,
    runs_of,
)
from kite_bars_store.bars.missing.expected import NO_HOURS, hours
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import ist, midnight_ns

__all__ = [
    "CAUSES",
    "UNEXPLAINED",
    "Cause",
    "Held",
    "Hole",
    "Missing",
    "Silence",
    "Watched",
    "days_between",
    "explain",
]


class Hole(NamedTuple):
    """A run of missing minutes of one cause."""

    symbol: str
    since: datetime
    minutes: int
    cause: Cause


@dataclass(frozen=True)
class Missing:
    """All that is missing. ``runs`` has a row a run of minutes of one cause on one day, by day and
    instrument: ``instrument``, ``day`` (index into ``days``), ``since_ns``, ``minutes``, ``cause``
    (index into `CAUSES`). ``expected`` and ``present`` count minutes of the session, ``traded``
    those of them with a volume; int32 [instrument, day]."""

    watched: Sequence[Watched]
    days: Sequence[date]
    runs: Columns
    expected: npt.NDArray[np.int32]
    present: npt.NDArray[np.int32]
    traded: npt.NDArray[np.int32]

    def table(self) -> Int64s:
        """Missing minutes by [instrument, day, cause]."""
        shape = len(self.watched), len(self.days), len(CAUSES)
        found = np.zeros(shape, np.int64)
        where = self.runs["instrument"], self.runs["day"], self.runs["cause"]
        np.add.at(found, where, self.runs["minutes"])
        return found

    def by_cause(self) -> dict[Cause, int]:
        return _counts(self.table().sum(axis=(0, 1)))

    def by_symbol(self) -> dict[str, dict[Cause, int]]:
        sums = self.table().sum(axis=1)
        return {each.name: _counts(sums[row]) for row, each in enumerate(self.watched)}

    def by_day(self) -> dict[date, dict[Cause, int]]:
        sums = self.table().sum(axis=0)
        return {day: _counts(sums[row]) for row, day in enumerate(self.days)}

    @property
    def unexplained(self) -> int:
        """Minutes of any cause of `UNEXPLAINED`."""
        counts = self.by_cause()
        return sum(counts.get(cause, 0) for cause in UNEXPLAINED)

    def holes(self, *causes: Cause) -> Iterator[Hole]:
        """The runs of these causes, or of all."""
        wanted = np.isin(self.runs["cause"], [CODE[cause] for cause in causes or CAUSES])
        names = ("instrument", "since_ns", "minutes", "cause")
        for row in zip(*(self.runs[name][wanted].tolist() for name in names), strict=True):
            yield Hole(self.watched[row[0]].name, ist(row[1]), row[2], CAUSES[row[3]])


def days_between(first: date, last: date) -> list[date]:
    """All dates, both included."""
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def explain(
    watched: Sequence[Watched],
    days: Sequence[date],
    held_of: Callable[[date], Held],
    silences: Sequence[Silence],
    calendar: SessionCalendar,
    over: date = date.max,
) -> Missing:
    """The minutes of these days without a golden bar, and the cause of each; ``over`` is the last
    day that is."""
    groups: dict[tuple[str, str | None], list[int]] = {}
    for row, each in enumerate(watched):
        groups.setdefault((each.segment, each.stock_class), []).append(row)
    shape = len(watched), len(days)
    expected, present, traded = (np.zeros(shape, np.int32) for _ in range(3))
    parts: list[Columns] = [no_runs()]
    for number, day in enumerate(days):
        held = held_of(day)
        for (segment, stock_class), members in groups.items():
            rows = np.array(members, np.int64)
            its_hours = hours(calendar, segment, stock_class, day) if day <= over else NO_HOURS
            sheet = Sheet.of(watched, rows, day, its_hours, held, silences)
            expected[rows, number] = (sheet.expected).sum(axis=1)
            present[rows, number] = (sheet.expected & (sheet.sources > 0)).sum(axis=1)
            traded[rows, number] = (sheet.expected & sheet.traded).sum(axis=1)
            parts.append(runs_of(sheet, rows, number, midnight_ns(day)))
    runs = concat(parts)
    _judge_empty_days(watched, runs, expected, present, traded)
    order = np.lexsort((runs["since_ns"], runs["instrument"], runs["day"]))
    ordered = {name: column[order] for name, column in runs.items() if name != "whole"}
    return Missing(watched, days, ordered, expected, present, traded)


def _judge_empty_days(
    watched: Sequence[Watched],
    runs: Columns,
    expected: npt.NDArray[np.int32],
    present: npt.NDArray[np.int32],
    traded: npt.NDArray[np.int32],
) -> None:
    """Days without any bar of instruments that hardly trade: NO_TRADE, by their other days."""
    is_traded = np.array([each.is_traded for each in watched], np.bool_)
    whole = np.flatnonzero(runs["whole"])
    whole = whole[is_traded[runs["instrument"][whole]]]
    if not len(whole):
        return
    instrument = runs["instrument"][whole]
    known = np.where(present > 0, expected, 0).sum(axis=1, dtype=np.int64)[instrument]
    trades = traded.sum(axis=1, dtype=np.int64)[instrument]
    share = quiet_share(known - trades, known)
    silent = np.power(share, expected[instrument, runs["day"][whole]]) >= SELDOM
    runs["cause"][whole[silent & (known > 0)]] = CODE[Cause.NO_TRADE]


def _counts(sums: Int64s) -> dict[Cause, int]:
    return {cause: int(count) for cause, count in zip(CAUSES, sums, strict=True) if count}
