"""How long to wait: before the next attempt to connect, and before the next record of a pace.

Pure: time and chance are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import Final

_EXPONENT_MAX: Final = 64
"""Far above any cap; keeps the power from growing without end."""


class Backoff:
    """Exponential waiting times with jitter, unlimited, capped at ``cap_s`` seconds.

    Half of each wait is fixed and half is chance, so that many clients do not return together and
    yet none hammers the server. The series restarts after a connection that lasted ``stable_s``:
    a flapping link keeps its long waits (the official client resets at each handshake and then
    retries every second without end).
    """

    def __init__(
        self,
        first_s: float,
        cap_s: float,
        factor: float = 2.0,
        stable_s: float = 30.0,
        chance: Callable[[], float] = random,
    ) -> None:
        if not (0 < first_s <= cap_s and factor >= 1 and stable_s >= 0):
            raise ValueError("a backoff needs 0 < first_s <= cap_s, factor >= 1 and stable_s >= 0")
        self._first_s = first_s
        self._cap_s = cap_s
        self._factor = factor
        self._stable_s = stable_s
        self._chance = chance
        self._failures = 0
        self._connected_at_s: float | None = None

    def connected(self, now_s: float) -> None:
        self._connected_at_s = now_s

    def next_wait_s(self, now_s: float) -> float:
        """The attempt or the connection failed: how many seconds to wait now."""
        since_s = self._connected_at_s
        self._connected_at_s = None
        if since_s is not None and now_s - since_s >= self._stable_s:
            self._failures = 0
        exponent = min(self._failures, _EXPONENT_MAX)
        self._failures += 1
        wait_s = min(self._cap_s, self._first_s * self._factor**exponent)
        return wait_s * (0.5 + 0.5 * self._chance())


class Pace:
    """At most so many records a second; 0 is no limit. Times are seconds of any rising clock."""

    def __init__(self, rate: float) -> None:
        if rate < 0:
            raise ValueError(f"a rate of {rate:g} records a second")
        self._gap_s = 1.0 / rate if rate else 0.0
        self._next_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """How long the next record has to wait; it then counts as sent."""
        start_s = max(now_s, self._next_s)
        self._next_s = start_s + self._gap_s
        return start_s - now_s
