"""Vendors' files as a source: each is read once, whatever is no bar is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kite_bar_history.protocol import Reading, RefusedLine, Window
from kite_bar_history.refused import MESSAGES, PLAIN_HEADER
from kite_bar_history.summary import WRONG_INTERVAL, FileReport
from kite_bar_history.timing import HoursCheck, WidthCheck
from kite_bar_history.vendor_files import parquet
from kite_bar_history.vendor_files.blocks import BlockReader, BlockReading, Matrix, text_of
from kite_bar_history.vendor_files.edges import EdgeCheck
from kite_bar_history.vendor_files.input import (
    blocks_of,
    fitting,
    frame_of,
    head_of,
    lines_at,
    sha256_of,
)
from kite_bar_history.vendor_files.layouts import CSV, Layout
from kite_bar_history.vendor_files.lines import SHOWN_MAX, Frame
from kite_bar_history.vendor_files.opening import CutShort, place_of
from kite_bar_history.vendor_files.spool import ROWS, Spool
from kite_bar_history.vendor_files.times import swapped
from kite_bar_history.vendor_files.values import Fault, Roster
from kite_bars_store.bars import BarColumns, SourceBars, screen
from kite_bars_store.bars.columns import INTERVALS, Int64s
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.quality import Bools
from kite_bars_store.bars.sql import nanoseconds

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
    place: Path
    """The path; of a zip, the file in it."""
    sha256: bytes
    frame: Frame
    header: str


class VendorFiles:
    """Files of any layouts of ``vendor.toml``. Call `load`, then `read`; close it at the end.

    Two files that differ in one bar are refused there, as two lines of one file are:
    which is meant is unknown. Bars of layouts with another ``source`` keep that source.
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
        sha256_of: Callable[[Path], bytes] = sha256_of,
    ) -> None:
        """``sha256_of`` is asked once a file."""
        self._sha256_of = sha256_of
        self._layouts = layouts
        self._asked = asked
        self._spool = spool
        self._judge = judge
        self._accept_adjusted = accept_adjusted
        self._files: list[_File] = []
        self._dropped: set[int] = set()
        self._wide: dict[int, Int64s] = {}
        """By file, the keys of `WidthCheck` whose bars are wider than others."""

    def load(self, path: Path, keep: Keep) -> FileReport:
        """Read one file; ``keep`` gets its refused lines. Raises InputUnusable."""
        asked = self._asked
        try:
            place, head, names = place_of(path), head_of(path), parquet.column_names(path)
        except CutShort as exc:
            return _refused(path, Fault(*exc.args))
        layout = fitting(head, place.name, self._layouts, names)
        if isinstance(layout, Fault):
            return _refused(path, layout)
        if layout.adjusted and not self._accept_adjusted:
            return _refused(path, _ADJUSTED, layout)
        span = asked.since_ns, asked.until_ns
        frame = frame_of(layout, head, place.name, names, asked.roster, span)
        if isinstance(frame, Fault):
            return _refused(path, frame, layout)
        header = text_of(head.splitlines()[0]) if layout.header else ""
        header = header if names is None else PLAIN_HEADER
        self._files.append(_File(path, place, self._sha256_of(path), frame, header))
        return self._spooled(self._files[-1], keep)

    def read(self, window: Window) -> Reading:
        """The bars of the window, a `SourceBars` for each layout, screened."""
        roster = self._asked.roster
        keys = [(e.instrument.exchange, e.instrument.tradingsymbol) for e in window.listed]
        numbers = [number for key in keys if (number := roster.number(key)) >= 0]
        span = nanoseconds(window.since), nanoseconds(window.until)
        rows = self._spool.take(numbers, *span)
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

    def without(self) -> list[str]:
        """The instruments asked for of which no file has a bar, by name."""
        asked = self._asked.roster.asked
        return [e.instrument.name for at, e in enumerate(asked) if at not in self._spool.numbers]

    def close(self) -> None:
        self._spool.close()

    def _spooled(self, file: _File, keep: Keep) -> FileReport:
        at, layout = len(self._files) - 1, file.frame.layout
        rows = aside = 0
        width, hours = WidthCheck(layout.interval), HoursCheck(self._judge) if self._judge else None
        edges = EdgeCheck(self._judge) if self._judge else None
        dates, cut = _DateOrder(layout), None
        remarks: list[str] = []
        try:
            for reading in _readings(file, remarks):
                self._spool.add(reading.bars, at)
                width.look(reading.bars[0], reading.bars[1])
                width.look_at_others(reading.others)
                if hours is not None and layout.interval == "m1" and reading.bars.size:
                    instruments = file.frame.roster.instruments(layout)
                    bars = SourceBars("", "m1", instruments, BarColumns(*reading.bars[:8]))
                    hours.look(bars)
                    if edges is not None:
                        edges.look(bars)
                rows, aside = rows + reading.rows, aside + reading.aside
                if reading.refused:
                    dates.look(reading.refused)
                    keep([_line(file, *each) for each in reading.refused])
        except CutShort as exc:
            cut = Fault(*exc.args)
        fault = dates.fault or _timing_fault(layout, width, hours)
        problem = edges.problem if edges and not fault else None
        if problem and self._asked.roster.is_merged:
            fault = Fault("WRONG_HOURS", f"{problem}: correct stamp of layout {layout.name}")
        elif problem:
            remarks.append(problem)
        if wide := {} if fault else width.wide():
            self._wide[at] = np.array(sorted(wide), np.int64)
            names = [each.name for each in file.frame.roster.instruments(layout)]
            remarks.append(
                _wide_remark(layout, wide, {key: names[width.instrument(key)] for key in wide})
            )
        if fault is not None:
            self._dropped.add(at)
        elif cut is not None:
            fault = cut
        elif not rows:
            fault = Fault("EMPTY_FILE", "has no bar")
        reason, message = fault or (None, "")
        return FileReport(file.path, layout.name, rows, aside, reason, message, tuple(remarks))

    def _screened(
        self, layout: Layout, rows: Matrix, numbers: Sequence[int]
    ) -> tuple[SourceBars, list[RefusedLine], int]:
        wide = self._are_wide(layout, rows)
        lines = [(int(at), int(number), WRONG_INTERVAL) for number, at in rows[ROWS - 2 :, wide].T]
        rows = rows[:, ~wide]
        place = np.zeros(len(self._asked.roster.asked), np.int64)
        place[list(numbers)] = np.arange(len(numbers))
        known = self._asked.roster.instruments(layout)
        instruments = [known[number] for number in numbers]
        columns = BarColumns(place[rows[0]], *(np.ascontiguousarray(row) for row in rows[1:8]))
        found = screen(columns, instruments, INTERVALS[layout.interval])
        lines += [
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

    def _are_wide(self, layout: Layout, rows: Matrix) -> Bools:
        found = np.zeros(rows.shape[1], np.bool_)
        keys = WidthCheck(layout.interval).keys(rows[0], rows[1])
        for at, wide in self._wide.items():
            found |= (rows[ROWS - 1] == at) & np.isin(keys, wide)
        return found

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


class _DateOrder:
    """Whether refused dates show that days and months of a file are the other way round: then the
    dates that were read are wrong, too."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.fault: Fault | None = None

    def look(self, refused: Sequence[tuple[int, str, Fault]]) -> None:
        key = "date" if self._layout.date_format else "time"
        form = getattr(self._layout, f"{key}_format")
        other = swapped(form)
        if other is None or self.fault is not None:
            return
        for number, text, fault in refused:
            if fault.reason == "NOT_A_TIME" and f'"{other}"' in fault.message:
                self.fault = Fault(
                    "WRONG_DATES",
                    f"has days and months the other way round, as in line {number}, "
                    f"{text[:SHOWN_MAX]}: layout {self._layout.name} needs "
                    f"{key}_format = {other!r} for it",
                )
                return


def _wide_remark(layout: Layout, wide: Mapping[int, int], names: Mapping[int, str]) -> str:
    """What is refused of the file; both by the keys of `WidthCheck`."""
    unit = "minute" if layout.interval == "m1" else "day"
    first = min(wide)
    more = len(set(names.values())) - 1
    others = f" and {more:,} more instruments have such" if more else ""
    return (
        f"{names[first]} has bars of {wide[first]} {unit}s, as their distances show, where others "
        f"have bars of one {unit}{others}: these are refused"
    )


def _timing_fault(layout: Layout, width: WidthCheck, hours: HoursCheck | None) -> Fault | None:
    """Why the times of a whole file cannot be those of its layout."""
    wide, unit = width.width(), "minute" if layout.interval == "m1" else "day"
    if wide > 1:
        return Fault(
            WRONG_INTERVAL,
            f"has bars of {wide} {unit}s, as their distances show, and layout {layout.name} reads "
            f"bars of one {unit}: take the file with those",
        )
    problem = None if hours is None else hours.problem()
    if problem is None:
        return None
    return Fault("WRONG_HOURS", f"{problem}: correct time_zone or stamp of layout {layout.name}")


def _readings(file: _File, remarks: list[str]) -> Iterator[BlockReading]:
    if file.frame.layout.format != CSV:
        yield from parquet.readings(file.path, file.frame)
        return
    reader = BlockReader(file.frame)
    last = b"\n"
    for first, lines in blocks_of(file.path):
        last = lines[-1]
        skip = 1 if first == 1 and file.frame.layout.header else 0
        yield reader.read(lines[skip:], first + skip)
    if not last.endswith((b"\n", b"\r")):
        remarks.append("the last line has no line end: see that the file was not cut in it")


def _line(file: _File, number: int, text: str, fault: Fault) -> RefusedLine:
    return RefusedLine(str(file.place), number, fault.reason, fault.message, text, file.header)


def _refused(path: Path, fault: Fault, layout: Layout | None = None) -> FileReport:
    name = None if layout is None else layout.name
    return FileReport(path, name, reason=fault.reason, message=fault.message)
