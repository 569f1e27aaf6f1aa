"""Files that are written whole or not at all, and only when they change."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from kite_runtime.errors import OutputUnusable


def write_whole(path: Path, data: bytes) -> bool:
    """Replace the file by a complete one; False, and nothing touched, when it says the same.

    A reader sees the old file or the new one, also after a power cut. Raises OutputUnusable.
    """
    try:
        if read_if_there(path) == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise OutputUnusable(path, error) from error
    return True


def read_if_there(path: Path) -> bytes | None:
    """The content; None for a file that does not exist. Raises OSError."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _replace(path: Path, data: bytes) -> None:
    target = path.resolve()  # a link stays a link
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(new, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(new, target.stat().st_mode & 0o7777)
        os.replace(new, target)
    except BaseException:
        with suppress(FileNotFoundError):
            new.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
