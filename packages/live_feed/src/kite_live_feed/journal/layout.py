"""A journal's folder: its lock, its segment files, and how a record lies in one.

A record is a header of 48 bytes, little endian, and the payload right behind it:

    offset  0  magic         u32    "KJR1"
            4  kind          u8     RecordKind
            5  shard         u8     the connection it came over
            6  reserved      u16    0
            8  length        u32    bytes of the payload, at most PAYLOAD_BYTES_MAX
           12  payload_crc   u32    CRC-32 of the payload
           16  ts_recv_ns    i64    nanoseconds since the epoch, UTC
           24  feed_session  i64    0 where there is none
           32  first_seq     i64    feed_seq of the frame's first packet
           40  stamp         u32    the segment's own number, also in its file name
           44  header_crc    u32    CRC-32 of the 44 bytes before

After damage a reader looks for the next valid header. The stamp is random for each segment, so
that bytes which look like a record (a payload that quotes one, a disk block of an older segment)
are never taken for one.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import zlib
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from kite_live_feed.errors import JournalLocked, JournalUnusable, RecordTooLarge

MAGIC: Final = 0x31524A4B
HEADER_BYTES: Final = 48
FILE_MODE: Final = 0o600
"""Whatever the umask is: frames and texts of an account are nobody else's."""
PAYLOAD_BYTES_MAX: Final = 16 * 1024 * 1024

ANY_STAMP: Final = 0
"""Accept records of any segment: for a file whose name does not tell its stamp."""

_NAME: Final = re.compile(r"([0-9]{12})-([0-9a-f]{8})\.journal")
_BLOCK_BYTES: Final = 1024 * 1024

HEADER: Final = struct.Struct("<IBBHIIqqqII")
PREFIX: Final = struct.Struct("<IBBHIIqqqI")
HEADER_CRC: Final = struct.Struct("<I")


class RecordKind(IntEnum):
    """What a record's payload is."""

    FRAME = 1
    """One binary WebSocket message, as received."""
    EVENT = 2
    """One feed event, as its writer encoded it."""


class Position(NamedTuple):
    """A place in the journal; compares in writing order. ``Position(0, 0)`` is before all."""

    segment: int
    offset: int
    """Bytes from the start of the segment file; always at the edge of a record."""


START: Final = Position(0, 0)


def pack_header(
    kind: int,
    shard: int,
    payload: bytes,
    ts_recv_ns: int,
    feed_session: int,
    first_seq: int,
    stamp: int,
) -> bytes:
    """What lies in front of ``payload``. Raises RecordTooLarge for a value out of range."""
    sizes = (len(payload), zlib.crc32(payload))
    try:
        prefix = PREFIX.pack(
            MAGIC, kind, shard, 0, *sizes, ts_recv_ns, feed_session, first_seq, stamp
        )
    except struct.error as exc:
        raise RecordTooLarge(f"a journal header field is out of range: {exc}") from exc
    return prefix + HEADER_CRC.pack(zlib.crc32(prefix))


class Segment(NamedTuple):
    """One segment file. Names sort as numbers do; numbers grow and are never used twice."""

    number: int
    stamp: int
    path: Path


def segment_path(directory: Path, number: int, stamp: int) -> Path:
    """The file of a segment, for example ``000000000012-9f3ac1d2.journal``."""
    return directory / f"{number:012d}-{stamp:08x}.journal"


def segment_at(path: Path) -> Segment:
    """The segment in a file; number 0 and any stamp where the name does not tell."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return Segment(0, ANY_STAMP, path)
    return Segment(int(match[1]), int(match[2], 16), path)


def list_segments(directory: Path) -> list[Segment]:
    """The segments of a folder, oldest first. Raises OSError."""
    names = sorted(name for name in os.listdir(directory) if _NAME.fullmatch(name))
    return [segment_at(directory / name) for name in names]


def used_bytes(fd: int, size: int) -> int:
    """Where the trailing zeros of a file of ``size`` bytes begin.

    A preallocated file ends in zeros that were never written. A record may end in zeros too, so the
    true end is here or behind.
    """
    end = size
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        data = os.pread(fd, end - start, start)
        used = len(data.rstrip(b"\0"))
        if used:
            return start + used
        end = start
    return 0


def lock_directory(directory: Path) -> int:
    """Create the folder if need be and lock it; the descriptor that holds the lock, which the
    kernel releases when the process dies.

    Raises JournalLocked when another process (or another writer of this one) has it,
    JournalUnusable when the folder cannot be made or written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as exc:
        raise JournalUnusable(directory, exc) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Overwritten in place, so that a restart on a full disk needs no new block.
        os.pwrite(fd, b"%-20d" % os.getpid(), 0)
    except BlockingIOError as exc:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise JournalLocked(directory, holder) from exc
    except OSError as exc:
        os.close(fd)
        raise JournalUnusable(directory, exc) from exc
    return fd
