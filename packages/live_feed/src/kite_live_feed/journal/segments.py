"""A journal's folder: its limits and lock, its segment files and where their data end."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from kite_live_feed.errors import JournalLocked, JournalUnusable
from kite_live_feed.journal.layout import ANY_STAMP

_NAME: Final = re.compile(r"([0-9]{12})-([0-9a-f]{8})\.journal")
_BLOCK_BYTES: Final = 1024 * 1024


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
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
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
