"""``groups``: what failed, by cause."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from kite_bars_store.failures import Group, GroupFilter, Overview
from kite_bars_store.failures.records import GROUPS_MAX
from kite_dlq_triage.commands.database import (
    Before,
    Json,
    Reason,
    Since,
    State,
    Topic,
    database,
    times,
)
from kite_dlq_triage.commands.options import code
from kite_dlq_triage.moments import moment
from kite_runtime.console import clean_json, say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_runtime.options import Root
from kite_runtime.tables import SparingTable, make_table


def command(
    reason: Reason = None,
    topic: Topic = None,
    status: State = None,
    since: Since = None,
    until: Before = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Only groups whose message has this."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=GROUPS_MAX, help="So many groups at most.")
    ] = 50,
    as_json: Json = False,
    root: Root = Path(),
) -> int:
    """List the groups of failures of one cause, those with most open ones first.

    Exit code 3 when a group listed has open failures.
    """
    from kite_bars_store.failures import FailureStore

    first, last = times(since, until)
    chosen = GroupFilter(
        reason=None if reason is None else code(reason),
        topic=topic,
        status=status,
        since=first,
        until=last,
        text=text,
    )
    with database(root) as connection:
        store = FailureStore(connection)
        found = store.groups(chosen, limit=limit)
        overview = store.overview()
    if as_json:
        print(clean_json(orjson.dumps(found).decode()))
    else:
        if found:
            stdout.print(_table(found))
        say(_summary(found, overview, limit))
    return EXIT_FINDINGS if any(group.open for group in found) else EXIT_DONE


def _table(groups: list[Group]) -> SparingTable:
    columns = ("group", "reason", "open", "total", "first seen", "last seen", "whose", "message")
    spare = ("first seen", "whose", "last seen")
    table = make_table(*columns, right={"open", "total"}, spare=spare)
    for group in groups:
        where = f" at {group.error_path}" if group.error_path else ""
        table.add_row(
            group.fingerprint,
            group.reason,
            f"{group.open:,}",
            f"{group.total:,}",
            moment(group.first_seen),
            moment(group.last_seen),
            ", ".join(group.assignees),
            f"{group.message}{where}",
        )
    return table


def _summary(groups: list[Group], overview: Overview, limit: int) -> str:
    states = ", ".join(f"{n:,} {status}" for status, n in overview.by_status.items() if n)
    more = " (there may be more: --limit)" if len(groups) == limit else ""
    oldest = overview.oldest_open
    since = f"; the oldest open one is of {moment(oldest)} UTC" if oldest else ""
    return f"{len(groups):,} groups{more}; stored: {states or 'nothing'}{since}"
