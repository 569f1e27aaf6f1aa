"""Vendors' files as they lie there: which there are, their bytes in blocks of whole lines, and the
layout that each is of."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from kite_bar_history.vendor_files.layouts import CSV, PARQUET, Layout
from kite_bar_history.vendor_files.lines import Frame, read_line
from kite_bar_history.vendor_files.values import Clock, Fault, Naming, OpenRoster, Roster
from kite_runtime.errors import InputUnusable, UsageError

BLOCK_BYTES: Final = 4 << 20
HEAD_BYTES: Final = 64 << 10
LINE_BYTES_MAX: Final = 1 << 20
_LINES: Final = 20
_EVER: Final = (0, 1 << 62)
_PACKED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BOM: Final = b"\xef\xbb\xbf"


class CutShort(Exception):
    """No more can be read of a file. The arguments are those of the `Fault` that explains it."""


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Files, and what lies in folders, by name; hidden ones and reasons of refused lines aside.

    Raises InputUnusable and UsageError.
    """
    found: list[Path] = []
    for path in paths:
        try:
            path.stat()
        except OSError as exc:
            raise InputUnusable(path, exc) from exc
        inside = sorted(filter(_is_data, path.rglob("*"))) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"--vendor {path} has no file in it: name another folder")
        found += inside
    return list(dict.fromkeys(found))


def _is_data(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and not path.match("*.reasons.csv")


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

    Raises InputUnusable, and CutShort after the last good block.
    """
    line, rest, cause = 1, b"", None
    with _open(path) as file:
        while True:
            try:
                data = bytes(file.read(block_bytes))
            except (OSError, pa.ArrowInvalid) as exc:
                data, cause = b"", exc
            if line == 1 and not rest:
                data = data.removeprefix(_BOM)
            whole = rest + data
            end = whole.rfind(b"\n") + 1 if data else len(whole)
            rest = whole[end:]
            if len(rest) > LINE_BYTES_MAX:
                raise CutShort("NOT_TEXT", "has a line longer than lines of bars are")
            lines = whole[:end].splitlines(keepends=True)
            if lines:
                yield line, lines
            line += len(lines)
            if not data:
                break
    if cause is not None:
        message = "ends before its end; the lines before that were taken"
        raise CutShort("CUT_FILE", message) from cause


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


def fitting(
    head: bytes, file_name: str, layouts: Mapping[str, Layout], names: Sequence[str] | None
) -> Layout | Fault:
    """The one layout that fits, or why there is none. ``names`` are a Parquet file's columns."""
    if names is None:
        if not head.strip():
            return Fault("EMPTY_FILE", "has no line")
        if head.lstrip().startswith(b"<"):
            return Fault("HTML_FILE", "is a web page and no data: download it again")
        if b"\0" in head:
            return Fault("NOT_TEXT", "is neither text nor Parquet: unpack it, or name another file")
    found = [
        layout
        for layout in layouts.values()
        if layout.names_of(file_name) is not None and _fits(layout, head, file_name, names)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        which = " and ".join(layout.name for layout in found)
        return Fault("AMBIGUOUS_LAYOUT", f"fits {which}: name the right one with --layout")
    return Fault(
        "UNKNOWN_LAYOUT",
        f"fits none of {', '.join(layouts)}: describe it in configs/vendor.toml, or name a layout "
        "with --layout to see what does not fit",
    )


def positions_in(
    layout: Layout, head: bytes, names: Sequence[str] | None = None
) -> dict[str, int] | Fault:
    """Where each field stands in this file, or which one is missing."""
    if not layout.header:
        return {key: int(at) for key, at in layout.columns.items()}
    have = header_cells(head, layout.delimiter) if names is None else list(names)
    known = {name.strip().casefold(): at for at, name in reversed(list(enumerate(have)))}
    found = {}
    for key, name in layout.columns.items():
        at = known.get(str(name).casefold())
        if at is not None:
            found[key] = at
        elif key != "oi":
            return Fault("COLUMN_MISSING", f"has no column {name!r} of layout {layout.name}")
    return found


def header_cells(head: bytes, delimiter: str) -> list[str]:
    """The names in the first line."""
    first = head.splitlines()[0].decode("utf-8", "replace") if head else ""
    try:
        return next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return []


def frame_of(
    layout: Layout,
    head: bytes,
    file_name: str,
    names: Sequence[str] | None,
    roster: Roster,
    span: tuple[int, int],
) -> Frame | Fault:
    """How to read a file of this layout, or which column is missing."""
    positions = positions_in(layout, head, names)
    if isinstance(positions, Fault):
        return positions
    cells = names or header_cells(head, layout.delimiter)
    width = len(cells) if layout.header else layout.width
    naming = Naming.of(layout, layout.names_of(file_name) or {})
    return Frame(layout, naming, roster, Clock(layout), positions, width, *span)


def _fits(layout: Layout, head: bytes, file_name: str, names: Sequence[str] | None) -> bool:
    if layout.format != (CSV if names is None else PARQUET):
        return False
    # Whatever symbol a line has is taken for one that is asked for.
    frame = frame_of(layout, head, file_name, names, OpenRoster(1), _EVER)
    if isinstance(frame, Fault):
        return False
    lines = head.splitlines()[layout.header : _LINES + layout.header]
    if names is not None or (layout.header and not any(line.strip() for line in lines)):
        return True
    return any(_is_sensible(line.decode("utf-8", "replace"), frame) for line in lines)


def _is_sensible(line: str, frame: Frame) -> bool:
    """Whether columns and time are those of the layout; what the values are worth comes later."""
    found = read_line(line, frame)
    if isinstance(found, Fault):
        return found.reason not in ("COLUMN_COUNT", "NOT_A_LINE", "NOT_A_TIME", "NOT_A_PRICE")
    return found is not None
