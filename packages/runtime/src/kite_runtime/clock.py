"""Time as a port: the session asks its clock, tests turn the hands themselves."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the session needs to know about time."""

    def monotonic_s(self) -> float:
        """Seconds that only grow; for durations."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; for receive times."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds of ``monotonic_s``."""


class SystemClock:
    """The machine's own time."""

    monotonic_s = staticmethod(time.monotonic)
    now_ns = staticmethod(time.time_ns)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
