"""``rebuild``: the validity ranges from what was observed, and nothing else."""

from __future__ import annotations

from pathlib import Path

from kite_instruments.commands.options import Root, open_store, settings_of
from kite_runtime.console import stdout


def command(root: Root = Path()) -> int:
    """Make the validity ranges anew from the recorded dumps.

    They are a projection: the result is the same as before, unless somebody changed the table.
    """
    with open_store(settings_of(root)) as store:
        ranges = store.rebuild()
    stdout.print(f"{ranges:,} validity ranges made anew")
    return 0
