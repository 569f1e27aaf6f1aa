"""``findings``: what needs attention in golden bars, by kind, instrument and time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_hist_merge.commands.options import (
    Expected,
    Intervals,
    expected_names,
    no_session,
    open_stores,
    past_days,
    settings_of,
)
from kite_runtime.console import clean_json, progress_bar, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_runtime.options import AsJson, Day, From, Root, To

if TYPE_CHECKING:
    from kite_bars_store.bars.findings import Finding, Group


def a_kind(text: str) -> str:
    """A kind of finding, in either case. Raises BadParameter."""
    from kite_bars_store.bars.findings import KINDS

    if text.upper() not in KINDS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(KINDS)}")
    return text.upper()


def command(
    first: From = None,
    last: To = None,
    day: Day = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--flag",
            metavar="KIND",
            parser=a_kind,
            help="Only this flag, verdict, cause or doubt, such as OFF_TICK, CONFLICT_BROKER_WON, "
            "NO_BARS or TRADED_IN_HALT; may be repeated. Default: all but those that are usual: "
            "FLAT, NO_TRADE, OUTSIDE, and verdicts that are no conflict.",
        ),
    ] = None,
    symbols: Expected = None,
    interval: Intervals = None,
    minutes: Annotated[
        bool, typer.Option("--minutes", help="List each run of bars, not a sum by instrument.")
    ] = False,
    root: Root = Path(),
    as_json: AsJson = False,
) -> int:
    """List every flag, conflict, missing minute and doubt, with instrument, day and minute.

    By default a line for each kind and instrument: how many bars, from which day to which.
    --minutes and --json list the runs of bars; `show SYMBOL TIME` explains one of them.
    Instruments without any bar are among them (NO_BARS). Exit code 3 when there is any.
    """
    from dataclasses import asdict

    import orjson

    from kite_bars_store.bars.columns import RECORDED
    from kite_bars_store.bars.findings import KINDS, NOTABLE, find

    days, settings = past_days(first, last, day), settings_of(root)
    wanted = frozenset(kinds or NOTABLE)
    found: list[Finding] = []
    no_minutes = False
    with open_stores(settings) as stores, progress_bar() as bar:
        names = expected_names(stores, settings, days, symbols)
        task = bar.add_task("looking", total=None)
        for each in interval or RECORDED:
            looked = find(
                *(stores, names, days, wanted, each),
                progress=lambda at: bar.update(task, description=at),
            )
            found += looked.findings
            no_minutes |= looked.missing is not None and not looked.missing.expected.any()
    if as_json:
        for one in found:
            print(clean_json(orjson.dumps(asdict(one)).decode()))
    else:
        lines = _by_bar(found) if minutes else _by_instrument(found)
        for line in lines:
            stdout.print(line, markup=False, soft_wrap=True)
        if no_minutes:
            stdout.print(no_session(names, days), markup=False, soft_wrap=True)
        elif not found:
            stdout.print(f"nothing of {', '.join(k for k in KINDS if k in wanted)}", soft_wrap=True)
    return EXIT_FINDINGS if found else EXIT_DONE


def _by_instrument(found: list[Finding]) -> Iterator[str]:
    """A heading for each kind, which names an instrument that has all of it; else a line each."""
    from kite_bars_store.bars.findings import KINDS, grouped

    for (kind, interval), groups in groupby(
        grouped(found), lambda each: (each.kind, each.interval)
    ):
        own = list(groups)
        total = _count(sum(each.bars for each in own), interval)
        alone = len(own) == 1
        yield (
            f"{kind}  {total}, all of {own[0].symbol}, {_days(own[0])}"
            if alone
            else f"{kind}  {total} of {len(own):,} instruments"
        )
        yield f"    {KINDS[kind]}"
        if not alone:
            wide = max(len(each.symbol) for each in own)
            many = len(f"{own[0].bars:,}")
            for each in own:
                yield f"    {each.symbol:<{wide}}  {each.bars:>{many},}  {_days(each)}"


def _by_bar(found: list[Finding]) -> Iterator[str]:
    wide = max((len(each.symbol) for each in found), default=0)
    for each in found:
        time = f"{each.since:%Y-%m-%d %H:%M}" if each.interval == "m1" else f"{each.since:%Y-%m-%d}"
        count = _count(each.bars, each.interval)
        detail = f"  {each.detail}" if each.detail else ""
        yield f"{each.kind:<19}  {each.symbol:<{wide}}  {time:<16}  {count}{detail}"


def _count(bars: int, interval: str) -> str:
    unit = "minute" if interval == "m1" else "day"
    return f"{bars:,} {unit}{'' if bars == 1 else 's'}"


def _days(group: Group) -> str:
    return str(group.first) if group.first == group.last else f"{group.first} to {group.last}"
