"""``assign``: whose failures are, appended to their history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kite_bars_store.failures import Decision
from kite_bars_store.failures.store import ASSIGNEE_LENGTH_MAX
from kite_dlq_triage.commands.deciding import decide
from kite_dlq_triage.commands.options import Root
from kite_dlq_triage.commands.storing import Group, Ids, Json, Note, Who
from kite_runtime.errors import UsageError


def command(
    to: Annotated[
        str, typer.Option("--to", metavar="NAME", help="Whose they are from now on; '' for nobody.")
    ],
    ids: Ids = None,
    group: Group = None,
    note: Note = "",
    who: Who = None,
    as_json: Json = False,
    root: Root = Path(),
) -> int:
    """Say whose failures are; they stay open."""
    if len(to) > ASSIGNEE_LENGTH_MAX:
        raise UsageError(f"--to has {len(to)} letters; {ASSIGNEE_LENGTH_MAX} are the most")
    return decide(
        Decision.ASSIGN, ids, group, who, note, as_json=as_json, root=root, assignee=to.strip()
    )
