"""Transforms from files: ``FILE.py:function``, run in this process, and ``FILE.toml``."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kite_dead_letters.redrive.transforms import (
    Subject,
    Transform,
    TransformFailed,
    TransformInvalid,
    from_mapping,
)
from kite_runtime.errors import UsageError


def load_function(named: str) -> Transform:
    """The transform that ``FILE.py:function`` names. The file runs with this program's rights.

    ``function(record)`` gets the decoded record as a dict, or the bytes where they do not decode;
    it returns a dict, bytes, or None to leave the failure as it is. What it raises refuses that
    record. Raises UsageError when there is no such function.
    """
    path_text, colon, name = named.rpartition(":")
    if not colon or not path_text or not name.isidentifier():
        raise UsageError(f"--transform {named}: write it like --transform fix.py:function")
    path = Path(path_text)
    source = _read(path, "--transform")
    spec = importlib.util.spec_from_file_location("dlq_triage_transform", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--transform {path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as exc:
        raise UsageError(f"--transform {path} does not load: {_told(exc)}") from exc
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"--transform {path} has no function {name}")
    return Transform(f"{path.name}:{name}", hashlib.sha256(source).digest(), _guarded(function))


def load_mapping(path: Path) -> Transform:
    """The transform of a TOML file. Raises UsageError."""
    try:
        return from_mapping(_read(path, "--mapping").decode(), path.name)
    except (TransformInvalid, UnicodeDecodeError) as exc:
        raise UsageError(f"--mapping {exc}") from exc


def _guarded(function: Callable[[Any], Any]) -> Callable[[Subject], Subject | None]:
    def apply(record: Subject) -> Subject | None:
        try:
            made = function(record)
        except Exception as exc:
            # It is the user's own code: whatever it raises is about this one record.
            raise TransformFailed(f"the transform failed: {_told(exc)}") from exc
        if made is None or isinstance(made, dict | bytes):
            return made
        raise TransformFailed(
            f"the transform returned {type(made).__name__}; dict, bytes or None is due"
        )

    return apply


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise UsageError(f"{option} {path} cannot be read ({reason})") from exc


def _told(exc: Exception) -> str:
    said = str(exc).strip().partition("\n")[0]
    return f"{type(exc).__name__}: {said}" if said else type(exc).__name__
