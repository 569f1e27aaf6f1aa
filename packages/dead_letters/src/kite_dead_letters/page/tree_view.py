"""A decoded record as lines, one a field, the field at fault marked (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

LINES_MAX: Final = 1000
CHARS_MAX: Final = 2000
DEPTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One line. ``marked``: the error path names this field, ``inside``: or one that holds it."""

    depth: int
    name: str
    text: str
    marked: bool
    inside: bool


def tree_lines(value: Any, error_path: str | None) -> tuple[list[TreeLine], bool]:
    """The lines, and whether there were more of them. ``error_path`` is a JSON Pointer."""
    lines: list[TreeLine] = []
    for line in _lines(value, "", 0, pointer(error_path)):
        if len(lines) == LINES_MAX:
            return lines, True
        lines.append(line)
    return lines, False


def pointer(error_path: str | None) -> tuple[str, ...] | None:
    """The steps of a JSON Pointer (RFC 6901); None for none, or for one that is malformed."""
    if error_path is None or (error_path and not error_path.startswith("/")):
        return None
    steps = error_path.split("/")[1:]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _lines(value: Any, name: str, depth: int, path: tuple[str, ...] | None) -> Iterator[TreeLine]:
    """``path`` is what is left of the error path here, None outside of it."""
    marked, inside = path == (), bool(path)
    children = _children(value) if depth < DEPTH_MAX else []
    if not children:
        yield TreeLine(depth, name, _text(value), marked, inside)
        # The field at fault may be one that is missing.
        if path and isinstance(value, dict | list):
            yield TreeLine(depth + 1, "/".join(path), "(not there)", True, False)
        return
    if name or marked:
        yield TreeLine(depth, name, "", marked, inside)
    depth += bool(name or marked)
    rest = path[1:] if path else None
    for child_name, child in children:
        own = path is not None and path[:1] == (child_name,)
        yield from _lines(child, child_name, depth, rest if own else None)
    if path and path[0] not in {each for each, _ in children}:
        yield TreeLine(depth, "/".join(path), "(not there)", True, False)


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(str(name), child) for name, child in value.items()]
    if isinstance(value, list):
        return [(str(index), child) for index, child in enumerate(value)]
    return []


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        text = f"0x{value[:CHARS_MAX].hex()}"
    elif isinstance(value, str):
        text = _json(value[:CHARS_MAX])
    elif value is None or isinstance(value, bool | int | float | dict | list):
        text = _json(value)
    else:
        text = str(value)
    return text if len(text) <= CHARS_MAX else text[:CHARS_MAX] + "…"


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, str).decode()
    except orjson.JSONEncodeError:
        return repr(value)
