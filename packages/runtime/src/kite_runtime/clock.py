"""Time as a port: the session asks its clock, tests turn the hands themselves."""

from __future__ import annotations

import asyncio
import time
from datetime import date, datetime, timedelta, timezone
from typing import Final, Protocol

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
"""India's time, the same all year."""


def today() -> date:
    """The day in India."""
    return datetime.now(IST).date()


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
