"""``ignore``: a decision about failures, appended to their history."""

from __future__ import annotations

from pathlib import Path

from bars_store.failures import Decision
from dlq_triage.commands.deciding import decide
from dlq_triage.commands.options import Root
from dlq_triage.commands.storing import Group, Ids, Json, Note, Who


def command(
    ids: Ids = None,
    group: Group = None,
    note: Note = "",
    who: Who = None,
    as_json: Json = False,
    root: Root = Path(),
) -> int:
    """Settle failures that do not matter."""
    return decide(Decision.IGNORE, ids, group, who, note, as_json=as_json, root=root)
