"""Vendors' files as a source: each is read once, whatever is no bar is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kite_bar_history.protocol import Reading, RefusedLine, Window
from kite_bar_history.refused import MESSAGES, PLAIN_HEADER
from kite_bar_history.summary import FileReport
from kite_bar_history.vendor_files import parquet
from kite_bar_history.vendor_files.blocks import BlockReader, BlockReading, Matrix, text_of
from kite_bar_history.vendor_files.detection import fitting, header_cells, positions_in
from kite_bar_history.vendor_files.input import (
    CutShort,
    NotText,
    blocks_of,
    head_of,
    lines_at,
    sha256_of,
)
from kite_bar_history.vendor_files.layouts import CSV, Layout
from kite_bar_history.vendor_files.lines import Frame
from kite_bar_history.vendor_files.spool import ROWS, Spool
from kite_bar_history.vendor_files.values import Clock, Fault, Naming, Roster
from kite_bars_store.bars import BarColumns, SourceBars, screen
from kite_bars_store.bars.columns import INTERVALS
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_contracts.sessions.model import ist

Keep = Callable[[Sequence[RefusedLine]], None]


@dataclass(frozen=True)
class Asked:
    """What is wanted of the files: instruments, and ``[since_ns, until_ns)``."""

    roster: Roster
    since_ns: int
    until_ns: int


@dataclass(frozen=True)
class _File:
    path: Path
    sha256: bytes
    frame: Frame
    header: str


class VendorFiles:
    """Files of any layouts of ``vendor.toml``. Call `load`, then `read`; close it at the end.

    Two files that say different things of one bar are refused there, as two lines of one file are:
    nobody can say which is meant. Bars of layouts with another ``source`` keep that source.
    """

    name = "vendor"

    def __init__(
        self,
        layouts: Mapping[str, Layout],
        asked: Asked,
        spool: Spool,
        judge: SessionJudge | None = None,
        *,
        accept_adjusted: bool = False,
    ) -> None:
        self._layouts = layouts
        self._asked = asked
        self._spool = spool
        self._judge = judge
        self._accept_adjusted = accept_adjusted
        self._files: list[_File] = []
        self._dropped: set[int] = set()

    def load(self, path: Path, keep: Keep) -> FileReport:
        """Read one file; ``keep`` gets its refused lines. Raises InputUnusable."""
        head = head_of(path)
        try:
            names = parquet.column_names(path) if _is_parquet(path) else None
        except parquet.NotParquet:
            return _refused(path, Fault("NOT_PARQUET", "is damaged or cut: copy it again"))
        layout = fitting(head, path.name, self._layouts, names)
        if isinstance(layout, Fault):
            return _refused(path, layout)
        if layout.adjusted and not self._accept_adjusted:
            return _refused(path, _ADJUSTED, layout)
        positions = positions_in(layout, head, names)
        if isinstance(positions, Fault):
            return _refused(path, positions, layout)
        header = head.splitlines()[0] if layout.header and names is None else b""
        width = layout.width if not header else len(header_cells(head, layout.delimiter))
        naming = Naming.of(layout, layout.names_of(path.name) or {})
        roster, clock = self._asked.roster, Clock(layout)
        span = (self._asked.since_ns, self._asked.until_ns)
        frame = Frame(layout, naming, roster, clock, positions, width, *span)
        shown = PLAIN_HEADER if names is not None else text_of(header)
        file = _File(path, sha256_of(path), frame, shown)
        self._files.append(file)
        return self._spooled(file, keep)

    def read(self, window: Window) -> Reading:
        """The bars of the window, a `SourceBars` for each layout, screened."""
        roster = self._asked.roster
        keys = [(e.instrument.exchange, e.instrument.tradingsymbol) for e in window.listed]
        numbers = [number for key in keys if (number := roster.number(*key)) >= 0]
        since_ns, until_ns = (
            int(each.timestamp()) * 10**9 for each in (window.since, window.until)
        )
        rows = self._spool.take(numbers, since_ns, until_ns)
        bars, refused, repeated = [], [], 0
        for layout in self._layouts.values():
            if layout.interval != window.interval:
                continue
            own = [at for at, file in enumerate(self._files) if file.frame.layout is layout]
            inside = np.isin(rows[ROWS - 1], [at for at in own if at not in self._dropped])
            if inside.any():
                said, lines, again = self._screened(layout, rows[:, inside], numbers)
                bars.append(said)
                refused += lines
                repeated += again
        return Reading(bars, refused, repeated)

    def close(self) -> None:
        self._spool.close()

    def _spooled(self, file: _File, keep: Keep) -> FileReport:
        at = len(self._files) - 1
        rows = aside = 0
        hours = _Hours()
        fault = None
        try:
            for reading in _readings(file):
                self._spool.add(reading.bars, at)
                if self._judge is not None:
                    hours.look(file, reading.bars, self._judge)
                rows, aside = rows + reading.rows, aside + reading.aside
                if reading.refused:
                    keep([_line(file, *each) for each in reading.refused])
        except CutShort:
            fault = Fault("CUT_FILE", "ends before its end; the lines before that were taken")
        except NotText:
            fault = Fault("NOT_TEXT", "has a line longer than lines of bars are")
        except parquet.NotParquet:
            fault = Fault("NOT_PARQUET", "is damaged; the rows before that were taken")
        if fault is None and not rows:
            fault = Fault("EMPTY_FILE", "has no bar")
        if fault is None and hours.all_outside:
            fault = hours.fault(file.frame.layout)
            self._dropped.add(at)
        reason, message = fault or (None, "")
        return FileReport(file.path, file.frame.layout.name, rows, aside, reason, message)

    def _screened(
        self, layout: Layout, rows: Matrix, numbers: Sequence[int]
    ) -> tuple[SourceBars, list[RefusedLine], int]:
        place = np.zeros(len(self._asked.roster.asked), np.int64)
        place[list(numbers)] = np.arange(len(numbers))
        known = self._asked.roster.instruments(layout)
        instruments = [known[number] for number in numbers]
        columns = BarColumns(place[rows[0]], *(np.ascontiguousarray(row) for row in rows[1:8]))
        found = screen(columns, instruments, INTERVALS[layout.interval])
        lines = [
            (int(rows[ROWS - 1, bad.row]), int(rows[ROWS - 2, bad.row]), str(bad.reason))
            for bad in found.refused
        ]
        files = [self._files[each] for each in np.unique(rows[ROWS - 1]).tolist()]
        said = SourceBars(
            layout.source,
            layout.interval,
            instruments,
            found.bars,
            file_name=files[0].path.name if len(files) == 1 else f"{len(files)} files",
            file_sha256=files[0].sha256 if len(files) == 1 else None,
            rows_refused=len(lines),
            parameters={
                "layout": layout.name,
                "files": {each.path.name: each.sha256.hex() for each in files[:_FILES_NAMED]},
            },
        )
        return said, list(self._again(lines)), found.repeated

    def _again(self, lines: Sequence[tuple[int, int, str]]) -> Iterator[RefusedLine]:
        """The text of lines that turned out to be wrong beside others."""
        for at in sorted({each[0] for each in lines}):
            file = self._files[at]
            own = {number: reason for each, number, reason in lines if each == at}
            if file.frame.layout.format == CSV:
                texts = {n: text_of(line) for n, line in lines_at(file.path, own).items()}
            else:
                texts = parquet.rows_at(file.path, file.frame, own)
            for number, reason in own.items():
                yield _line(file, number, texts[number], Fault(reason, MESSAGES[reason]))


_FILES_NAMED = 50
_ADJUSTED = Fault(
    "ADJUSTED_PRICES",
    "has prices that were adjusted later, by its layout, and golden bars never are: take the "
    "unadjusted file, or give --accept-adjusted",
)


class _Hours:
    """Counts bars outside the session, to notice a wrong time zone."""

    def __init__(self) -> None:
        self.bars = self.outside = 0
        self.first_ns = 0

    def look(self, file: _File, bars: Matrix, judge: SessionJudge) -> None:
        layout = file.frame.layout
        if not bars.shape[1] or layout.interval != "m1":
            return
        instruments = file.frame.roster.instruments(layout)
        columns = BarColumns(*bars[:8])
        outside, has_session = judge.judged(SourceBars("", "m1", instruments, columns))
        if not self.bars:
            self.first_ns = int(bars[1].min())
        self.bars += int(has_session.sum())
        self.outside += int((outside & has_session).sum())

    @property
    def all_outside(self) -> bool:
        return self.bars > 0 and self.bars == self.outside

    def fault(self, layout: Layout) -> Fault:
        return Fault(
            "WRONG_HOURS",
            f"has no bar inside the session, the first at {ist(self.first_ns):%Y-%m-%d %H:%M} in "
            f"India: correct time_zone or stamp of layout {layout.name}",
        )


def _readings(file: _File) -> Iterator[BlockReading]:
    if file.frame.layout.format != CSV:
        yield from parquet.readings(file.path, file.frame)
        return
    reader = BlockReader(file.frame)
    skip = 1 if file.frame.layout.header else 0
    for first, lines in blocks_of(file.path):
        if first == 1:
            yield reader.read(lines[skip:], 1 + skip)
        else:
            yield reader.read(lines, first)


def _line(file: _File, number: int, text: str, fault: Fault) -> RefusedLine:
    return RefusedLine(str(file.path), number, fault.reason, fault.message, text, file.header)


def _refused(path: Path, fault: Fault, layout: Layout | None = None) -> FileReport:
    name = None if layout is None else layout.name
    return FileReport(path, name, reason=fault.reason, message=fault.message)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == parquet.MAGIC
