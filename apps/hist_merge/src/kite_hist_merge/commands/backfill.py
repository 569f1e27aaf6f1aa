"""``backfill``: history from Kite for instruments that have none yet, or that are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated, Final

import typer

from kite_bar_history.backfill_plan import Plan, Work, plan_of, span_of_days
from kite_bar_history.kite_history import KiteHistory
from kite_bar_history.read_ahead import ReadAhead
from kite_bar_history.refused import RefusedFiles
from kite_bar_history.run import merge_windows
from kite_bar_history.summary import RunSummary, print_summary
from kite_bar_history.universe import universe
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.survey import BarSurvey
from kite_bars_store.stores import Stores, days_of
from kite_contracts.sessions import IST
from kite_hist_merge.commands.merging import Order, Run, Vendor, an_interval, ended, refused_folder
from kite_hist_merge.commands.options import (
    AsJson,
    Root,
    Symbols,
    a_symbol,
    now,
    open_stores,
    progress_bar,
    settings_of,
    today,
)
from kite_hist_merge.kite_login import logged_in
from kite_hist_merge.plan_tables import ask_to_begin, show_plan
from kite_hist_merge.settings import Settings
from kite_hist_merge.stopping import stop_between_steps
from kite_runtime.checkpoint import Checkpoint, checkpoint_path
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, Interrupted

DAYS_MAX: Final = 4000
"""Kite's minutes begin in 2015."""
CLIENTS: Final = 3
"""That ask at once: one that takes a second for an answer makes one call a second."""

Days = Annotated[
    int,
    typer.Option(
        "--days", min=1, max=DAYS_MAX, help="So many days back, today included. 60 are one call "
        "of minutes an instrument.",
    ),
]  # fmt: skip
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
    bool, typer.Option("--restart", help="Forget an unfinished backfill and plan anew.")
]


def command(
    days: Days = 60,
    symbols: Symbols = None,
    new: New = None,
    interval: Interval = "m1",
    vendor: Vendor = None,
    dry_run: PlanOnly = False,
    yes: Yes = False,
    restart: Restart = False,
    root: Root = Path("."),
    as_json: AsJson = False,
) -> int:
    """Fetch history into the golden bars: of what is new in the universe, or of --symbols.

    It comes from Kite, or from a vendor's files. The plan is shown first: calls, time, expected
    bars. What was interrupted goes on with the same command; no chunk that was done is fetched
    again.
    """
    names = _names(symbols)
    only_new = new if new is not None else names is None
    settings = settings_of(root)
    with open_stores(settings) as stores:
        if vendor:
            work = _planned(settings, stores, interval, days, names, only_new)
            return _from_files(settings, stores, work, vendor, dry_run, as_json)
        info = stores.connection.info
        database = (info.host, info.port, info.dbname)
        path = checkpoint_path(
            *(settings.state_dir, "backfill", database, interval, days, names, only_new)
        )
        with Checkpoint(path) as checkpoint:
            begun = None if restart else _resumed(checkpoint)
            work = begun or _planned(settings, stores, interval, days, names, only_new)
            listed = universe(settings.universe_file, work.symbols, today(), stores.instruments)
            done = checkpoint.done if begun else ()
            plan = plan_of(work, listed, done, stores.calendar, now())
            show_plan(plan, work, as_json and dry_run)
            if dry_run:
                return EXIT_DONE
            if plan.calls:
                ask_to_begin(plan.calls, yes)
            if begun is None:
                checkpoint.begin(work.as_json())
            return _run(settings, stores, plan, checkpoint, as_json)


