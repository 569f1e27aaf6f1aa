"""``days`` and ``rebuild``: which dumps the history has, and its ranges made from them again."""

from __future__ import annotations

import json
from pathlib import Path

from kite_instruments.commands.options import Exchanges, open_store, settings_of
from kite_runtime.console import stdout
from kite_runtime.options import AsJson, Root
from kite_runtime.tables import make_table


def command(exchange: Exchanges = None, root: Root = Path(), as_json: AsJson = False) -> int:
    """List the recorded dumps, oldest day first, with what each changed."""
    with open_store(settings_of(root)) as store:
        batches = store.days()
        waiting = {batch.batch_id for batch in store.unpublished()}
    if exchange:
        batches = [each for each in batches if set(each.exchanges) & set(exchange)]
    if as_json:
        for each in batches:
            print(
                json.dumps(
                    {
                        "batch_id": each.batch_id,
                        "observed_on": each.observed_on.isoformat(),
                        "exchanges": list(each.exchanges),
                        "recorded_at": each.recorded_at.isoformat(),
                        "file_name": each.file_name,
                        "rows_good": each.rows_good,
                        "rows_refused": each.rows_refused,
                        "added": each.added,
                        "changed": each.changed,
                        "removed": each.removed,
                        "expired": each.expired,
                        "unchanged": each.unchanged,
                        "published": each.batch_id not in waiting,
                        "sha256": each.content_sha256.hex(),
                    }
                )
            )
        return 0
    if not batches:
        stdout.print("no dump is recorded yet: run `instruments sync`")
        return 0
    facts = ("day", "batch", "exchanges", "from", "recorded (UTC)", "published")
    counts = ("good", "refused", "added", "changed", "removed", "expired")
    spare = ("recorded (UTC)", "from", "exchanges", "expired", "published")
    whole = {*facts} - {"from"}
    table = make_table(*facts, *counts, right=counts, whole=whole, spare=spare)
    for each in batches:
        table.add_row(
            *(str(each.observed_on), str(each.batch_id), " ".join(each.exchanges)),
            *(each.file_name or "Kite", f"{each.recorded_at:%Y-%m-%d %H:%M:%S}"),
            "no" if each.batch_id in waiting else "yes",
            *(f"{each.rows_good:,}", f"{each.rows_refused:,}", f"{each.added:,}"),
            *(f"{each.changed:,}", f"{each.removed:,}", f"{each.expired:,}"),
        )
    stdout.print(table)
    return 0


def rebuild(root: Root = Path()) -> int:
    """Rebuild the validity ranges from the recorded dumps.

    They are a projection: the result is the same as before, unless somebody changed the table.
    """
    with open_store(settings_of(root)) as store:
        ranges = store.rebuild()
    stdout.print(f"{ranges:,} validity ranges rebuilt")
    return 0
