"""``report``: what was merged in a span, as one page of HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_hist_merge.commands.options import (
    Expected,
    expected_names,
    no_session,
    open_stores,
    past_days,
    settings_of,
)
from kite_runtime.console import progress_bar, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_runtime.files import write_whole
from kite_runtime.options import Day, From, Root, To

if TYPE_CHECKING:
    from kite_bars_store.report import Report


def command(
    first: From = None,
    last: To = None,
    day: Day = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page. Default: report.html."),
    ] = None,
    symbols: Expected = None,
    root: Root = Path(),
) -> int:
    """Write one page of HTML on the golden minutes of a span: coverage by instrument and day,
    what `findings` lists by instrument, missing minutes by cause, verdicts, conflicts by size,
    quality flags, revisions that wait.

    The page needs nothing but itself. An instrument without any bar is on it, too. Exit code 3 when
    `findings` lists anything, or a revision waits.
    """
    from kite_bars_store.database import snapshot
    from kite_bars_store.report import render
    from kite_bars_store.report.gather import gather

    days, settings = past_days(first, last, day), settings_of(root)
    path = root / "report.html" if out is None else out
    with (
        open_stores(settings) as stores,
        snapshot(stores.connection, "reading for a report"),
        progress_bar() as bar,
    ):
        chosen = expected_names(stores, settings, days, symbols)
        task = bar.add_task("reading", total=None)
        report = gather(stores, chosen, days, lambda at: bar.update(task, description=at))
    write_whole(path, render(report).encode())
    stdout.print(_told(report, path), markup=False, soft_wrap=True)
    if not report.missing.expected.any():
        stdout.print(no_session(chosen, days), markup=False, soft_wrap=True)
    return EXIT_FINDINGS if report.has_findings else EXIT_DONE


def _told(report: Report, path: Path) -> str:
    bars, absent = int(report.bars.sum()), int(report.absent().sum())
    return (
        f"{path}: {bars:,} bars of {len(report.symbols):,} instruments; "
        f"{absent:,} minutes are missing ({report.missing.unexplained:,} unexplained), "
        f"{report.conflict_count:,} conflicts, {len(report.revisions):,} revisions wait"
    )
