"""`reconcile`: both feeds of some days compared and merged; or two files, without a database."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_bar_history.protocol import RefusedLine, Window
from kite_bar_history.summary import RunSummary, comparison_lines, finding_lines, print_summary
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import files_of
from kite_bar_history.vendor_files.layouts import Layout
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.values import OpenRoster
from kite_bars_store.bars import BarSurvey, MergeRules, SourceBars, load_rules
from kite_bars_store.bars.anomalies import Doubts
from kite_bars_store.bars.comparing import Comparison, compare
from kite_bars_store.bars.export import Wish, export, pieces
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.screening import FIRST_NS, LAST_NS
from kite_bars_store.report import render
from kite_bars_store.report.gather import gather
from kite_bars_store.stores import Days, Stores, days_of
from kite_contracts.sessions import SessionCalendar
from kite_hist_merge.commands.merging import (
    INTERVALS,
    AcceptAdjusted,
    Intervals,
    LayoutName,
    NoKite,
    Order,
    Run,
    Vendor,
    chosen_layouts,
    ended,
)
from kite_hist_merge.commands.options import (
    AsJson,
    DryRun,
    Root,
    Symbols,
    a_date,
    open_stores,
    progress_bar,
    settings_of,
    today,
)
from kite_hist_merge.commands.report import write_page
from kite_hist_merge.settings import Settings
from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, UsageError

FILES_MAX: Final = 2


def a_tick(text: str) -> Decimal:
    """A price of whole paise above zero. Raises BadParameter."""
    try:
        found = Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is no price such as 0.05") from error
    if not Decimal("0.01") <= found <= 1000 or found * 100 != int(found * 100):
        raise typer.BadParameter(f"{text} is no tick of whole paise such as 0.05")
    return found


First = Annotated[
    date | None,
    typer.Option("--from", metavar="DATE", parser=a_date, help="The first day, in India."),
]
Last = Annotated[
    date | None,
    typer.Option("--to", metavar="DATE", parser=a_date, help="The last day, included."),
]
Alone = Annotated[
    bool,
    typer.Option(
        "--files", help="Compare the files FILE... alone: no database, no Kite, nothing written."
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="With --files: Kite's file, then the vendor's."),
]
Tick = Annotated[
    Decimal,
    typer.Option("--tick", metavar="PRICE", parser=a_tick, help="With --files: the tick size."),
]


Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder for the Parquet files and the report. Default: reconcile-FROM-TO.",
    ),
]


def command(
    files: Files = None,
    alone: Alone = False,
    first: First = None,
    last: Last = None,
    vendor: Vendor = None,
    symbols: Symbols = None,
    no_kite: NoKite = False,
    interval: Intervals = None,
    layout: LayoutName = None,
    accept_adjusted: AcceptAdjusted = False,
    tick: Tick = Decimal("0.05"),
    out: Out = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Compare both feeds and say what differed and who won.

    With --from and --to it merges like `daily`, compares bar by bar what was read, and writes the
    golden bars as Parquet and a page of HTML on what differed, what lacks and why. With
    --files it compares one or two files by the same rules: nothing else is asked or written.
    """
    settings = settings_of(root)
    if alone:
        if first or last or vendor or symbols or out:
            raise UsageError("--files compares files alone: leave out --from, --to and the like")
        order = Order(Days(today(), today()), files or (), None, layout, accept_adjusted)
        return _files_alone(settings, order, tick, as_json)
    if files:
        raise UsageError(f"{files[0]} is named without an option: --files compares files alone")
    if first is None or last is None:
        raise UsageError("name the days with --from and --to, or files with --files")
    order = Order(
        days_of(first, last),
        tuple(vendor or ()),
        symbols,
        layout,
        accept_adjusted,
        not no_kite,
        tuple(interval or INTERVALS),
        dry_run,
    )
    order.check()
    found = {each: Comparison() for each in order.intervals}
    with open_stores(settings) as stores:

        def look(said: Sequence[SourceBars], window: Window) -> None:
            compare(said, stores.rules, stores.calendar, found[window.interval])

        run = Run(settings, stores, order, look)
        summary = run.to_end()
        if not (dry_run or summary.stopped):
            names = [each.instrument.name for each in run.listed]
            folder = root / f"reconcile-{first}-{last}" if out is None else out
            summary.notes += hand_on(stores, names, order.days, order.intervals, folder)
    _print(found, summary, as_json)
    ended(summary)
    return summary.exit_code


