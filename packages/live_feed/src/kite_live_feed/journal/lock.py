"""One writer a journal folder: an flock that the kernel releases when its process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kite_live_feed.errors import JournalLocked, JournalUnusable


def lock_directory(directory: Path) -> int:
    """Create the folder if need be and lock it; the descriptor that holds the lock.

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
