"""``heal``: the minutes of the live feed's gaps, from Kite's history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from kite_bar_history.healing import Call, Needs, collect_gaps, needs_of
from kite_bar_history.kite_history import KiteHistory
from kite_bar_history.protocol import Reading, Window
from kite_bar_history.refused import RefusedFiles
from kite_bar_history.run import merge_windows
from kite_bar_history.summary import RunSummary, print_summary
from kite_bar_history.universe import Listed, Named, read_tokens, resolve
from kite_bars_store.bars import BarColumns, Gap, GapLedger, MergeResult, SourceBars
from kite_bars_store.bars.columns import Int64s, take
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.stores import Stores
from kite_hist_merge.commands.merging import refused_folder
from kite_hist_merge.commands.options import (
    AsJson,
    Root,
    now,
    open_stores,
    progress_bar,
    settings_of,
)
from kite_hist_merge.kite_login import logged_in
from kite_hist_merge.plan_tables import pace, print_facts, show_table
from kite_hist_merge.settings import Settings
from kite_hist_merge.stopping import stop_between_steps
from kite_runtime.checkpoint import Checkpoint, checkpoint_path
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, Interrupted

PlanOnly = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would be fetched; ask Kite nothing, write nothing."),
]


def command(dry_run: PlanOnly = False, as_json: AsJson = False, root: Root = Path()) -> int:
    """Fetch exactly the minutes of the live feed's gaps from Kite, and close the gaps.

    With KAFKA_BOOTSTRAP the feed's events are read first, so that every gap is known. A gap counts
    as healed when Kite has been asked for each of its minutes; what was interrupted goes on with
    the same command.
    """
    settings = settings_of(root)
    with open_stores(settings) as stores:
        gaps = _gaps(settings, GapLedger(stores.connection), dry_run)
        find, all_tokens = _finder(settings, stores)
        needs = needs_of(gaps, all_tokens, find, stores.calendar, now())
        info = stores.connection.info
        path = checkpoint_path(settings.state_dir, "heal", (info.host, info.port, info.dbname))
        with Checkpoint(path) as checkpoint:
            calls = needs.calls(checkpoint.done)
            _show(needs, calls, as_json and dry_run)
            if dry_run:
                return EXIT_DONE
            if checkpoint.work is None:
                checkpoint.begin({})
            return _Healing(settings, stores, needs, checkpoint).run(calls, as_json)


class _Healing:
    """One run: calls, then the gaps that are whole."""

    def __init__(
        self, settings: Settings, stores: Stores, needs: Needs, checkpoint: Checkpoint
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._needs = needs
        self._checkpoint = checkpoint
        self._keep = RefusedFiles(refused_folder(settings, now()))
        self._judge = SessionJudge(stores.calendar, stores.rules.phases)
        self._summary = RunSummary()

    def run(self, calls: Sequence[Call], as_json: bool) -> int:
        summary = self._summary
        healed: list[tuple[Gap, list[int]]] = []
        try:
            if calls:
                self._fetch(calls)
        finally:
            healed = self._close_gaps()
            summary.refused_folder = self._keep.folder
            self._tell(healed, as_json)
        left = len(calls) - summary.windows
        if left:
            say(f"{summary.windows:,} of {len(calls):,} calls are done; the same command goes on")
            raise Interrupted
        if len(healed) == len(self._needs.gaps):
            self._checkpoint.finish()
        return EXIT_FINDINGS if self._needs.unknown else summary.exit_code

    def _fetch(self, calls: Sequence[Call]) -> None:
        with (
            logged_in(self._settings) as kite,
            stop_between_steps("call") as stop,
            progress_bar() as bar,
        ):
            source = KiteHistory(kite, self._stores.calendar, now=now, purpose="heal")
            task = bar.add_task("healing", total=len(calls))
            for call in calls:
                if stop.asked:
                    return
                bar.update(task, description=call.listed.instrument.name)
                self._one(source, call)
                bar.advance(task)

    def _one(self, source: KiteHistory, call: Call) -> None:
        store = _Noting(self._stores.bars.merge)
        before = self._summary.read[source.name]
        merge_windows(
            *(store, [_Exactly(source, call.minutes)], [call.window]),
            judge=self._judge,
            keep=self._keep,
            summary=self._summary,
        )
        absent = len(call.minutes) - self._summary.read[source.name] + before
        if absent:
            self._summary.missing["no bar at Kite"] += absent
        key = f"{call.listed.instrument.name} {call.window.since.isoformat()} {len(call.minutes)}"
        self._checkpoint.note(key, call.as_json(store.batches))

    def _close_gaps(self) -> list[tuple[Gap, list[int]]]:
        ledger = GapLedger(self._stores.connection)
        healed = self._needs.healed(self._checkpoint.done)
        for gap, batches in healed:
            ledger.record(replace(gap, state="healed", happened_at=now()), batch_ids=batches)
        return healed

    def _tell(self, healed: Sequence[tuple[Gap, list[int]]], as_json: bool) -> None:
        summary, needs = self._summary, self._needs
        left = len(needs.gaps) - len(healed)
        counts = {"healed": len(healed), "left": left, "waiting": len(needs.waiting)}
        if needs.unknown:
            some = ", ".join(map(str, sorted(needs.unknown)[:5]))
            summary.notes.append(
                f"{len(needs.unknown):,} tokens are in no master of their day ({some}): run "
                "`instruments sync` for it, then heal again"
            )
        if as_json:
            print_facts({**summary.as_dict(), "gaps": counts})
            return
        summary.notes.insert(
            0,
            f"gaps: {counts['healed']:,} healed, {left:,} not yet, {counts['waiting']:,} still "
            "open or just ended",
        )
        print_summary(summary, as_json=False)


class _Exactly:
    """Kite's answer without the minutes that nobody lacks."""

    def __init__(self, source: KiteHistory, minutes: Int64s) -> None:
        self._source = source
        self._minutes = minutes

    @property
    def name(self) -> str:
        return self._source.name

    def read(self, window: Window) -> Reading:
        reading = self._source.read(window)
        parts = []
        for each in reading.bars:
            inside = np.isin(each.bars.ts_open_ns, self._minutes)
            bars = BarColumns(**take(each.bars.as_dict(), inside))
            parts.append(replace(each, bars=bars))
        return Reading(tuple(part for part in parts if len(part.bars)), reading.refused)