def _print(found: dict[str, Comparison], summary: RunSummary, as_json: bool) -> None:
    if as_json:
        both = {name: each.as_dict() for name, each in found.items()}
        document = {**summary.as_dict(), "comparison": both}
        stdout.print(json.dumps(document), markup=False, soft_wrap=True)
        return
    print_summary(summary, as_json=False)
    for name, each in found.items():
        if each.bars:
            stdout.print(f"\ncompared, {name}", markup=False)
            for line in comparison_lines(each):
                stdout.print(line, markup=False, soft_wrap=True)


def _files_alone(settings: Settings, order: Order, tick: Decimal, as_json: bool) -> int:
    paths = files_of(order.vendor)
    if not 1 <= len(paths) <= FILES_MAX:
        raise UsageError(f"--files compares one or two files, not {len(paths)}")
    layouts = chosen_layouts(settings, order)
    rules, calendar = load_rules(settings.rules_file), SessionCalendar.load()
    summary = RunSummary(dry_run=True)
    roster = OpenRoster(int(tick * 100))
    said = [
        _read(path, layouts, roster, SessionJudge(calendar, rules.phases), order, summary)
        for path in paths
    ]
    found = {}
    for each in INTERVALS:
        own = _named([[b for b in part if b.interval == each] for part in said], rules)
        if own:
            found[each] = compare(own, rules, calendar)
            summary.outside.add(SessionJudge(calendar, rules.phases).outside(own))
            doubts = Doubts()
            doubts.look(own)
            summary.doubts += doubts.sentences
    conflicts = any(
        name.startswith("CONFLICT") for each in found.values() for name in each.verdicts
    )
    if as_json:
        document = {
            "files": [each.as_dict() for each in summary.files],
            "refused": dict(summary.refused),
            "repeated": summary.repeated,
            "outside": dict(summary.outside.causes),
            "examples": summary.outside.examples,
            "doubts": summary.doubts,
            "comparison": {name: each.as_dict() for name, each in found.items()},
        }
        stdout.print(json.dumps(document), markup=False, soft_wrap=True)
    else:
        lines = [line for one in found.values() for line in comparison_lines(one)]
        for line in [*lines, *finding_lines(summary)]:
            stdout.print(line, markup=False, soft_wrap=True)
    return EXIT_FINDINGS if conflicts or summary.has_findings else EXIT_DONE


def _read(
    path: Path,
    layouts: dict[str, Layout],
    roster: OpenRoster,
    judge: SessionJudge,
    order: Order,
    summary: RunSummary,
) -> list[SourceBars]:
    """All bars of one file."""

    def refuse(lines: Sequence[RefusedLine]) -> None:
        summary.refuse(lines)

    asked = Asked(roster, FIRST_NS, LAST_NS)
    spool = Spool(Path(tempfile.gettempdir()))
    said: list[SourceBars] = []
    with closing(
        VendorFiles(layouts, asked, spool, judge, accept_adjusted=order.accept_adjusted)
    ) as files:
        summary.files.append(files.load(path, refuse))
        since, until = (datetime.fromtimestamp(ns // 10**9, UTC) for ns in (FIRST_NS, LAST_NS))
        for interval in INTERVALS:
            reading = files.read(Window(roster.asked, interval, since, until))
            said += reading.bars
            summary.refuse(reading.refused)
            summary.repeated += reading.repeated
    return said


def _named(said: Sequence[Sequence[SourceBars]], rules: MergeRules) -> list[SourceBars]:
    """One source a file: as the layout names it; where both say the same, by their order."""
    own = [part[0] for part in said if part]
    if len(own) == FILES_MAX and own[0].source == own[1].source:
        own = [replace(each, source=rules.sources[at]) for at, each in enumerate(own)]
    return own


def hand_on(
    stores: Stores, names: Sequence[str], days: Days, intervals: Sequence[str], folder: Path
) -> list[str]:
    """Write the golden bars of the months of these days, and the report on ``names``, below
    ``folder``; a sentence for each. Raises OutputUnusable."""
    told = []
    for interval in intervals:
        survey = BarSurvey(stores.connection, interval)
        months = tuple(
            month
            for _, month in stores.bars.months(interval)
            if days.first.replace(day=1) <= month <= days.last
        )
        for piece in pieces(survey, Wish(interval, months, None, None)):
            done = export(stores, piece, folder / "parquet", dry_run=False)
            if done is not None:
                told.append(f"{folder / 'parquet' / piece.path}: {done.rows:,} bars, {done.state}")
    found = BarSurvey(stores.connection).instruments(days.since, days.until, names)
    chosen = sorted(each.name for each in found)
    if chosen:
        with progress_bar() as bar:
            task = bar.add_task("report", total=(days.last - days.first).days + 1)
            report = gather(stores, chosen, days, lambda _: bar.advance(task))
        path = folder / "report.html"
        write_page(path, render(report))
        told.append(f"{path}: what differed, what lacks and why, of {len(chosen):,} instruments")
    return told
