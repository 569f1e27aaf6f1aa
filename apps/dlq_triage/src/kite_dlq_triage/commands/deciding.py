"""``resolve``, ``ignore``, ``assign``, ``reopen`` and ``note`` append decisions to histories;
``rebuild`` derives states and groups from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import orjson
import typer

from kite_bars_store.failures import Decision
from kite_bars_store.failures.records import ASSIGNEE_LENGTH_MAX
from kite_dlq_triage.commands.database import Group, Ids, Json, Note, Who, database, selection, user
from kite_runtime.console import say, stdout
from kite_runtime.errors import UsageError
from kite_runtime.options import Root

_DONE = {
    Decision.RESOLVE: "resolved",
    Decision.IGNORE: "ignored",
    Decision.REOPEN: "reopened",
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
    """Append the decision for the failures named, and print how many it changed."""
    from kite_bars_store.failures import FailureStore

    with database(root) as connection:
        store = FailureStore(connection)
        chosen = selection(store, ids, group=group)
        done = store.decide(chosen, decision, user(who), note, assignee=assignee)
    if as_json:
        print(orjson.dumps({"changed": done.changed, "unchanged": done.unchanged}).decode())
        return 0
    rest = f", {done.unchanged:,} unchanged" if done.unchanged else ""
    stdout.print(f"{done.changed:,} {_DONE[decision]}{rest}")
    return 0


def _deciding(decision: Decision, purpose: str) -> Callable[..., int]:
    """A command that only appends this decision."""

    def command(
        ids: Ids = None,
        group: Group = None,
        note: Note = "",
        who: Who = None,
        as_json: Json = False,
        root: Root = Path(),
    ) -> int:
        return decide(decision, ids, group, who, note, as_json=as_json, root=root)

    command.__doc__ = purpose
    return command


resolve = _deciding(
    Decision.RESOLVE, "Settle failures: their cause is fixed, and nothing is left to do."
)
ignore = _deciding(Decision.IGNORE, "Settle failures that do not matter.")
reopen = _deciding(
    Decision.REOPEN, "Reopen failures, so that they are counted and can be redriven."
)
note = _deciding(Decision.NOTE, "Add a note to the history of failures.")


def assign(
    to: Annotated[
        str, typer.Option("--to", metavar="NAME", help="The new assignee; '' for no one.")
    ],
    ids: Ids = None,
    group: Group = None,
    note: Note = "",
    who: Who = None,
    as_json: Json = False,
    root: Root = Path(),
) -> int:
    """Assign failures to someone; they stay open."""
    if len(to) > ASSIGNEE_LENGTH_MAX:
        raise UsageError(f"--to has {len(to)} letters; {ASSIGNEE_LENGTH_MAX} are the most")
    return decide(
        Decision.ASSIGN, ids, group, who, note, as_json=as_json, root=root, assignee=to.strip()
    )


def rebuild(root: Root = Path()) -> int:
    """Rebuild states and groups from what is appended: failures and decisions.

    They are kept up to date by themselves; this is for after a repair by hand. `consume` waits.
    """
    from kite_bars_store.failures import FailureStore

    with database(root) as connection:
        say("rebuilding")
        count = FailureStore(connection).rebuild()
    stdout.print(f"{count:,} failures rebuilt")
    return 0
