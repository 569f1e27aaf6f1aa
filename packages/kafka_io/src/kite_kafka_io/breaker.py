"""Raises the alarm when too much becomes dead letters (pure: time is an argument).

A misconfiguration can turn a whole feed into dead letters, one quiet record at a time. The breaker
watches their share over a window and how many came in a row, reports once that a limit is passed,
and once that it is over. It only reports: nothing is dropped, held back or stopped here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kite_runtime.errors import ConfigurationError

_BUCKETS: Final = 60


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When it is too much.

    ``share`` of the records in the last ``window_s`` seconds, if ``least`` of them are dead, or
    ``in_a_row`` dead letters without a good record between them. It is over when the share has
    stayed below half of ``share`` for ``clear_s`` seconds.
    Raises ConfigurationError for limits that make no sense.
    """

    share: float = 0.01
    window_s: float = 60.0
    least: int = 20
    in_a_row: int = 1_000
    clear_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigurationError(f"a share of {self.share} is not above 0 and up to 1")
        if self.window_s <= 0 or self.clear_s < 0 or self.least < 1 or self.in_a_row < 1:
            raise ConfigurationError("the breaker's window and counts must be positive")


@dataclass(frozen=True, slots=True)
class BreakerState:
    """How things stand: dead and all records in the window, the run of dead ones, since when the
    alarm is on (None: it is off) and the reason that most of the dead have."""

    dead: int
    records: int
    in_a_row: int
    since_s: float | None
    reason: str | None

    @property
    def share(self) -> float:
        """The share of dead letters in the window."""
        return self.dead / self.records if self.records else 0.0

    def __str__(self) -> str:
        most = f", most are {self.reason}" if self.reason else ""
        return f"{self.dead} of {self.records} records are dead letters ({self.share:.1%}){most}"


@dataclass(slots=True)
class _Bucket:
    ends_s: float
    good: int
    dead: Counter[str]


class Breaker:
    """Not thread-safe. Its memory does not depend on how many records pass."""

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self.limits = limits if limits is not None else BreakerLimits()
        self._width_s = self.limits.window_s / _BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self._in_a_row = 0
        self._since_s: float | None = None
        self._well_since_s: float | None = None

    @property
    def open(self) -> bool:
        """Whether the alarm is on."""
        return self._since_s is not None

    def add(self, good: int, dead: Mapping[str, int], now_s: float) -> bool:
        """Some records more, the dead by reason. True when the alarm went on or off by it.

        Call it without records too, so that an alarm can end when nothing comes.
        """
        lost = sum(dead.values())
        self._in_a_row = self._in_a_row + lost if not good else 0
        self._forget(now_s)
        if good or lost:
            if not self._buckets or now_s >= self._buckets[-1].ends_s:
                self._buckets.append(_Bucket(now_s + self._width_s, 0, Counter()))
            self._buckets[-1].good += good
            self._buckets[-1].dead.update(dead)
        return self._decide(now_s)

    def state(self) -> BreakerState:
        """How things stood at the last ``add``."""
        dead: Counter[str] = Counter()
        for bucket in self._buckets:
            dead.update(bucket.dead)
        count = dead.total()
        good = sum(bucket.good for bucket in self._buckets)
        reason = dead.most_common(1)[0][0] if count else None
        return BreakerState(count, count + good, self._in_a_row, self._since_s, reason)

    def _forget(self, now_s: float) -> None:
        while self._buckets and self._buckets[0].ends_s <= now_s - self.limits.window_s:
            self._buckets.popleft()

    def _decide(self, now_s: float) -> bool:
        limits, state = self.limits, self.state()
        if self._since_s is None:
            too_many = state.dead >= limits.least and state.share > limits.share
            if too_many or state.in_a_row >= limits.in_a_row:
                self._since_s, self._well_since_s = now_s, None
                return True
            return False
        if state.share > limits.share / 2:
            self._well_since_s = None
            return False
        if self._well_since_s is None:
            self._well_since_s = now_s
        if now_s - self._well_since_s < limits.clear_s:
            return False
        self._since_s = None
        self._in_a_row = 0
        return True
