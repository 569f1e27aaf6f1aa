"""Files that are written whole or not at all, and only when they change."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kite_runtime.errors import OutputUnusable


def write_whole(path: Path, data: bytes) -> bool:
    """Replace the file by a complete one; False, and nothing touched, when it says the same.

    A reader sees the old file or the new one, also after a power cut. Raises OutputUnusable.
    """
    try:
        if read_if_there(path) == data:
            return False
    except OSError as error:
        raise OutputUnusable(path, error) from error
    with replacing(path) as new:
        new.write_bytes(data)
    return True


def read_if_there(path: Path) -> bytes | None:
    """The content; None for a file that does not exist. Raises OSError."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place when the block ends without error.

    Folders are made, a link stays a link, and the file keeps its mode. A block that leaves nothing
    there replaces nothing. Raises OutputUnusable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.resolve()
        new = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        try:
            yield new
            if not new.exists():
                return
            if target.exists():
                os.chmod(new, target.stat().st_mode & 0o7777)
            _sync(new, os.O_RDONLY)
            os.replace(new, target)
        finally:
            with suppress(FileNotFoundError):
                new.unlink()
        _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputUnusable(path, error) from error


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
