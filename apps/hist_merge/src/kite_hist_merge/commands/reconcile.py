"""`reconcile`: both feeds of some days compared and merged; or two files, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_hist_merge.commands.options import (
    AcceptAdjusted,
    DryRun,
    Intervals,
    LayoutNames,
    NoKite,
    Symbols,
    Vendor,
    ended,
    open_resources,
    print_facts,
    settings_of,
)
from kite_runtime.clock import today
from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, UsageError
from kite_runtime.options import AsJson, Day, From, Root, To

if TYPE_CHECKING:
    from kite_bar_history.protocol import Window
    from kite_bar_history.summary import RunSummary
    from kite_bars_store.bars import SourceBars
    from kite_bars_store.bars.comparing import Comparison


def a_tick(text: str) -> Decimal:
    """A price of whole paise above zero. Raises BadParameter."""
    try:
        found = Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is no price such as 0.05") from error
    if not Decimal("0.01") <= found <= 1000 or found * 100 != int(found * 100):
        raise typer.BadParameter(f"{text} is no tick of whole paise such as 0.05")
    return found


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
    first: From = None,
    last: To = None,
    day: Day = None,
    vendor: Vendor = None,
    symbols: Symbols = None,
    no_kite: NoKite = False,
    interval: Intervals = None,
    layout: LayoutNames = None,
    accept_adjusted: AcceptAdjusted = False,
    tick: Tick = Decimal("0.05"),
    out: Out = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Compare both feeds and report what differed and who won.

    With --from and --to it merges like `daily`, compares bar by bar what was read, and writes the
    golden bars as Parquet and a page of HTML on what differed, what is missing and why. With
    --files it compares one or two files by the same rules: nothing else is asked or written.
    """
    from kite_bar_history.reconcile import compare_files, write_results
    from kite_bar_history.run import INTERVALS, Order, Run
    from kite_bar_history.vendor_files.layouts import chosen_layouts
    from kite_bars_store.bars import load_rules
    from kite_bars_store.bars.comparing import Comparison, compare
    from kite_bars_store.stores import days_of

    settings = settings_of(root)
    if alone:
        if first or last or day or vendor or symbols or out:
            raise UsageError("--files compares files alone: leave out --from, --to and the like")
        chosen: list[str | None] = [*layout] if layout else [None]
        layouts = [chosen_layouts(settings.vendor_file, each) for each in chosen]
        return _files_alone(
            *compare_files(
                files or (),
                layouts,
                load_rules(settings.rules_file),
                tick_size=int(tick * 100),
                accept_adjusted=accept_adjusted,
            ),
            as_json,
        )
    if files:
        raise UsageError(f"{files[0]} is named without an option: --files compares files alone")
    if not (first or last or day):
        raise UsageError("name the days with --from and --to or --day, or files with --files")
    if len(layout or ()) > 1:
        raise UsageError("--layout is given several times: without --files it takes one")
    days = days_of(first, last, day)
    order = Order(
        days,
        tuple(vendor or ()),
        symbols,
        layout[0] if layout else None,
        accept_adjusted,
        not no_kite,
        tuple(interval or INTERVALS),
        dry_run,
    )
    order.check(today())
    found = {each: Comparison() for each in order.intervals}
    with open_resources(settings) as resources:
        stores = resources.stores

        def look(bars: Sequence[SourceBars], window: Window) -> None:
            compare(bars, stores.rules, stores.calendar, found[window.interval])

        run = Run(resources, order, look)
        summary = run.to_end()
        if not (dry_run or summary.stopped):
            names = [each.instrument.name for each in run.listed]
            folder = root / f"reconcile-{days.first}-{days.last}" if out is None else out
            summary.notes += write_results(stores, names, order.days, order.intervals, folder)
    _print(found, summary, as_json)
    ended(summary)
    return summary.exit_code


def _print(found: dict[str, Comparison], summary: RunSummary, as_json: bool) -> None:
    from kite_bar_history.summary import comparison_lines, print_summary

    if as_json:
        both = {name: each.as_dict() for name, each in found.items()}
        print_facts({**summary.as_dict(), "comparison": both})
        return
    print_summary(summary, as_json=False)
    for name, each in found.items():
        if each.bars:
            stdout.print(f"\ncompared, {name}", markup=False)
            for line in comparison_lines(each):
                stdout.print(line, markup=False, soft_wrap=True)


def _files_alone(found: dict[str, Comparison], summary: RunSummary, as_json: bool) -> int:
    from kite_bar_history.summary import comparison_lines, finding_lines

    compared = any(each.has_findings for each in found.values())
    if as_json:
        print_facts(
            {
                "files": [each.as_dict() for each in summary.files],
                "refused": dict(summary.refused),
                "repeated": summary.repeated,
                "outside": dict(summary.outside.causes),
                "examples": summary.outside.examples,
                "doubts": summary.doubts,
                "comparison": {name: each.as_dict() for name, each in found.items()},
            }
        )
    else:
        lines = [line for one in found.values() for line in comparison_lines(one)]
        for line in [*lines, *finding_lines(summary)]:
            stdout.print(line, markup=False, soft_wrap=True)
    return EXIT_FINDINGS if compared or summary.has_findings else EXIT_DONE
