"""Which layout a file is of, by its name and its first lines. Pure."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Final

from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files.layouts import CSV, PARQUET, Layout
from kite_bar_history.vendor_files.lines import Frame, read_line
from kite_bar_history.vendor_files.values import Clock, Fault, Naming, Roster
from kite_bars_store.bars import BarInstrument
from kite_bars_store.bars.screening import SCALE_MAX

_LINES: Final = 20
_EPOCH_END: Final = 1 << 62


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
        if layout.names_of(file_name) is not None and _fits(layout, head, names)
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
    """Where each field stands in this file, or which one it lacks."""
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
            return Fault("COLUMN_MISSING", f"lacks the column {name!r} of layout {layout.name}")
    return found


def header_cells(head: bytes, delimiter: str) -> list[str]:
    """The names in the first line."""
    first = head.splitlines()[0].decode("utf-8", "replace") if head else ""
    try:
        return next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return []


def _fits(layout: Layout, head: bytes, names: Sequence[str] | None) -> bool:
    if layout.format != (CSV if names is None else PARQUET):
        return False
    positions = positions_in(layout, head, names)
    if isinstance(positions, Fault):
        return False
    if names is not None:
        return True
    lines = head.splitlines()
    if layout.header:
        width = len(header_cells(head, layout.delimiter))
        rows = lines[1 : _LINES + 1]
        if not any(row.strip() for row in rows):
            return True
    else:
        width, rows = layout.width, lines[:_LINES]
    naming = Naming.of(layout, {})
    # Whatever symbol a line has is taken for one that is asked for.
    frame = Frame(layout, naming, _Anyone(), Clock(layout), positions, width, 0, _EPOCH_END)
    return any(_is_sensible(row.decode("utf-8", "replace"), frame) for row in rows)


def _is_sensible(line: str, frame: Frame) -> bool:
    """Whether columns and time are those of the layout; what the values are worth comes later."""
    found = read_line(line, frame)
    if isinstance(found, Fault):
        return found.reason not in ("COLUMN_COUNT", "NOT_A_LINE", "NOT_A_TIME", "NOT_A_PRICE")
    return found is not None


class _Anyone(Roster):
    """Knows every instrument as its first."""

    def __init__(self) -> None:
        anyone = Listed(BarInstrument("", "", SCALE_MAX), "NSE")
        super().__init__((anyone,), lambda exchange, symbol: True)

    def number(self, exchange: str, symbol: str) -> int:
        return 0
