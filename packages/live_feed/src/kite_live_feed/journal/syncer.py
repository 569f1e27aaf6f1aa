"""Makes journal data durable without holding up the event loop: fdatasync in a thread."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from kite_live_feed.journal.recovery import FILE_NAME
from kite_live_feed.options import Sync


class Syncer:
    """Owns the sealed segments' descriptors until they are synced, and syncs the live one.

    ``problem`` is the last failure of the disk, None when the last round went well.
    """

    def __init__(self, directory: Path, sync: Sync) -> None:
        self.problem: str | None = None
        self._directory = directory
        self._interval_s: float | None = None if isinstance(sync, str) else sync
        self._always = sync == "always"
        self._live: int | None = None
        self._retired: list[int] = []
        self._new_names = False
        # Guards the three fields above. Never held across a disk operation.
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if self._interval_s is not None:
            self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
            self._thread.start()

    def adopt(self, fd: int) -> None:
        """``fd`` is the live segment from now on."""
        with self._lock:
            self._live = fd
            self._new_names = True

    def retire(self, fd: int) -> None:
        """``fd`` is written no more; it is synced and closed here."""
        with self._lock:
            self._live = None
            self._retired.append(fd)
        if self._thread is None:
            self._round()

    def sync_now(self) -> None:
        self._round()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._round()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._round()

    def _round(self) -> None:
        with self._lock:
            live, retired, new_names = self._live, self._retired, self._new_names
            self._retired, self._new_names = [], False
        problem = None
        durable = self._always or self._interval_s is not None
        if durable and new_names:
            # A new segment's name, and the note of last frames, which was replaced with it.
            problem = _sync_path(self._directory / FILE_NAME) or _sync_path(self._directory)
        for fd in retired:
            # Only this method closes a descriptor, so the live one cannot be closed meanwhile.
            if durable:
                problem = _sync(fd) or problem
            os.close(fd)
        if durable and live is not None:
            problem = _sync(live) or problem
        self.problem = problem


def _sync_path(path: Path) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return None  # the writer reports what it could not write
    except OSError as exc:
        return f"{path} cannot be synced to the disk: {exc.strerror}"
    return None


def _sync(fd: int) -> str | None:
    try:
        os.fdatasync(fd)
    except OSError as exc:
        return f"the journal cannot be synced to the disk: {exc.strerror}"
    return None
