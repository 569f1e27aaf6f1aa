"""Vendors' files as they lie there: which there are, their bytes in blocks of whole lines, and the
layout that each is of."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from kite_bar_history.vendor_files.layouts import CSV, OPTIONAL, PARQUET, Layout
from kite_bar_history.vendor_files.lines import Frame, read_line
from kite_bar_history.vendor_files.opening import UNREADABLE, CutShort, open_text
from kite_bar_history.vendor_files.values import Clock, Fault, Naming, OpenRoster, Roster
from kite_runtime.errors import InputUnusable, UsageError

BLOCK_BYTES: Final = 4 << 20
HEAD_BYTES: Final = 64 << 10
LINE_BYTES_MAX: Final = 1 << 20
_LINES: Final = 20
_EVER: Final = (0, 1 << 62)
_OTHER_LAYOUT: Final = (
    "COLUMN_COUNT", "NOT_A_LINE", "NOT_A_TIME", "TIME_OUT_OF_RANGE",
    "TIME_NOT_ALIGNED", "NOT_A_PRICE", "NOT_A_VOLUME", "UNKNOWN_SYMBOL",
)  # fmt: skip
"""Reasons of lines that are of another layout; what the values are worth comes later."""
_PAGE: Final = re.compile(rb"\s*<(!|\?xml|(html|head|body|script|title|meta|div|table)\b)", re.I)


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
    """The first bytes, unpacked; of a damaged file as far as it is good. Raises InputUnusable and
    CutShort."""
    with open_text(path) as file:
        try:
            return bytes(file.read(HEAD_BYTES))
        except UNREADABLE:
            return b""


def blocks_of(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, list[bytes]]]:
    """Whole lines with their ends, and the number of the first one, from 1.

    Raises InputUnusable, and CutShort after the last good block.
    """
    line, rest, cause = 1, b"", None
    with open_text(path) as file:
        while True:
            try:
                data = bytes(file.read(block_bytes))
            except UNREADABLE as exc:
                data, cause = b"", exc
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


def fitting(
    head: bytes, file_name: str, layouts: Mapping[str, Layout], names: Sequence[str] | None
) -> Layout | Fault:
    """The one layout that fits, or why there is none. ``names`` are a Parquet file's columns."""
    if names is None:
        if not head.strip():
            return Fault("EMPTY_FILE", "has no line")
        if _PAGE.match(head):
            return Fault("HTML_FILE", "is a web page and no data: download it again")
        if b"\0" in head:
            words = "is neither text nor Parquet: unpack it, save it as UTF-8, or name another file"
            return Fault("NOT_TEXT", words)
    misfits = {name: misfit(layout, head, file_name, names) for name, layout in layouts.items()}
    found = [layouts[name] for name, fault in misfits.items() if fault is None]
    if len(found) == 1:
        return found[0]
    if found:
        which = " and ".join(layout.name for layout in found)
        return Fault("AMBIGUOUS_LAYOUT", f"fits {which}: name the right one with --layout")
    if len(layouts) == 1:
        return next(fault for fault in misfits.values() if fault is not None)
    return Fault(
        "UNKNOWN_LAYOUT",
        f"fits none of {', '.join(layouts)}: `hist_merge layout FILE` shows why, and writes a "
        "table for configs/vendor.toml",
    )


def misfit(
    layout: Layout, head: bytes, file_name: str, names: Sequence[str] | None
) -> Fault | None:
    """Why a file is not of this layout."""
    if layout.names_of(file_name) is None:
        pattern = layout.file_name.pattern
        words = f"is not named like {pattern}, as layout {layout.name} has it"
        return Fault("NAME_DIFFERS", words)
    if layout.format != (CSV if names is None else PARQUET):
        words = f"is no {layout.format} file, as layout {layout.name} has it"
        return Fault("FORMAT_DIFFERS", words)
    # Whatever symbol a line has is taken for one that is asked for.
    frame = frame_of(layout, head, file_name, names, OpenRoster(1), _EVER)
    if isinstance(frame, Fault):
        return frame
    lines = head.splitlines()[layout.header : _LINES + layout.header]
    if names is not None or (layout.header and not any(line.strip() for line in lines)):
        return None
    if not layout.header and _names_columns(lines[0] if lines else b"", frame):
        return Fault("LINES_DIFFER", f"has names of columns, layout {layout.name} has none")
    faults = []
    for number, line in enumerate(lines, 1 + layout.header):
        found = read_line(line.decode("utf-8", "replace"), frame)
        if isinstance(found, Fault) and found.reason in _OTHER_LAYOUT:
            faults.append(f"line {number}: {found.message}")
        else:
            return None
    what = faults[0] if faults else "it has no line"
    return Fault("LINES_DIFFER", f"does not fit layout {layout.name}: {what}")


def _names_columns(line: bytes, frame: Frame) -> bool:
    cells = header_cells(line, frame.layout.delimiter)
    return len(cells) == frame.width and not re.search(rb"[0-9]", line)


def positions_in(
    layout: Layout, head: bytes, names: Sequence[str] | None = None
) -> dict[str, int] | Fault:
    """Where each field stands in this file, or which one is missing."""
    if not layout.header:
        return {key: at for key, at in layout.columns.items() if isinstance(at, int)}
    have = header_cells(head, layout.delimiter) if names is None else list(names)
    known = {bare_name(name): at for at, name in reversed(list(enumerate(have)))}
    found = {}
    for key, called in layout.columns.items():
        assert not isinstance(called, int)  # there is a header
        places = [known[name] for each in called if (name := bare_name(each)) in known]
        if places:
            found[key] = places[0]
        elif key not in OPTIONAL:
            which = " or ".join(map(repr, called))
            return Fault("COLUMN_MISSING", f"has no column {which} of layout {layout.name}")
    return found


def bare_name(name: str) -> str:
    """A column's name without its case, and without the brackets of ``<ticker>``."""
    return name.strip().removeprefix("<").removesuffix(">").strip().casefold()


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
