"""Both feeds compared: two files without a database, and what is written of a merged span."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kite_bar_history.protocol import Window
from kite_bar_history.run import INTERVALS
from kite_bar_history.summary import RunSummary
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import files_of
from kite_bar_history.vendor_files.layouts import Layout
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.values import OpenRoster
from kite_bars_store.bars import BarSurvey, MergeRules, SourceBars
from kite_bars_store.bars.anomalies import Anomalies
from kite_bars_store.bars.comparing import Comparison, compare
from kite_bars_store.bars.export import Request, export, pieces
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.screening import FIRST_NS, LAST_NS
from kite_bars_store.report import render
from kite_bars_store.report.gather import gather
from kite_bars_store.stores import Days, Stores
from kite_contracts.sessions import SessionCalendar
from kite_runtime.console import progress_bar
from kite_runtime.errors import UsageError
from kite_runtime.files import write_whole

FILES_MAX: Final = 2


def compare_files(
    files: Sequence[Path],
    layouts: Sequence[Mapping[str, Layout]],
    rules: MergeRules,
    *,
    tick_size: int,
    accept_adjusted: bool,
) -> tuple[dict[str, Comparison], RunSummary]:
    """Compare one or two files by the rules of the merge, by interval; ``tick_size`` in paise.
    ``layouts`` are those that may fit: for all files, or of each file its own. Raises UsageError
    and InputUnusable."""
    paths = files_of(files)
    if not 1 <= len(paths) <= FILES_MAX:
        raise UsageError(f"--files compares one or two files, not {len(paths)}")
    if len(layouts) not in (1, len(paths)):
        raise UsageError(
            f"--layout is given {len(layouts)} times for {len(paths)} files: once for all, or once "
            "for each in their order"
        )
    own = layouts if len(layouts) == len(paths) else [*layouts] * len(paths)
    calendar = SessionCalendar.load()
    judge = SessionJudge(calendar, rules.phases)
    summary = RunSummary(dry_run=True)
    roster = OpenRoster(tick_size)
    readings = []
    for path, possible in zip(paths, own, strict=True):
        with closing(
            VendorFiles(
                possible,
                Asked(roster, FIRST_NS, LAST_NS),
                Spool(Path(tempfile.gettempdir())),
                judge,
                accept_adjusted=accept_adjusted,
            )
        ) as source:
            readings.append(_read(path, source, roster, summary))
    found = {}
    for interval in INTERVALS:
        said = _named([[b for b in bars if b.interval == interval] for bars in readings], rules)
        if said:
            found[interval] = compare(said, rules, calendar)
            summary.outside.add(judge.outside(said))
            doubts = Anomalies()
            doubts.look(said)
            summary.doubts += doubts.sentences
    return found, summary


def _read(
    path: Path, source: VendorFiles, roster: OpenRoster, summary: RunSummary
) -> list[SourceBars]:
    """All bars of one file."""
    summary.files.append(source.load(path, summary.refuse))
    since, until = (datetime.fromtimestamp(ns // 10**9, UTC) for ns in (FIRST_NS, LAST_NS))
    bars: list[SourceBars] = []
    for interval in INTERVALS:
        reading = source.read(Window(roster.asked, interval, since, until))
        bars += reading.bars
        summary.refuse(reading.refused)
        summary.repeated += reading.repeated
    return bars


def _named(readings: Sequence[Sequence[SourceBars]], rules: MergeRules) -> list[SourceBars]:
    """One source a file: as the layout names it; where both name the same, by their order."""
    own = [bars[0] for bars in readings if bars]
    if len(own) == FILES_MAX and own[0].source == own[1].source:
        own = [replace(each, source=rules.sources[at]) for at, each in enumerate(own)]
    return own


def write_results(
    stores: Stores, names: Sequence[str], days: Days, intervals: Sequence[str], folder: Path
) -> list[str]:
    """Write the golden bars of the months of these days, and the report on ``names``, below
    ``folder``; a sentence for each. Raises OutputUnusable."""
    notes = []
    for interval in intervals:
        survey = BarSurvey(stores.connection, interval)
        months = tuple(
            month
            for _, month in stores.bars.months(interval)
            if days.first.replace(day=1) <= month <= days.last
        )
        for piece in pieces(survey, Request(interval, months, None, None)):
            done = export(stores, piece, folder / "parquet", dry_run=False)
            if done is not None:
                notes.append(f"{folder / 'parquet' / piece.path}: {done.rows:,} bars, {done.state}")
    if names:
        with progress_bar() as bar:
            task = bar.add_task("report", total=None)
            report = gather(
                *(stores, sorted(names), days), lambda at: bar.update(task, description=at)
            )
        path = folder / "report.html"
        write_whole(path, render(report).encode())
        notes.append(
            f"{path}: what differed, what is missing and why, of {len(names):,} instruments"
        )
    return notes
