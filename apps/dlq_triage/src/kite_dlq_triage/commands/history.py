"""``history``: what was decided about a failure, and what was sent back of it."""

from __future__ import annotations

from pathlib import Path

import orjson
from rich.table import Table

from kite_bars_store.failures import Event, FailureStore
from kite_dlq_triage.commands.options import Root
from kite_dlq_triage.commands.storing import Json, One, database, id_of, moment
from kite_runtime.console import stdout
from kite_runtime.errors import NotFound


def command(failure: One, as_json: Json = False, root: Root = Path()) -> int:
    """Print every decision about a failure, and every redrive, with who and when."""
    with database(root) as connection:
        store = FailureStore(connection)
        failure_id = id_of(store, failure)
        if store.failure(failure_id) is None:
            raise NotFound(f"no failure {failure_id} is stored; `dlq_triage groups` shows some")
        events = store.history(failure_id)
    if as_json:
        print(orjson.dumps([event_object(event) for event in events]).decode())
    elif events:
        stdout.print(event_table(events))
    else:
        stdout.print(f"failure {failure_id}: nothing was decided yet")
    return 0


def event_table(events: list[Event]) -> Table:
    """The events as a table."""
    table = Table(title="history", title_justify="left")
    for column in ("when (UTC)", "who", "what", "note"):
        table.add_column(column, overflow="fold")
    for event in events:
        what = event.kind if event.assignee is None else f"assign to {event.assignee or 'nobody'}"
        table.add_row(moment(event.decided_at), event.who, what, event.note)
    return table


def event_object(event: Event) -> dict[str, object]:
    """One event as machines read it."""
    return {
        "event_id": event.event_id,
        "kind": event.kind,
        "who": event.who,
        "note": event.note,
        "assignee": event.assignee,
        "redrive_id": None if event.redrive_id is None else event.redrive_id.hex(),
        "decided_at": event.decided_at,
    }
