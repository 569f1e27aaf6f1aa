"""The market's past as minutes: the same seed and the same token give the same bars, always. Pure.

Each trading day is a walk on the tick grid of its own, from the price at which the feed opens to
the close that the feed sends of the day before. So a chart and the feed agree on any date: the
first minute of a day opens where the first tick is, and the last one before it closes at the
tick's ``close``. In between they differ: the feed's moves depend on who listens, and how long.

A minute is made of 6 steps of 10 s; the running one has those that have passed. About one minute
in a hundred has no trade and is padded flat with no volume, as Kite does. Indices have no volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.packets import Segment, segment_of
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import midnight_ns
from kite_runtime.clock import IST
from kite_simulator.faults import ScriptError, script_lines
from kite_simulator.market import origin_of

Int64s = npt.NDArray[np.int64]

FIRST_DAY: Final = date(2015, 2, 2)
"""Kite's own minutes begin about here."""
_MINUTE_NS: Final = 60_000_000_000
_STEP_NS: Final = 10_000_000_000
_STEPS: Final = _MINUTE_NS // _STEP_NS
_QUIET: Final = 100
_DAYS_CACHED: Final = 512

FIELDS: Final = ("time_ns", "open", "high", "low", "close", "volume", "oi")


@dataclass(frozen=True, slots=True)
class Lost:
    """Minutes of ``[since, until)`` that Kite has not, although they were traded."""

    token: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Restated:
    """A corporate action: everything before ``ex_day`` is multiplied by ``ratio``, volumes divided
    by it, as after a bonus or a split. Such prices are rounded to the paisa, not to the tick."""

    token: int
    ex_day: date
    ratio: Fraction


