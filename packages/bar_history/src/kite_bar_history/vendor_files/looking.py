"""What a vendor's file is taken for: its layout or why none fits, and how it reads by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from kite_bar_history.refused import plain
from kite_bar_history.vendor_files import parquet
from kite_bar_history.vendor_files.blocks import BlockReader, BlockReading
from kite_bar_history.vendor_files.input import (
    blocks_of,
    fitting,
    frame_of,
    head_of,
    header_cells,
    misfit,
)
from kite_bar_history.vendor_files.layouts import CSV, Layout
from kite_bar_history.vendor_files.lines import Frame
from kite_bar_history.vendor_files.opening import CutShort, place_of
from kite_bar_history.vendor_files.values import Fault, OpenRoster
from kite_bars_store.bars import BarColumns, SourceBars
from kite_bars_store.bars.out_of_session import SessionJudge

BARS: Final = 50_000
"""So many of a file are looked at, and the rest of their block."""
ROWS_SHOWN: Final = 5
_EVER: Final = (0, 1 << 62)


@dataclass(frozen=True)
class Opened:
    """A file as far as detection needs it. ``names`` are the columns of Parquet, else None."""

    path: Path
    name: str
    """By which its layout is found: the file's own, or of the one in a zip."""
    head: bytes
    names: Sequence[str] | None


@dataclass(frozen=True)
class Look:
    """A file read by a layout, without looking any instrument up."""

    layout: Layout
    columns: Mapping[str, str]
    """Field to the column's name, or its number from 1."""
    first: Sequence[str]
    """The first bars as lines of the layout ``plain``."""
    bars: int
    refused: int
    inside: int
    """Of ``bars``, those in the usual hours of their day, or in a session that is known."""
    examples: Sequence[str]
    """The first refused lines, a sentence each."""

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "layout": self.layout.name}


def opened(path: Path) -> Opened | Fault:
    """Raises InputUnusable."""
    try:
        return Opened(path, place_of(path).name, head_of(path), parquet.column_names(path))
    except CutShort as exc:
        return Fault(*exc.args)


def layout_of(file: Opened, layouts: Mapping[str, Layout]) -> Layout | Fault:
    """The one that fits, or why there is none."""
    return fitting(file.head, file.name, layouts, file.names)


def misfits(file: Opened, layouts: Mapping[str, Layout]) -> dict[str, str]:
    """Of each layout that does not fit, why."""
    found = {
        name: misfit(layout, file.head, file.name, file.names) for name, layout in layouts.items()
    }
    return {name: fault.message for name, fault in found.items() if fault is not None}


def look(file: Opened, layout: Layout, judge: SessionJudge) -> Look | Fault:
    """Read the beginning of a file by a layout."""
    roster = OpenRoster(0)
    frame = frame_of(layout, file.head, file.name, file.names, roster, _EVER)
    if isinstance(frame, Fault):
        return frame
    bars = [np.empty((9, 0), np.int64)]
    refused: list[tuple[int, str, Fault]] = []
    try:
        for reading in _readings(file, frame):
            bars.append(reading.bars)
            refused += reading.refused
            if sum(each.shape[1] for each in bars) >= BARS:
                break
    except CutShort:
        pass  # what could be read is shown
    columns = BarColumns(*(np.ascontiguousarray(row) for row in np.concatenate(bars, axis=1)[:8]))
    said = SourceBars(layout.source, layout.interval, roster.instruments(layout), columns)
    unusual = judge.judged(said).unusual
    names = file.names or _header(file, layout)
    return Look(
        layout,
        {key: names[at] if names else f"{at + 1}" for key, at in frame.positions.items()},
        [plain(said, row) for row in range(min(ROWS_SHOWN, len(columns)))],
        len(columns),
        len(refused),
        int((~unusual).sum()),
        [f"line {line}: {fault.message}" for line, _, fault in refused[:ROWS_SHOWN]],
    )


def _header(file: Opened, layout: Layout) -> Sequence[str]:
    return header_cells(file.head, layout.delimiter) if layout.header else ()


def _readings(file: Opened, frame: Frame) -> Iterator[BlockReading]:
    if frame.layout.format != CSV:
        yield from parquet.readings(file.path, frame)
        return
    reader = BlockReader(frame)
    for first, lines in blocks_of(file.path):
        skip = 1 if first == 1 and frame.layout.header else 0
        yield reader.read(lines[skip:], first + skip)
