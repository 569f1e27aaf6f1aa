"""The bytes of a vendor's file: unpacked, in blocks of whole lines."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from kite_runtime.errors import InputUnusable

BLOCK_BYTES: Final = 4 << 20
HEAD_BYTES: Final = 64 << 10
LINE_BYTES_MAX: Final = 1 << 20
_PACKED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BOM: Final = b"\xef\xbb\xbf"


class CutShort(Exception):
    """A packed file ends before its end, or is damaged; the lines before that are good."""


class NotText(Exception):
    """A line longer than any line of bars is."""


def sha256_of(path: Path) -> bytes:
    """Of the file as it lies there. Raises InputUnusable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as exc:
        raise InputUnusable(path, exc) from exc


def head_of(path: Path) -> bytes:
    """The first bytes, unpacked. Raises InputUnusable; what is damaged is as long as it is good."""
    with _open(path) as file:
        try:
            return bytes(file.read(HEAD_BYTES)).removeprefix(_BOM)
        except (OSError, pa.ArrowInvalid):
            return b""


def blocks_of(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, list[bytes]]]:
    """Whole lines with their ends, and the number of the first one, from 1.

    Raises InputUnusable, NotText, and CutShort after the last good block.
    """
    line, rest, begun = 1, b"", False
    with _open(path) as file:
        while True:
            try:
                data = bytes(file.read(block_bytes))
            except (OSError, pa.ArrowInvalid) as exc:
                if rest:
                    yield line, rest.splitlines(keepends=True)
                raise CutShort from exc
            if not begun:
                data, begun = data.removeprefix(_BOM), True
            if not data:
                if rest:
                    yield line, rest.splitlines(keepends=True)
                return
            data = rest + data
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if len(rest) > LINE_BYTES_MAX:
                raise NotText
            if end:
                lines = data[:end].splitlines(keepends=True)
                yield line, lines
                line += len(lines)


def lines_at(path: Path, numbers: Collection[int]) -> dict[int, bytes]:
    """These lines of the file again."""
    wanted, found = sorted(numbers, reverse=True), {}
    for first, lines in blocks_of(path):
        while wanted and wanted[-1] < first + len(lines):
            number = wanted.pop()
            found[number] = lines[number - first]
        if not wanted:
            break
    return found


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            start = file.read(4)
        packing = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
        stream = pa.input_stream(str(path), compression=packing)
    except OSError as exc:
        raise InputUnusable(path, exc) from exc
    with stream:
        yield stream
