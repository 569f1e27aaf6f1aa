"""Journal segments as a source for the pump: again, at recorded speed or faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from kite_broker_zerodha.frames import FRAME_INDEX
from kite_live_feed.journal import Chunk, Position
from kite_live_feed.journal.layout import START
from kite_live_feed.journal.reader import read_file
from kite_runtime.clock import Clock

PACED_BYTES: Final = 16 * 1024
NS: Final = 1_000_000_000
_RECV: Final = FRAME_INDEX.index("ts_recv_ns")


class ReplayReader:
    """The frames of segment files in order; feed events in them are left out.

    ``speed`` 1 keeps the recorded distances, 10 is ten times as fast, 0 does not wait. It has the
    two calls that the pump makes of a journal reader.
    """

    def __init__(self, files: Sequence[Path], speed: float, clock: Clock) -> None:
        self._files = files
        self._speed = speed
        self._clock = clock
        self._chunks = self._all()
        self._next: Chunk | None = None
        self._first_ns: int | None = None
        self._started_s = clock.monotonic_s()
        self.frames = 0
        self.finished = False

    def read_chunk(self, max_bytes: int) -> Chunk | None:
        """The next chunk if it is due, else None. Raises NotAJournalFile."""
        if self._next is None and not self.finished:
            self._next = next(self._chunks, None)
            self.finished = self._next is None
        chunk = self._next
        if chunk is None or not self._due(chunk):
            return None
        self._next = None
        self.frames += len(chunk.frames)
        return chunk

    def seek(self, position: Position) -> None:
        self._chunks = (each for each in self._all() if each.position_after > position)
        self._next = None
        self.finished = False

    def _due(self, chunk: Chunk) -> bool:
        if self._speed == 0 or len(chunk.frames) == 0:
            return True
        recv_ns = int(chunk.frames[0, _RECV])
        if self._first_ns is None:
            self._first_ns = recv_ns
        passed_s = self._clock.monotonic_s() - self._started_s
        return (recv_ns - self._first_ns) / NS <= passed_s * self._speed

    def _all(self) -> Iterator[Chunk]:
        """Every chunk, its position counted by file, because segments of two runs share numbers."""
        size = PACED_BYTES if self._speed else 16 * PACED_BYTES
        for number, path in enumerate(self._files, start=1):
            for chunk in read_file(path, size):
                after = Position(number, chunk.position_after.offset)
                yield replace(chunk, events=[], position_after=after)


class ReplayCursor:
    """The acknowledged position of a replay, in memory only."""

    def __init__(self) -> None:
        self.position: Position = START

    def advance(self, position: Position) -> bool:
        self.position = position
        return True
