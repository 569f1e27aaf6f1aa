"""``backfill``: history from Kite for instruments that have none yet, or that are named."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kite_hist_merge.commands.options import (
    LayoutName,
    Symbols,
    Vendor,
    an_interval,
    ended,
    open_resources,
    print_facts,
    settings_of,
    show_table,
    time_of_calls,
)
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, Interrupted, UsageError
from kite_runtime.options import AsJson, Root, a_date

if TYPE_CHECKING:
    from kite_bar_history.backfill import Plan, Work
    from kite_bar_history.run import Resources
    from kite_runtime.checkpoint import Checkpoint

DAYS: Final = 60
DAYS_MAX: Final = 4000
"""Kite's minutes begin in 2015."""

Days = Annotated[
    int | None,
    typer.Option(
        "--days", min=1, max=DAYS_MAX, help="So many days back, today included; 60 by default, "
        "which are one call of minutes an instrument.",
    ),
]  # fmt: skip
Since = Annotated[
    date | None,
    typer.Option(
        "--from",
        metavar="DATE",
        parser=a_date,
        help="The first day, in India, instead of --days.",
    ),
]
New = Annotated[
    bool | None,
    typer.Option(
        "--new/--all", help="Only what has no bars in these days, or all of it. Default: --new, "
        "but --all for --symbols.",
    ),
]  # fmt: skip
Interval = Annotated[
    str,
    typer.Option(
        "--interval", metavar="m1|d1", parser=an_interval, help="Minutes (m1) or days (d1)."
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan; ask Kite nothing, write nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="Forget an unfinished backfill and make a new plan.")
]


def command(
    days: Days = None,
    since: Since = None,
    symbols: Symbols = None,
    new: New = None,
    interval: Interval = "m1",
    vendor: Vendor = None,
    layout: LayoutName = None,
    dry_run: PlanOnly = False,
    yes: Yes = False,
    restart: Restart = False,
    root: Root = Path("."),
    as_json: AsJson = False,
) -> int:
    """Fetch history into the golden bars: of what is new in the universe, or of --symbols.

    It comes from Kite, or from a vendor's files. The plan is shown first: calls, time, expected
    bars. After an interruption the same command resumes; no chunk that was done is fetched again.
    """
    from kite_bar_history.backfill import new_work, plan_of, unfinished_work

    if layout and not vendor:
        raise UsageError("--layout is of files: name them with --vendor")
    names = None if symbols is None else sorted(symbols)
    only_new = new if new is not None else names is None
    with open_resources(settings_of(root)) as resources:
        count = _count(days, since, resources.today(), DAYS_MAX if not vendor else None)
        if vendor:
            work = new_work(resources, interval, count, names, only_new=only_new)
            return _from_files(resources, work, vendor, layout, dry_run, as_json)
        what = interval, since or count, names, only_new
        with resources.checkpoint("backfill", *what) as checkpoint:
            begun = None if restart else unfinished_work(checkpoint)
            work = begun or new_work(resources, interval, count, names, only_new=only_new)
            listed = resources.universe(work.symbols, resources.today())
            done = checkpoint.done if begun else ()
            plan = plan_of(work, listed, done, resources.stores.calendar, resources.now())
            _show_plan(plan, work, as_json and dry_run)
            if dry_run:
                return EXIT_DONE
            if plan.calls:
                _ask_to_begin(plan.calls, yes)
            if begun is None:
                checkpoint.begin(work.as_json())
            return _from_kite(resources, plan, work, checkpoint, as_json)


def _count(days: int | None, since: date | None, today: date, most: int | None) -> int:
    """How many days back; ``most`` None is any number. Raises UsageError."""
    if since is None:
        return DAYS if days is None else days
    if days is not None:
        raise UsageError("--from and --days both name the first day: leave one out")
    if since > today:
        raise UsageError(f"--from {since} has not come yet: name an earlier day")
    found = (today - since).days + 1
    if most is not None and found > most:
        raise UsageError(f"--from {since} is {found:,} days ago, and Kite has {most:,} at most")
    return found


def _from_files(
    resources: Resources,
    work: Work,
    vendor: Sequence[Path],
    layout: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Files cost no calls, and what of them is merged is known by the store: no plan is needed."""
    from kite_bar_history.run import Order, Run
    from kite_bar_history.summary import print_summary

    if not work.symbols:
        say("there is nothing to fetch")
        return EXIT_DONE
    order = Order(
        work.days,
        tuple(vendor),
        work.symbols,
        layout,
        with_kite=False,
        intervals=(work.interval,),
        dry_run=dry_run,
    )
    summary = Run(resources, order).to_end()
    code = print_summary(summary, as_json)
    ended(summary)
    return code


def _from_kite(
    resources: Resources, plan: Plan, work: Work, checkpoint: Checkpoint, as_json: bool
) -> int:
    from kite_bar_history.backfill import carry_out
    from kite_bar_history.summary import RunSummary, print_summary

    summary = RunSummary(days=work.days)
    try:
        carry_out(resources, plan, checkpoint, summary)
    finally:
        left = len(plan.chunks) - summary.windows
        short = plan.rows - summary.read.total()
        if left:
            say(
                f"{summary.windows:,} of {len(plan.chunks):,} chunks are done; the same command "
                "goes on from there"
            )
        elif again := plan.left(checkpoint.done):
            summary.notes.append(
                f"{again:,} of {plan.calls:,} calls were not answered as asked: the same command "
                "asks Kite for these alone (--restart makes a new plan)"
            )
        elif short > 0:
            summary.notes.append(
                f"the calendar expects {short:,} bars more than Kite has: `hist_merge report` "
                "shows why"
            )
        code = print_summary(summary, as_json)
    if left:
        raise Interrupted
    return code


def _show_plan(plan: Plan, work: Work, as_json: bool) -> None:
    """On stderr before it is carried out, on stdout as JSON when nothing else follows."""
    first, last = work.days.first, work.days.last
    facts: dict[str, Any] = {
        "instruments": plan.instruments,
        "interval": work.interval,
        "from": f"{first}",
        "to": f"{last}",
        "calls": plan.calls,
        "seconds": round(plan.seconds, 1),
        "rows": plan.rows,
        "done_before": plan.done,
        "without_token": list(plan.without_token),
    }
    if as_json:
        print_facts(facts)
        return
    rows = {
        "instruments": f"{plan.instruments:,}",
        "bars": f"{work.interval} of {first} to {last}",
        "calls": f"{plan.calls:,}, {plan.done:,} more are done",
        "time": time_of_calls(plan.calls),
        "bars expected": f"{plan.rows:,} by the calendar",
    }
    if plan.without_token:
        names = ", ".join(plan.without_token)
        rows["not asked for"] = f"{names}: no token, or expired (`instruments sync` records tokens)"
    show_table("Plan of the backfill", rows)
    if not plan.chunks:
        say("there is nothing to fetch")


def _ask_to_begin(calls: int, yes: bool) -> None:
    """Raises Interrupted for a no, and UsageError without a terminal to ask on."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("the plan has to be confirmed, and there is no terminal: give --yes")
    if not typer.confirm(f"Make {calls:,} calls?", err=True):
        raise Interrupted
