"""``compact`` and ``prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kite_runtime.clock import today
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_INTERRUPTED, UsageError
from kite_runtime.settings import WrongValue, seconds
from kite_runtime.stopping import stop_on_signals
from kite_tick_archive.commands.options import Root, Warehouse, a_day, opened, settings_of

Grace = Annotated[
    str,
    typer.Option(
        "--grace",
        metavar="TIME",
        help="How long replaced files stay on the disk, for readers that are at work.",
    ),
]


def compact(
    days: Annotated[
        list[str] | None, typer.Argument(metavar="[DAY]...", help="Only these days.")
    ] = None,
    grace: Grace = "24h",
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Merge the small files of each closed day and bucket, then remove files that nothing needs.

    Safe beside readers and writers; stopped or killed, run it again.
    """
    from kite_lake.upkeep import compact as merge
    from kite_lake.upkeep import sweep

    settings = settings_of(root, warehouse=warehouse)
    chosen = [a_day(each, "DAY") for each in days or ()]
    current = today()
    for day in chosen:
        if day >= current:
            raise UsageError(f"{day} is not over yet: it can be compacted from tomorrow on")
    with opened(settings) as lake, stop_on_signals() as stop:
        done = merge(lake, current, chosen, lambda: bool(stop))
        say(
            f"{done.partitions:,} partitions compacted: {done.files_before:,} files became "
            f"{done.files_after:,} ({done.rows:,} rows)"
        )
        if done.left:
            say(f"{done.left:,} partitions were changed by others meanwhile: run it again")
        if stop:
            return EXIT_INTERRUPTED
        swept = sweep(lake, _seconds(grace))
        say(f"{swept.files:,} files removed ({swept.size / 2**20:,.1f} MiB)")
    return EXIT_DONE


def prune(
    keep: Annotated[
        str, typer.Option("--keep", metavar="TIME", help="What stays: 2y, 18m or 90d.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without it nothing is removed.")
    ] = False,
    grace: Grace = "24h",
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Show which days are older than --keep; with --yes drop them.

    They are gone for readers at once, and from the disk after --grace, with the next `compact` or
    `prune`.
    """
    from kite_lake.upkeep import keep_from, old_days, sweep
    from kite_lake.upkeep import prune as drop

    settings = settings_of(root, warehouse=warehouse)
    try:
        before = keep_from(keep, today())
    except ValueError:
        raise UsageError(f"--keep {keep[:20]} is no time such as 2y, 18m or 90d") from None
    with opened(settings) as lake:
        found = old_days(lake, before)
        if not any(found.values()):
            say(f"nothing is older than {before}")
        else:
            table = Table(title=f"Days before {before}", title_justify="left")
            table.add_column("table")
            for name in ("first", "last", "days", "rows", "files", "MiB"):
                table.add_column(name, justify="right", no_wrap=True)
            for name, days in found.items():
                if days:
                    table.add_row(
                        name,
                        str(days[0].day),
                        str(days[-1].day),
                        f"{len(days):,}",
                        f"{sum(day.rows for day in days):,}",
                        f"{sum(day.files for day in days):,}",
                        f"{sum(day.size for day in days) / 2**20:,.1f}",
                    )
            stdout.print(table)
            if not yes:
                say("nothing is removed without --yes")
                return EXIT_DONE
            drop(lake, before)
        if yes:
            swept = sweep(lake, _seconds(grace))
            say(f"{swept.files:,} files removed ({swept.size / 2**20:,.1f} MiB)")
    return EXIT_DONE


def _seconds(text: str) -> float:
    try:
        return seconds(0, 366 * 86_400)(text)
    except WrongValue as problem:
        raise UsageError(f"--grace {problem}") from None