class History:
    """Bars of any token that the calendar's segments know. Safe from many threads.

    ``calendar`` is asked for when the first bar is, because loading one takes a second.
    """

    def __init__(
        self, seed: int, calendar: Callable[[], SessionCalendar] = SessionCalendar.load
    ) -> None:
        self._seed = seed
        self._load = calendar
        self._calendar: SessionCalendar | None = None
        self._lock = Lock()
        self._lost: list[Lost] = []
        self._restated: list[Restated] = []
        self._steps = lru_cache(maxsize=_DAYS_CACHED)(self._make_steps)

    def change(self, *, lost: Iterable[Lost] = (), restated: Iterable[Restated] = ()) -> None:
        """From now on these minutes are missing, and these stretches are restated."""
        with self._lock:
            self._lost.extend(lost)
            self._restated.extend(restated)

    def forget_changes(self) -> None:
        with self._lock:
            self._lost.clear()
            self._restated.clear()

    def minutes(self, token: int, first: datetime, last: datetime, now: datetime) -> Int64s:
        """Minutes that open from ``first`` to ``last``, both included, as they stand at ``now``:
        one row of `FIELDS` each, prices in the wire's integers. All times are aware."""
        now_ns = _ns(now)
        span = _ns(first), min(_ns(last), now_ns)
        day, ends = max(first.astimezone(IST).date(), FIRST_DAY), _day(min(last, now))
        parts = []
        while day <= ends:
            bars = self._bars(token, day, now_ns)
            parts.append(bars[(bars[:, 0] >= span[0]) & (bars[:, 0] <= span[1])])
            day += timedelta(days=1)
        bars = np.concatenate(parts) if parts else np.empty((0, len(FIELDS)), np.int64)
        return self._changed(token, bars)

    def opening_of(self, token: int, day: date) -> int | None:
        """When trading begins on this day, in ns; None where it does not."""
        times = self._sessions().expected_minutes(segment_name(token), day)
        return int(times[0]) if len(times) else None

    def _bars(self, token: int, day: date, now_ns: int) -> Int64s:
        times, prices, volumes, oi = self._steps(token, day)
        if not len(times):
            return np.empty((0, len(FIELDS)), np.int64)
        bars = np.empty((len(times), len(FIELDS)), np.int64)
        bars[:, 0], bars[:, 1], bars[:, 4] = times, prices[:, 0], prices[:, -1]
        bars[:, 2], bars[:, 3] = prices.max(axis=1), prices.min(axis=1)
        bars[:, 5], bars[:, 6] = volumes.sum(axis=1), oi
        running = np.flatnonzero((times <= now_ns) & (now_ns < times + _MINUTE_NS))
        for row in running.tolist():
            passed = int((now_ns - times[row]) // _STEP_NS) + 1
            part = prices[row, :passed]
            bars[row, 2:6] = part.max(), part.min(), part[-1], volumes[row, :passed].sum()
        return bars

    def _make_steps(self, token: int, day: date) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """Times, prices and volumes of each minute's steps, and open interest."""
        times = self._sessions().expected_minutes(segment_name(token), day)
        count, origin = len(times), origin_of(self._seed, token)
        random = np.random.Generator(np.random.PCG64((self._seed, token, day.toordinal())))
        quiet = random.integers(0, _QUIET, count) == 0
        if count:
            quiet[[0, -1]] = False
        moves = random.integers(-2, 3, (count, _STEPS))
        walk = np.cumsum(moves).reshape(count, _STEPS)
        prices = origin.opening + _bridged(walk, origin.opening, origin.close, origin.tick)
        for row in np.flatnonzero(quiet).tolist():
            prices[row] = prices[row - 1, -1]
        volumes = random.integers(1, 60, (count, _STEPS)) * origin.lot
        volumes[quiet] = 0
        drift = np.cumsum(random.integers(-20, 21, count)) * origin.lot
        oi = np.maximum(origin.oi + drift, origin.lot) if origin.oi else drift * 0
        return times, np.maximum(prices, origin.tick), volumes, oi

    def _changed(self, token: int, bars: Int64s) -> Int64s:
        with self._lock:
            lost = [each for each in self._lost if each.token == token]
            restated = [each for each in self._restated if each.token == token]
        for stretch in lost:
            gone = (bars[:, 0] >= _ns(stretch.since)) & (bars[:, 0] < _ns(stretch.until))
            bars = bars[~gone]
        for action in restated:
            old = bars[:, 0] < midnight_ns(action.ex_day)
            above, below = action.ratio.numerator, action.ratio.denominator
            bars[old, 1:5] = (bars[old, 1:5] * above + below // 2) // below
            bars[old, 5] = bars[old, 5] * below // above
        return bars

    def _sessions(self) -> SessionCalendar:
        with self._lock:
            if self._calendar is None:
                self._calendar = self._load()
            return self._calendar


def segment_name(token: int) -> str:
    return Segment(segment_of(token)).name


def _bridged(walk: Int64s, opening: int, close: int, tick: int) -> Int64s:
    """The walk on the tick grid, tilted so that it begins at 0 and ends at the close."""
    if not walk.size:
        return walk
    flat = walk.ravel() - walk.ravel()[0]
    missing = (close - opening) // tick - int(flat[-1])
    tilt = missing * np.arange(walk.size) // max(walk.size - 1, 1)
    bridged: Int64s = ((flat + tilt) * tick).reshape(walk.shape)
    return bridged


def _day(time: datetime) -> date:
    return time.astimezone(IST).date()


def _ns(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000_000


@dataclass(frozen=True, slots=True)
class HistoryChanges:
    """What differs from the history of the seed."""

    lost: tuple[Lost, ...] = ()
    restated: tuple[Restated, ...] = ()


UNCHANGED: Final = HistoryChanges()


def parse_history_script(text: str) -> HistoryChanges:
    """Read changes, one a line or between semicolons, ``#`` for comments. Raises ScriptError.

        lost TOKEN FROM UNTIL          minutes that were traded and that Kite does not have
        restated TOKEN EX_DAY RATIO    a corporate action: earlier prices times 1/2, for example

    Times are in India, such as 2026-06-01T10:00; UNTIL is not included.
    """
    found = [_parse_line(line) for line in script_lines(text)]
    return HistoryChanges(
        tuple(each for each in found if isinstance(each, Lost)),
        tuple(each for each in found if isinstance(each, Restated)),
    )


def _parse_line(line: str) -> Lost | Restated:
    try:
        match line.split():
            case ["lost", token, since, until]:
                lost = Lost(int(token), _time(since), _time(until))
                if lost.since < lost.until:
                    return lost
            case ["restated", token, day, ratio]:
                restated = Restated(int(token), date.fromisoformat(day), Fraction(ratio))
                if restated.ratio > 0:
                    return restated
    except (ValueError, ZeroDivisionError):
        pass  # reported below, like a line of another form
    raise ScriptError(
        f"history script: {line!r} is neither `lost TOKEN FROM UNTIL` nor "
        "`restated TOKEN EX_DAY RATIO`"
    )


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=IST)
