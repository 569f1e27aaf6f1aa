"""Rereads the subscription files while the bridge runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ws_bridge.errors import SubscriptionFileError
from ws_bridge.subscription_files import Subscriptions, parse_subscriptions, read_bytes

_Stat = tuple[int, int, int, int] | None


class SubscriptionWatch:
    """Rereads the files when they change. A broken new version leaves the old plan in force.

    ``problem`` says what is wrong with the newest version, None when it is the one in force.
    """

    def __init__(self, tokens_file: Path, universe_files: Sequence[Path] = ()) -> None:
        """Raises SubscriptionFileError: the first version must be right."""
        self._tokens_file = tokens_file
        self._universe_files = tuple(universe_files)
        self._paths = (tokens_file, *universe_files)
        self._stats = self._look()
        contents = {path: read_bytes(path) for path in self._paths}
        self._digest = _digest(contents)
        self.current = parse_subscriptions(contents, tokens_file, self._universe_files)
        self.problem: str | None = None

    def poll(self) -> Subscriptions | None:
        """The new subscriptions when the files changed for good; else None. Cheap: a stat a file.

        Never raises for what is in the files: see ``problem``.
        """
        stats = self._look()
        if stats == self._stats:
            return None
        self._stats = stats
        try:
            contents = {path: read_bytes(path) for path in self._paths}
            digest = _digest(contents)
            if digest == self._digest:
                self.problem = None
                return None
            found = parse_subscriptions(contents, self._tokens_file, self._universe_files)
        except SubscriptionFileError as exc:
            self.problem = f"{exc}; the subscriptions stay as they were"
            return None
        self._digest = digest
        self.problem = None
        changed = found != self.current
        self.current = found
        return found if changed else None

    def _look(self) -> tuple[_Stat, ...]:
        return tuple(_stat_of(path) for path in self._paths)


def _stat_of(path: Path) -> _Stat:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _digest(contents: dict[Path, bytes]) -> bytes:
    """One hash of all files, so that a touched but equal file is no change."""
    digest = hashlib.sha256()
    for path, data in contents.items():
        digest.update(f"{path}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.digest()