class _Noting:
    """Merges, and remembers which batches that made."""

    def __init__(self, merge: Callable[[Sequence[SourceBars]], MergeResult]) -> None:
        self._merge = merge
        self.batches: list[int] = []

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult:
        result = self._merge(sources)
        self.batches += [each.batch_id for each in result.batches if each.batch_id is not None]
        return result


def _gaps(settings: Settings, ledger: GapLedger, dry_run: bool) -> list[Gap]:
    """The gaps that lack their bars, with those of the newest events."""
    if settings.kafka is None:
        say("KAFKA_BOOTSTRAP is not set: only gaps that are in the database already are healed")
        return ledger.unhealed()
    fresh: list[Gap] = []

    def only_look(gap: Gap) -> bool:
        fresh.append(gap)
        return True

    topic = settings.events_topic
    handle = only_look if dry_run else ledger.record
    counts = collect_gaps(settings.kafka, topic, handle, keep=not dry_run)
    say(f"{counts.records:,} new events in {topic}, {counts.gaps:,} of gaps")
    if counts.unreadable:
        say(f"{counts.unreadable:,} records of {topic} are no events and were passed over")
    known = {gap.gap_id: gap for gap in ledger.unhealed()}
    for gap in fresh:
        if gap.gap_id not in known or gap.state == "closed":
            known[gap.gap_id] = gap
    return sorted(known.values(), key=lambda gap: (gap.from_ts, gap.gap_id))


def _finder(
    settings: Settings, stores: Stores
) -> tuple[Callable[[int, date], Listed | None], list[int]]:
    """Looks a token up in the master of its day, or else in the universe's file."""
    members = read_tokens(settings.universe_file) if settings.universe_file.exists() else []
    named = {each.token: each for each in members if each.token is not None}

    @cache
    def find(token: int, day: date) -> Listed | None:
        found = resolve(Named("", "", token), day, stores.instruments)
        if found is None and token in named:
            found = resolve(named[token], day, None)
        return found

    return find, list(named)


def _show(needs: Needs, calls: Sequence[Call], as_json: bool) -> None:
    names = {call.listed.instrument.name for call in calls}
    minutes = sum(len(call.minutes) for call in calls)
    if as_json:
        print_facts(
            {
                "gaps": len(needs.gaps),
                "waiting": len(needs.waiting),
                "instruments": len(names),
                "minutes": minutes,
                "calls": len(calls),
                "unknown_tokens": sorted(needs.unknown),
            }
        )
        return
    rows = {
        "gaps": f"{len(needs.gaps):,}, {len(needs.waiting):,} more are open or have just ended",
        "instruments": f"{len(names):,}",
        "minutes": f"{minutes:,} to fetch",
        "calls": f"{len(calls):,}",
    }
    if calls:
        rows["time"] = pace(len(calls))
    if needs.unknown:
        rows["unknown tokens"] = f"{len(needs.unknown):,}"
    show_table("Plan of the healing", rows)
