"""What the commands on stored failures share: options, the way into the database, selections."""

from __future__ import annotations

import getpass
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kite_bars_store.failures import Failure, Selection, Status
from kite_dlq_triage.commands.options import code, settings_of, span_of
from kite_runtime.errors import NotFound, UsageError

if TYPE_CHECKING:
    from kite_bars_store.database import Connection
    from kite_bars_store.failures import FailureStore

APPLICATION: Final = "dlq_triage"
IDS_MAX: Final = 10_000
_BIGINT_DIGITS: Final = 18
_PLACE: Final = re.compile(r"(.{1,249})/([0-9]{1,9})/([0-9]{1,18})")
_US: Final = 1000

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...",
        help="Failures, by number or as TOPIC/PARTITION/OFFSET.",
        show_default=False,
    ),
]
One = Annotated[
    str, typer.Argument(metavar="ID", help="A failure, by number or as TOPIC/PARTITION/OFFSET.")
]
Group = Annotated[
    str | None,
    typer.Option("--group", "-g", metavar="FINGERPRINT", help="Every failure of this group."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="CODE", help="Only this reason code.")
]
Reasons = Annotated[
    list[str] | None,
    typer.Option("--reason", metavar="CODE", help="Only this reason code; may be repeated."),
]
Topic = Annotated[
    str | None, typer.Option("--topic", "-t", metavar="NAME", help="Only this dead-letter topic.")
]
State = Annotated[
    Status | None, typer.Option("--status", help="Only failures that stand so.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Not before this time (2026-11-23T09:15+05:30; UTC without a zone) or age (2h, 7d).",
    ),
]
Before = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before this time or age.")
]
Who = Annotated[
    str | None,
    typer.Option("--who", metavar="NAME", help="Who decides. Default: the user logged in."),
]
Note = Annotated[
    str, typer.Option("--note", "-m", metavar="TEXT", help="Why; kept in the history.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@contextmanager
def database(root: Path) -> Iterator[Connection]:
    """A connection to the database of the settings, with tables of this version."""
    from kite_bars_store.database import connect
    from kite_bars_store.failures import FailureStore

    dsn = settings_of(root).require_postgres()
    with closing(connect(dsn, application_name=APPLICATION)) as connection:
        FailureStore(connection).check()
        yield connection


def user(who: str | None) -> str:
    """Who is at work. Raises UsageError when that is unknown."""
    if who is not None and not who.strip():
        raise UsageError("--who is empty; give a name")
    try:
        return who.strip() if who is not None else getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("the user name is unknown; give --who NAME") from None


def id_of(store: FailureStore, text: str) -> int:
    """The id of a failure named on the command line. Raises UsageError and NotFound."""
    if text.isascii() and text.isdigit() and len(text) <= _BIGINT_DIGITS:
        return int(text)
    place = _PLACE.fullmatch(text)
    if place is None:
        raise UsageError(f"{text[:80]!r} is no failure: give its number or TOPIC/PARTITION/OFFSET")
    found = store.find(place[1], int(place[2]), int(place[3]))
    if not found:
        raise NotFound(f"no failure of {text} is stored; `dlq_triage consume` stores them")
    return found[0]


def failure_of(store: FailureStore, text: str) -> Failure:
    """The failure named on the command line. Raises UsageError and NotFound."""
    failure_id = id_of(store, text)
    found = store.failure(failure_id)
    if found is None:
        raise NotFound(f"no failure {failure_id} is stored; `dlq_triage groups` shows some")
    return found


def selection(
    store: FailureStore,
    ids: list[str] | None,
    *,
    group: str | None = None,
    reasons: Sequence[str] | None = None,
    topic: str | None = None,
    status: Status | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Selection:
    """What the options choose. Raises UsageError when they choose nothing, or everything."""
    if not any((ids, group, reasons, topic, status, since, until)):
        raise UsageError("name what is meant: IDs, --group or a filter such as --reason")
    if ids is not None and len(ids) > IDS_MAX:
        raise UsageError(f"{len(ids)} ids are too many at once; use --group or a filter")
    first, last = times(since, until)
    chosen = Selection(
        ids=tuple(id_of(store, each) for each in ids) if ids else None,
        fingerprint=group,
        reasons=tuple(map(code, reasons)) if reasons else None,
        topic=topic,
        status=status,
        since=first,
        until=last,
    )
    if group is not None and store.group(group) is None:
        raise NotFound(f"no group {group} is stored; `dlq_triage groups` lists them")
    if chosen.ids is not None:
        stored = store.summaries(Selection(ids=chosen.ids), limit=IDS_MAX)
        missing = set(chosen.ids) - {each.failure_id for each in stored}
        if missing:
            raise NotFound(f"no failure {min(missing)} is stored; `dlq_triage groups` shows some")
    return chosen


def times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """The times that the options mean. Raises UsageError."""
    # Of two topics an offset would be ambiguous, and here it has no meaning either.
    span = span_of(None, since, until, topics=2, now_ns=time.time_ns())
    return _time(span.from_ns), _time(span.until_ns)


def _time(time_ns: int | None) -> datetime | None:
    if time_ns is None:
        return None
    seconds, rest = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // _US)
