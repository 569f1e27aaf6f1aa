"""The acknowledged position: everything before it is in Kafka.

Two slots in one small file, written in turn. A slot that was cut off by a crash fails its CRC and
the other one, a step older, counts: some records are then published twice, none is lost.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from kite_live_feed.journal.layout import FILE_MODE, START, Position

SLOT_BYTES: Final = 4096
"""One slot a disk block, so that no single failed write can hit both."""

_MAGIC: Final = 0x3143524A
_BODY: Final = struct.Struct("<QQQ")
_HEAD: Final = struct.Struct("<II")


class AckCursor:
    """Monotonic position on disk. ``advance`` costs one pwrite (about 2 µs), no fsync.

    The process may be killed at any moment; after a power failure the position may be an older
    one. ``found``: the file held a position; ``damaged``: it held only rubbish
    (the journal is then read from its oldest segment). ``problem`` is the last failure to write,
    None when the last write went well: the position in memory stays right meanwhile.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises OSError."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        if os.fstat(self._fd).st_size < 2 * SLOT_BYTES:
            os.posix_fallocate(self._fd, 0, 2 * SLOT_BYTES)
        data = os.pread(self._fd, SLOT_BYTES + _HEAD.size + _BODY.size, 0)
        slots = [slot for at in (0, SLOT_BYTES) if (slot := _unpack(data, at)) is not None]
        self._generation, self._position = max(slots, default=(0, START))
        self.found = bool(slots)
        self.damaged = not slots and any(data)
        self.problem: str | None = None

    @property
    def position(self) -> Position:
        """Everything before it is acknowledged; ``Position(0, 0)`` when nothing is."""
        return self._position

    def advance(self, position: Position) -> bool:
        """Acknowledge everything before ``position``; False, and no change, unless it is ahead."""
        if position <= self._position:
            return False
        self._position = Position(*position)
        self._generation += 1
        self._write()
        return True

    def persist(self) -> None:
        """Force the position to the disk; blocks. A crash of the process alone needs none of it."""
        if self.problem is not None:
            self._generation += 1
            self._write()
        try:
            os.fdatasync(self._fd)
        except OSError as exc:
            self.problem = f"the journal's position cannot be saved: {exc.strerror}"

    def reopen(self) -> None:
        """The folder was replaced: make the file again. Raises OSError."""
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        os.posix_fallocate(self._fd, 0, 2 * SLOT_BYTES)
        self._generation += 1
        self._write()

    def close(self) -> None:
        if self._fd >= 0:
            self.persist()
            os.close(self._fd)
            self._fd = -1

    def _write(self) -> None:
        body = _BODY.pack(self._generation, *self._position)
        slot = _HEAD.pack(_MAGIC, zlib.crc32(body)) + body
        try:
            written = os.pwrite(self._fd, slot, (self._generation & 1) * SLOT_BYTES)
        except OSError as exc:
            self.problem = f"the journal's position cannot be saved: {exc.strerror}"
            return
        self.problem = None if written == len(slot) else "the journal's position was cut off"


def _unpack(data: bytes, at: int) -> tuple[int, Position] | None:
    if len(data) < at + _HEAD.size + _BODY.size:
        return None
    magic, crc = _HEAD.unpack_from(data, at)
    body = data[at + _HEAD.size : at + _HEAD.size + _BODY.size]
    if magic != _MAGIC or crc != zlib.crc32(body):
        return None
    generation, segment, offset = _BODY.unpack(body)
    return generation, Position(segment, offset)
