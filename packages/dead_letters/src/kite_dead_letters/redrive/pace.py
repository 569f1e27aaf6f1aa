"""So many records a second and no more (pure: time is an argument)."""

from __future__ import annotations


class Pace:
    """``rate`` is records a second; 0 is no limit. Times are seconds of any rising clock."""

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
