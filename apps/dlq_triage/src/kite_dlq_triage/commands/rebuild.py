"""``rebuild``: states and groups anew from failures and decisions."""

from __future__ import annotations

from pathlib import Path

from kite_bars_store.failures import FailureStore
from kite_dlq_triage.commands.options import Root
from kite_dlq_triage.commands.storing import database
from kite_runtime.console import say, stdout


def command(root: Root = Path()) -> int:
    """Make states and groups anew from what is appended: failures and decisions.

    They are kept up to date by themselves; this is for after a repair by hand. `consume` waits.
    """
    with database(root) as connection:
        say("rebuilding")
        count = FailureStore(connection).rebuild()
    stdout.print(f"{count:,} failures rebuilt")
    return 0
