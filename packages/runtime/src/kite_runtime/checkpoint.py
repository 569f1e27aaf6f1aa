"""What of a long work is done, in a file, so that the same command goes on after an interruption.

Postgres cannot tell: a chunk that brought nothing new leaves no batch there. So each chunk is noted
here once its bars are committed, and the file also keeps what the whole work was, because "the last
60 days" and "what is new" mean something else tomorrow. A finished work leaves no file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, Self

from kite_runtime.errors import OutputUnusable, TryAgainLater

_VERSION: Final = 1


class Checkpoint:
    """A context manager; only one process at a time has it open.

    ``work`` is what the work is (JSON values), ``done`` what was noted by key. Raises
    OutputUnusable, and TryAgainLater while another process has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work: Mapping[str, Any] | None = None
        """None when nothing was begun."""
        self.done: dict[str, Any] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
        except BlockingIOError:
            self._close()
            raise TryAgainLater(
                f"another process does the same work and has {self.path}: wait until it has ended"
            ) from None
        except OSError as exc:
            self._close()
            raise OutputUnusable(self.path, exc) from exc
        return self

    def __exit__(self, *_: object) -> None:
        if self.work is None:
            self.path.unlink(missing_ok=True)
        self._close()

    def begin(self, work: Mapping[str, Any]) -> None:
        """Forget what there was; this is the work from now on."""
        self._truncate()
        self.done.clear()
        self._append({"version": _VERSION, "work": dict(work)})
        self.work = dict(work)

    def note(self, key: str, value: Any = None) -> None:
        """This part is done, for good once this returns."""
        self._append({"done": key, "value": value})
        self.done[key] = value

    def finish(self) -> None:
        self.work = None
        self._truncate()

    def _load(self) -> None:
        file = self._open_file()
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        # A process that was killed may have left half a line.
        whole = [line for line in lines if line.endswith(b"\n")]
        if len(whole) < len(lines):
            file.truncate(sum(map(len, whole)))
        try:
            entries = [json.loads(line) for line in whole]
            if entries and entries[0]["version"] == _VERSION:
                self.work = entries[0]["work"]
                self.done = {entry["done"]: entry["value"] for entry in entries[1:]}
        except (ValueError, KeyError, TypeError):
            self.work, self.done = None, {}  # not one of ours: start over

    def _append(self, entry: Mapping[str, Any]) -> None:
        file = self._open_file()
        try:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError as exc:
            raise OutputUnusable(self.path, exc) from exc

    def _truncate(self) -> None:
        try:
            self._open_file().truncate(0)
        except OSError as exc:
            raise OutputUnusable(self.path, exc) from exc

    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise RuntimeError("the checkpoint is not open")
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def checkpoint_path(folder: Path, work: str, *what: object) -> Path:
    """The file of a work (``backfill``) by what was asked for, the database included."""
    digest = hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()
    return folder / "unfinished" / f"{work}-{digest[:12]}.jsonl"
