"""The bridge's own way: intake, journal, pump and producer, as the live bridge puts them together.

Only the socket is missing: frames are handed to the intake. After each frame the pump has its turn,
as if each came by a read of its own; it takes it or, after a small chunk, rests first, as it does
live. ``queued`` hands over as many frames as one read of the socket may hold before the pump has
its turn, as it is when frames come quicker than they are published.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.measure import NotMeasured
from benchmarks.ways import SESSION
from kite_broker_zerodha.frames import count_slots
from kite_broker_zerodha.session.events import Connected
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.counters import Counters
from kite_live_feed.intake import Intake
from kite_live_feed.journal import Chunk, Journal, Position
from kite_live_feed.journal.layout import RecordKind
from kite_live_feed.journal.scan import Row, make_chunk
from kite_live_feed.options import JournalOptions
from kite_live_feed.pump import Pump
from kite_live_feed.topics import Topics
from kite_runtime.clock import SystemClock

SHARD = 0
WAIT_S = 0.001
SOCKET_READ_BYTES = 64 * 1024
"""A quarter of what asyncio reads at once."""


class JournaledBridge:
    """Frames through the real intake and the real journal, in a folder of their own."""

    def __init__(self, settings: KafkaSettings, topic: str, *, queued: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-journal-")
        self._journal = Journal(Path(self._folder.name), JournalOptions())
        self._queued = queued
        clock, counters = SystemClock(), Counters()
        self._intake = Intake(
            feed="bench",
            writer=self._journal.writer,
            counters=counters,
            clock=clock,
            wake=lambda: None,
            tokens_of=lambda _: (),
        )
        self._pump = Pump(
            self._journal.reader,
            self._journal.cursor,
            settings,
            SingleObjectFraming(),
            Topics(ticks=topic, events=topic, dead=topic),
            counters,
        )
        self._intake.on_event(Connected(SHARD, SESSION, time.time_ns()))

    def run(self, frames: Sequence[bytes]) -> None:
        """Publish these frames and return when the last record is acknowledged."""
        intake, pump, waiting = self._intake, self._pump, 0
        for frame in frames:
            intake.on_frame(SHARD, frame, time.time_ns())
            if self._queued:
                waiting += len(frame)
                if waiting < SOCKET_READ_BYTES:
                    continue
                waiting = 0
            if pump.step():
                pump.collect()
        writer, cursor = self._journal.writer, self._journal.cursor
        while cursor.position < writer.end:
            if not pump.step():
                pump.wait(WAIT_S)
            pump.collect()

    def close(self) -> None:
        """Leave Kafka and remove the journal."""
        self._pump.close()
        self._journal.close()
        self._folder.cleanup()


class UnjournaledBridge:
    """The same pump fed from memory: what the bridge would be without its journal."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._memory = _Memory()
        self._seq = 0
        self._pump = Pump(
            cast(Any, self._memory),
            cast(Any, self._memory),
            settings,
            SingleObjectFraming(),
            Topics(ticks=topic, events=topic, dead=topic),
            Counters(),
        )

    def run(self, frames: Sequence[bytes]) -> None:
        """Publish these frames and return when the last record is acknowledged."""
        memory, pump = self._memory, self._pump
        for frame in frames:
            memory.frames.append((frame, time.time_ns(), self._seq))
            self._seq += count_slots(frame)
            if pump.step():
                pump.collect()
        while memory.frames or not pump.idle:
            if not pump.step():
                pump.wait(WAIT_S)
            pump.collect()

    def close(self) -> None:
        """Leave Kafka."""
        self._pump.close()


class _Memory:
    """A queue in the place of the journal: source and acknowledged position of a pump."""

    def __init__(self) -> None:
        self.frames: deque[tuple[bytes, int, int]] = deque()
        self.position = Position(0, 0)

    def read_chunk(self, max_bytes: int) -> Chunk | None:
        taken: list[tuple[bytes, int, int]] = []
        size = 0
        while self.frames and size < max_bytes:
            taken.append(self.frames.popleft())
            size += len(taken[-1][0])
        if not taken:
            return None
        ends = list(accumulate(len(frame) for frame, _, _ in taken))
        rows = [
            Row(end - len(frame), end, ts_recv_ns, SESSION, seq, int(RecordKind.FRAME), SHARD)
            for end, (frame, ts_recv_ns, seq) in zip(ends, taken, strict=True)
        ]
        buffer = np.frombuffer(b"".join(frame for frame, _, _ in taken), np.uint8)
        after = Position(0, self.position.offset + size)
        return make_chunk(buffer, rows, [], 0, self.position, after)

    def seek(self, position: Position) -> None:
        raise NotMeasured("the producer failed, and a queue in memory cannot go back")

    def advance(self, position: Position) -> bool:
        self.position = position
        return True
