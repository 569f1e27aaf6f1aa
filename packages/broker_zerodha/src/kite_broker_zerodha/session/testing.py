"""Fakes for tests of the session and of what is built on it: a clock set by hand, a recorder."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final, TypeVar

from kite_broker_zerodha.session.events import SessionEvent
from kite_broker_zerodha.wire import encode_frame

Event = TypeVar("Event")

PATIENCE_S: Final = 20.0
"""How long, in real time, a test waits for what must happen before it fails."""

START_NS: Final = 1_767_584_700_000_000_000


class ManualClock:
    """A clock that moves only by ``advance``; sleepers wake when their time is reached."""

    def __init__(self, start_ns: int = START_NS) -> None:
        self._start_ns = start_ns
        self._now_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []
        self._count = 0

    def monotonic_s(self) -> float:
        return self._now_ns / 1e9

    def now_ns(self) -> int:
        return self._start_ns + self._now_ns

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now_ns + int(seconds * 1e9), self._count, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking sleepers in order, each at its own time."""
        target_ns = self._now_ns + int(seconds * 1e9)
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= target_ns:
            due_ns, _, woken = heapq.heappop(self._sleepers)
            self._now_ns = max(self._now_ns, due_ns)
            woken.set()
            await _let_others_run()
        self._now_ns = target_ns
        await _let_others_run()


def frame_of(*tokens: int) -> bytes:
    """A frame with one ltp packet, of price 0, for each token."""
    return encode_frame([token.to_bytes(4, "big") + bytes(4) for token in tokens])


async def _let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Recorder:
    """A listener that keeps everything, and lets a test wait for it."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes, int]] = []
        self.events: list[SessionEvent] = []
        self._news = asyncio.Event()

    def on_frame(self, shard: int, payload: bytes, ts_recv_ns: int) -> None:
        self.frames.append((shard, payload, ts_recv_ns))
        self._news.set()

    def on_event(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._news.set()

    def all(self, kind: type[Event]) -> list[Event]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def event(self, kind: type[Event], number: int = 1) -> Event:
        """The ``number``-th event of a kind, as soon as it came."""
        await self.until(lambda: len(self.all(kind)) >= number)
        return self.all(kind)[number - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until frames or events make this true. Raises TimeoutError after PATIENCE_S."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()
