"""``heal``: the minutes of the live feed's gaps, from Kite's history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kite_hist_merge.commands.options import (
    open_resources,
    print_facts,
    settings_of,
    show_table,
    time_of_calls,
)
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, Interrupted
from kite_runtime.options import AsJson, Root

if TYPE_CHECKING:
    from kite_bar_history.healing import Healing

NAMED_MAX: Final = 10
PlanOnly = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would be fetched; ask Kite nothing, write nothing."),
]


def command(dry_run: PlanOnly = False, as_json: AsJson = False, root: Root = Path()) -> int:
    """Fetch exactly the minutes of the live feed's gaps from Kite, and close the gaps.

    With KAFKA_BOOTSTRAP the feed's events are read first, so that every gap is known. A gap counts
    as healed when Kite has been asked for each of its minutes. After an interruption the same
    command resumes.
    """
    from kite_bar_history.healing import healing

    with (
        open_resources(settings_of(root)) as resources,
        healing(resources, dry_run=dry_run) as work,
    ):
        _show(work, as_json and dry_run)
        if dry_run:
            return EXIT_DONE
        try:
            work.run()
        finally:
            _print(work, as_json)
        if work.calls_left:
            done, calls = work.summary.windows, len(work.calls)
            say(f"{done:,} of {calls:,} calls are done; the same command goes on")
            raise Interrupted
        return EXIT_FINDINGS if work.needs.unknown else work.summary.exit_code


def _print(work: Healing, as_json: bool) -> None:
    from kite_bar_history.summary import print_summary

    summary, needs, healed = work.summary, work.needs, len(work.healed)
    left, waiting = len(needs.gaps) - healed, len(needs.waiting)
    if needs.unknown:
        reasons = [f"token {token}: {why}" for token, why in sorted(needs.unknown.items())]
        more = len(reasons) - NAMED_MAX
        summary.notes += [f"not asked for: {reason}" for reason in reasons[:NAMED_MAX]]
        if more > 0:
            summary.notes.append(f"not asked for: {more:,} more; --json has them all")
    if as_json:
        counts = {"healed": healed, "left": left, "waiting": waiting}
        print_facts({**summary.as_dict(), "gaps": counts, "not_asked_for": needs.unknown})
        return
    summary.notes.insert(
        0,
        f"gaps: {healed:,} healed, {left:,} not yet, {waiting:,} still open or just ended",
    )
    print_summary(summary, as_json=False)


def _show(work: Healing, as_json: bool) -> None:
    needs, calls = work.needs, work.calls
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
        rows["time"] = time_of_calls(len(calls))
    if needs.unknown:
        rows["not asked for"] = f"{len(needs.unknown):,} tokens: unknown, or expired"
    show_table("Plan of the healing", rows)
