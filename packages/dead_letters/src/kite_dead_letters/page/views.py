"""Stored failures for people: decoded, as a tree with the field at fault marked, and as bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kite_bars_store.failures import FailureRecord
from kite_dead_letters.classify import Classifier
from kite_dead_letters.dialects import TABLE, Table
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import Decoded
from kite_dead_letters.stored import to_raw
from kite_kafka_io.framing import Framing

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


class Reader:
    """Decodes stored failures, one at a time. ``framing`` is that of the topics. Thread-safe."""

    def __init__(self, framing: Framing | None = None, table: Table = TABLE) -> None:
        self._classifier = Classifier(framing, table)
        self._lock = threading.Lock()

    def decoded(self, record: FailureRecord) -> Decoded | None:
        """What the bytes are, as far as they can be read."""
        with self._lock:
            return self._classifier.decoded(self._classifier.classify(to_raw(record)))

    def line(self, record: FailureRecord) -> bytes:
        """The record as ``dump`` writes it."""
        with self._lock:
            return LineMaker(self._classifier).line(self._classifier.classify(to_raw(record)))


ROW_BYTES: Final = 16
PAGE_BYTES: Final = 4096

_SHOWN: Final = bytes(each if 32 <= each < 127 else ord(".") for each in range(256))


@dataclass(frozen=True, slots=True)
class HexRow:
    """One row: where it begins, two groups of up to eight bytes in hex, and the characters."""

    at: str
    left: str
    right: str
    text: str


@dataclass(frozen=True, slots=True)
class HexPage:
    """A piece of a value. ``before`` and ``after`` are where the pieces beside it begin."""

    rows: list[HexRow]
    size: int
    start: int
    before: int | None
    after: int | None

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""
        return min(self.start + PAGE_BYTES, self.size)


def hex_page(value: bytes, start: int) -> HexPage:
    """The piece that holds the byte at ``start``, the last one where that lies behind the end."""
    last = max(len(value) - 1, 0)
    start = min(max(start, 0), last) // PAGE_BYTES * PAGE_BYTES
    end = start + PAGE_BYTES
    rows = [
        _row(at, value[at : min(at + ROW_BYTES, end)])
        for at in range(start, min(end, len(value)), ROW_BYTES)
    ]
    return HexPage(
        rows,
        len(value),
        start,
        start - PAGE_BYTES if start else None,
        end if end < len(value) else None,
    )


def _row(at: int, piece: bytes) -> HexRow:
    half = ROW_BYTES // 2
    return HexRow(
        f"{at:06x}",
        piece[:half].hex(" "),
        piece[half:].hex(" "),
        piece.translate(_SHOWN).decode("ascii"),
    )


def readable(content: bytes | None) -> str:
    """A header or a key: text where it is text, else its bytes in hex."""
    if content is None:
        return "(null)"
    if not content:
        return "(empty)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text and _printable(text) else f"0x{content.hex()}"


def _printable(text: str) -> bool:
    return all(each.isprintable() or each in "\n\t" for each in text)
