"""What a sync did, for people and machines."""

from __future__ import annotations

import json

from rich.table import Table

from kite_instruments.messages import Published
from kite_instruments.syncing import Outcome
from kite_runtime.console import say, stdout


def show(outcome: Outcome, as_json: bool) -> None:
    """A table for people, or one JSON object, on stdout."""
    if as_json:
        print(json.dumps(outcome.as_dict()))
        return
    batch = "dry run, nothing is written"
    if outcome.batch_id is not None:
        batch = f"batch {outcome.batch_id}"
    title = f"{', '.join(outcome.exchanges)} on {outcome.day}, from {outcome.label}: {batch}"
    stdout.print(title, markup=False, soft_wrap=True)
    if not outcome.new:
        stdout.print("nothing new: that batch has this very dump")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for name, number, meaning in _lines(outcome):
        table.add_row(name, f"{number:,}", meaning)
    stdout.print(table)
    stdout.print(f"took {outcome.took_s:.1f} s")


def _lines(outcome: Outcome) -> list[tuple[str, int, str]]:
    lines = [
        ("read", outcome.read, "lines of the dump"),
        ("good", outcome.good, "keep the contract"),
        ("refused", len(outcome.refused), "in the dead letters"),
    ]
    lines += [(f"  {reason}", number, "") for reason, number in outcome.reasons.items()]
    if outcome.kept:
        lines.append(("kept", outcome.kept, "stay as they were, their row was refused"))
    return [
        *lines,
        ("added", outcome.added, "symbols that are new"),
        ("changed", outcome.changed, "symbols with another token, lot, tick …"),
        ("removed", outcome.removed, "symbols that are gone before their expiry"),
        ("unchanged", outcome.unchanged, ""),
        ("renamed", outcome.renamed, "the same contract under another symbol"),
        ("moved", outcome.moved, "the same symbol on another token"),
        ("token reused", outcome.reused, "the token names another contract now"),
    ]


def tell_published(published: Published, topic: str) -> None:
    """What the topic got, on stderr."""
    if not published.listed and not published.gone:
        say(f"topic {topic}: nothing new")
        return
    say(f"topic {topic}: {published.listed:,} instruments, {published.gone:,} gone")
