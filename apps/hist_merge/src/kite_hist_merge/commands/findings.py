"""``findings``: what needs attention in golden minutes, by kind, instrument and time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kite_hist_merge.commands.options import WithBars, names_with_bars, open_stores, settings_of
from kite_runtime.console import clean_json, progress_bar, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_runtime.options import AsJson, From, Root, To

if TYPE_CHECKING:
    from kite_bars_store.bars.findings import Finding


def a_kind(text: str) -> str:
    """A kind of finding, in either case. Raises BadParameter."""
    from kite_bars_store.bars.findings import KINDS

    if text.upper() not in KINDS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(KINDS)}")
    return text.upper()


def command(
    first: From,
    last: To,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--flag",
            metavar="KIND",
            parser=a_kind,
            help="Only this kind, such as OFF_TICK, CONFLICT_BROKER_WON or UNEXPLAINED; may be "
            "repeated. Default: all but FLAT and NO_TRADE, which thin instruments have daily.",
        ),
    ] = None,
    symbols: WithBars = None,
    minutes: Annotated[
        bool, typer.Option("--minutes", help="List each run of minutes, not a sum by instrument.")
    ] = False,
    root: Root = Path(),
    as_json: AsJson = False,
) -> int:
    """List every flag, conflict and missing minute, with instrument, day and minute.

    By default a line for each kind and instrument: how many minutes, from which day to which.
    --minutes and --json list the runs of minutes; `show SYMBOL TIME` explains one of them.
    Instruments of tokens.csv without any bar are among them. Exit code 3 when there is any.
    """
    from dataclasses import asdict

    import orjson

    from kite_bars_store.bars.findings import KINDS, USUAL, find

    settings = settings_of(root)
    wanted = set(kinds or set(KINDS) - USUAL)
    with open_stores(settings) as stores, progress_bar() as bar:
        names = names_with_bars(stores, settings, first, last, symbols)
        task = bar.add_task("looking", total=(last - first).days + 1)
        found = find(
            *(stores.connection, names, first, last, stores.calendar, wanted),
            progress=lambda _: bar.advance(task),
        )
    if as_json:
        for each in found:
            print(clean_json(orjson.dumps(asdict(each)).decode()))
    elif found:
        stdout.print(_by_minute(found) if minutes else _by_instrument(found))
    else:
        stdout.print(f"nothing of {', '.join(k for k in KINDS if k in wanted)}", soft_wrap=True)
    return EXIT_FINDINGS if found else EXIT_DONE


def _by_instrument(found: list[Finding]) -> Table:
    from kite_bars_store.bars.findings import KINDS, grouped

    groups = grouped(found)
    kinds = dict.fromkeys(each.kind for each in groups)
    table = Table("finding", "instrument", "minutes", "first day", "last day")
    for kind in kinds:
        own = [each for each in groups if each.kind == kind]
        total = f"{sum(each.minutes for each in own):,}"
        table.add_row(kind, f"{len(own):,} instruments", total, KINDS[kind], style="bold")
        for each in sorted(own, key=lambda each: (-each.minutes, each.symbol)):
            table.add_row("", each.symbol, f"{each.minutes:,}", str(each.first), str(each.last))
    return table


def _by_minute(found: list[Finding]) -> Table:
    table = Table("finding", "instrument", "from", "minutes")
    for each in found:
        table.add_row(each.kind, each.symbol, f"{each.since:%Y-%m-%d %H:%M}", f"{each.minutes:,}")
    return table
