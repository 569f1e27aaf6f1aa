"""What `resolve`, `ignore`, `reopen`, `assign` and `note` share."""

from __future__ import annotations

from pathlib import Path

import orjson

from app_kit.console import stdout
from bars_store.failures import Decision, FailureStore
from dlq_triage.commands.storing import database, selection, user

_DONE = {
    Decision.RESOLVE: "resolved",
    Decision.IGNORE: "ignored",
    Decision.REOPEN: "opened again",
    Decision.ASSIGN: "assigned",
    Decision.NOTE: "noted",
}


def decide(
    decision: Decision,
    ids: list[str] | None,
    group: str | None,
    who: str | None,
    note: str,
    *,
    as_json: bool,
    root: Path,
    assignee: str | None = None,
) -> int:
    """Append the decision for the failures named, and say how many it changed."""
    with database(root) as connection:
        store = FailureStore(connection)
        chosen = selection(store, ids, group=group)
        done = store.decide(chosen, decision, user(who), note, assignee=assignee)
    if as_json:
        print(orjson.dumps({"changed": done.changed, "unchanged": done.unchanged}).decode())
        return 0
    rest = f", {done.unchanged:,} were so already" if done.unchanged else ""
    stdout.print(f"{done.changed:,} {_DONE[decision]}{rest}")
    return 0