def _from_files(
    settings: Settings,
    stores: Stores,
    work: Work,
    vendor: Sequence[Path],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Files cost no calls, and what of them is merged is known by the store: no plan is needed."""
    if not work.symbols:
        say("there is nothing to fetch")
        return EXIT_DONE
    last = (work.until - timedelta(days=1)).astimezone(IST).date()
    order = Order(
        days_of(work.since.astimezone(IST).date(), last),
        tuple(vendor),
        work.symbols,
        with_kite=False,
        intervals=(work.interval,),
        dry_run=dry_run,
    )
    summary = Run(settings, stores, order).to_end()
    code = print_summary(summary, as_json)
    ended(summary)
    return code


def _run(
    settings: Settings, stores: Stores, plan: Plan, checkpoint: Checkpoint, as_json: bool
) -> int:
    summary = RunSummary()
    keep = RefusedFiles(refused_folder(settings, now()))
    run = partial(
        merge_windows,
        stores.bars,
        judge=SessionJudge(stores.calendar, stores.rules.phases),
        keep=keep,
        summary=summary,
    )
    try:
        with (
            _kite(settings, stores, plan) as source,
            stop_between_steps("chunk") as stop,
            progress_bar() as bar,
        ):
            task = bar.add_task("backfill", total=len(plan.chunks))
            for chunk in plan.chunks:
                if stop.asked and not source.hold():
                    break
                bar.update(task, description=chunk.listed.instrument.name)
                run([source], [chunk.window])
                checkpoint.note(chunk.key)
                bar.advance(task)
    finally:
        summary.refused_folder = keep.folder
        left = len(plan.chunks) - summary.windows
        if left:
            say(
                f"{summary.windows:,} of {len(plan.chunks):,} chunks are done; the same command "
                "goes on from there"
            )
        else:
            _note_shortage(summary, plan)
        code = print_summary(summary, as_json)
    if left:
        raise Interrupted
    checkpoint.finish()
    return code


@contextmanager
def _kite(settings: Settings, stores: Stores, plan: Plan) -> Iterator[ReadAhead]:
    """Several clients under one pace."""
    from kite_broker_zerodha.rest import Pace

    pace, stopped = Pace(), Event()
    with ExitStack() as stack:
        sources = [
            KiteHistory(
                stack.enter_context(logged_in(settings, pace=pace, sleep=stopped.wait)),
                stores.calendar,
                now=now,
            )
            for _ in range(CLIENTS)
        ]
        windows = [chunk.window for chunk in plan.chunks]
        yield stack.enter_context(ReadAhead(sources, windows, on_leave=stopped.set))


def _note_shortage(summary: RunSummary, plan: Plan) -> None:
    short = plan.rows - summary.read.total()
    if short > 0:
        summary.notes.append(
            f"the calendar expects {short:,} bars more than Kite has: `hist_merge report` tells why"
        )


def _names(symbols: Sequence[str] | None) -> list[str] | None:
    """The symbols, also those that stand in one value with commas between."""
    if symbols is None:
        return None
    parts = [part for each in symbols for part in each.split(",")]
    return sorted({a_symbol(part) for part in parts})


def _resumed(checkpoint: Checkpoint) -> Work | None:
    if checkpoint.work is None:
        return None
    try:
        work = Work.from_json(checkpoint.work)
    except (KeyError, TypeError, ValueError):
        return None
    say(
        f"going on with the backfill of {work.begun.astimezone(IST):%Y-%m-%d %H:%M}: "
        f"{len(checkpoint.done):,} chunks are done (--restart plans anew)"
    )
    return work


def _planned(
    settings: Settings,
    stores: Stores,
    interval: str,
    days: int,
    names: Sequence[str] | None,
    only_new: bool,
) -> Work:
    since, until = span_of_days(days, today())
    listed = universe(settings.universe_file, names, today(), stores.instruments)
    wanted = [each.instrument.name for each in listed]
    if only_new:
        survey = BarSurvey(stores.connection, interval)
        there = {each.name for each in survey.instruments(since, until, wanted, observed=True)}
        if there:
            say(
                f"{len(there):,} of {len(wanted):,} instruments have bars in these days already, "
                "some or all of them: --all fetches these, too"
            )
        wanted = [name for name in wanted if name not in there]
    return Work(interval, since, until, tuple(wanted), now())
