"""The files that a person names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kite_runtime.errors import InputUnusable, UsageError


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Files, and what lies in folders, by name; hidden ones and reasons of refused lines aside.

    Raises InputUnusable and UsageError.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if _is_data(each))
            if not inside:
                raise UsageError(f"--vendor {path} has no file in it: name another folder")
            found += inside
        else:
            try:
                path.stat()
            except OSError as exc:
                raise InputUnusable(path, exc) from exc
            found.append(path)
    return list(dict.fromkeys(found))


def _is_data(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts[-1:])
    return path.is_file() and not hidden and not path.name.endswith(".reasons.csv")
