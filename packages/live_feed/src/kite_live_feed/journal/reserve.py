"""Room for feed events in a journal that is full: a file that holds nothing but its place.

It counts as part of the journal's size. When frames find no room any more, a segment for events is
made at its cost; with the next segment for frames it gets its size back. So a disk that is full and
a limit that is reached are one case.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from kite_live_feed.journal.layout import FILE_MODE
from kite_live_feed.options import MIB

FILE_NAME: Final = "reserve"
BYTES_MAX: Final = 16 * MIB
SHARE: Final = 8
"""At most this part of the journal's limit, and of its disk."""


class Reserve:
    """``left`` bytes are taken on the disk for events, of ``size`` when nothing is used."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Open or create the file, with what the run before left of it. Raises OSError."""
        self._path = directory / FILE_NAME
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        disk = os.fstatvfs(self._fd)
        self.size = min(max_bytes // SHARE, BYTES_MAX, disk.f_blocks * disk.f_frsize // SHARE)
        self.left = min(os.fstat(self._fd).st_size, self.size)
        os.ftruncate(self._fd, self.left)

    @property
    def missing(self) -> int:
        """What it still needs to have its full size."""
        return self.size - self.left

    @property
    def is_scarce(self) -> bool:
        """Less than half is left: it is kept for gaps and losses."""
        return 2 * self.left < self.size

    def restore(self) -> None:
        """Take its full size on the disk, where there is room."""
        if self.missing:
            with suppress(OSError):  # better a segment for frames and no reserve than neither
                os.posix_fallocate(self._fd, 0, self.size)
                self.left = self.size

    def give(self, size: int) -> bool:
        """Free this many bytes on the disk; False, and no change, when fewer are left."""
        if size > self.left:
            return False
        os.ftruncate(self._fd, self.left - size)
        self.left -= size
        return True

    def reopen(self) -> None:
        """The folder was replaced: make the file again, empty. Raises OSError."""
        self.close()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        self.left = 0

    def close(self) -> None:
        os.close(self._fd)
