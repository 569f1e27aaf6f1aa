"""Dead letters in Postgres: recorded once, decided about, looked at. How: docs/decisions/0007."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from kite_bars_store.database import (
    Connection,
    Cursor,
    check_revision,
    copy_rows,
    lock,
    transaction,
)
from kite_bars_store.failures import rows
from kite_bars_store.failures.records import (
    ASSIGNEE_LENGTH_MAX,
    GROUPS_MAX,
    NEIGHBOURS,
    Decided,
    Decision,
    Event,
    Failure,
    FailureRecord,
    Group,
    GroupFilter,
    GroupPlace,
    Overview,
    Selection,
    Status,
    Stored,
    Summary,
)
from kite_bars_store.failures.sql import statement

REVISION: Final = "0002"
"""The migration that brings the tables."""
PAGE_ROWS: Final = 500
PAGE_BYTES: Final = 16 * 1024 * 1024
DECISIONS: Final = "decisions about dead letters"
"""The lock of whoever appends events."""

_BECOMES: Final[Mapping[str, Status]] = {
    Decision.RESOLVE: Status.RESOLVED,
    Decision.IGNORE: Status.IGNORED,
    Decision.REOPEN: Status.OPEN,
    "redriven": Status.REDRIVEN,
    "quarantined": Status.QUARANTINED,
}


class FailureStore:
    """Failures, the decisions about them, and the groups they form.

    All methods raise ConnectionLost, DatabaseBusy, DatabaseRefused, NotMigrated and
    StatementFailed; the writing ones also CommitUnknown. Each is one transaction. `record` and
    `decide` may be called again after any of them: what was done already is left alone.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def check(self) -> None:
        """Raises NotMigrated when the tables are missing."""
        check_revision(self._connection, REVISION)

    def check_writable(self) -> None:
        """Raises what keeps `record` from storing, such as a lock that another session holds."""
        with transaction(self._connection, "storing dead letters") as cursor:
            cursor.execute(statement("hold_tables"))

    def record(self, records: Iterable[FailureRecord]) -> Stored:
        """Append the failures that are not there yet, by topic, topic id, partition and offset."""
        with transaction(self._connection, "storing dead letters") as cursor:
            cursor.execute(statement("make_incoming"))
            given = copy_rows(cursor, "dlq_incoming", rows.COLUMNS, map(rows.incoming_row, records))
            stored = _one(cursor.execute(statement("store_incoming")))
        return Stored(stored, given - stored)

    def groups(
        self,
        chosen: GroupFilter | None = None,
        *,
        after: GroupPlace | None = None,
        limit: int = GROUPS_MAX,
    ) -> list[Group]:
        """Groups, those with most open failures first, then by last seen; ``after`` a place."""
        return self._groups(chosen or GroupFilter(), None, after, limit)

    def group(self, fingerprint: str) -> Group | None:
        """One group; None when there is none of this fingerprint."""
        return next(iter(self._groups(GroupFilter(), fingerprint, None, 1)), None)

    def failure(self, failure_id: int) -> Failure | None:
        """One failure with all that was stored of it; None when there is none."""
        return next(iter(self.page(Selection(ids=(failure_id,)), limit=1)), None)

    def find(self, topic: str, partition: int, offset: int) -> list[int]:
        """The ids of the failure at a place; several where a topic was recreated, newest first."""
        params = {"topic": topic, "partition": partition, "offset": offset}
        with transaction(self._connection, "looking for a dead letter") as cursor:
            return [row[0] for row in cursor.execute(statement("find"), params)]

    def next_offsets(
        self, topic_ids: Mapping[str, UUID], places: Iterable[tuple[str, int]]
    ) -> dict[tuple[str, int], int]:
        """The offset behind the last record that is stored, by (topic, partition).

        A partition of which nothing is stored, of the topic with this id, is left out.
        """
        asked = list(places)
        params = {
            "topics": [topic for topic, _ in asked],
            "topic_ids": [topic_ids[topic] for topic, _ in asked],
            "partitions": [partition for _, partition in asked],
        }
        with transaction(self._connection, "looking for the last dead letters") as cursor:
            found = cursor.execute(statement("next_offsets"), params).fetchall()
        return {(topic, number): after for topic, number, after in found if after is not None}

    def page(
        self,
        chosen: Selection,
        *,
        after: int = 0,
        limit: int = PAGE_ROWS,
        bytes_max: int = PAGE_BYTES,
    ) -> list[Failure]:
        """Failures by rising id above ``after``; fewer than ``limit`` where values are large.

        Empty only at the end: ask again with the last id.
        """
        params = {**chosen.params(), "after": after, "limit": limit, "bytes_max": bytes_max}
        with transaction(self._connection, "reading dead letters") as cursor:
            return [rows.failure(row) for row in cursor.execute(statement("failures"), params)]

    def summaries(
        self, chosen: Selection, *, after: int = 0, limit: int = PAGE_ROWS
    ) -> list[Summary]:
        """The same without the bytes, for lists."""
        params = {**chosen.params(), "after": after, "limit": limit}
        with transaction(self._connection, "listing dead letters") as cursor:
            return rows.summaries(cursor.execute(statement("summaries"), params))

    def latest(
        self, chosen: Selection, *, before: int | None = None, limit: int = PAGE_ROWS
    ) -> list[Summary]:
        """The same from the newest to the oldest, with ids below ``before``."""
        params = {**chosen.params(), "before": before, "limit": limit}
        with transaction(self._connection, "listing dead letters") as cursor:
            return rows.summaries(cursor.execute(statement("latest"), params))

    def neighbours(self, failure_id: int, *, count: int = NEIGHBOURS) -> list[Summary]:
        """The failures stored before and after this one in its partition, up to ``count`` each."""
        params = {"failure_id": failure_id, "count": count}
        with transaction(self._connection, "reading the neighbours") as cursor:
            return rows.summaries(cursor.execute(statement("neighbours"), params))

    def count(self, chosen: Selection) -> int:
        """How many failures fit."""
        with transaction(self._connection, "counting dead letters") as cursor:
            return _one(cursor.execute(statement("count_selected"), chosen.params()))

    def last_id(self) -> int:
        """The highest id so far, for `Selection.up_to`; 0 when nothing is stored."""
        with transaction(self._connection, "looking for the last dead letter") as cursor:
            return _one(cursor.execute(statement("last_id")))

    def history(self, failure_id: int) -> list[Event]:
        """What was decided about a failure and done with it, oldest first."""
        with transaction(self._connection, "reading the history") as cursor:
            found = cursor.execute(statement("history"), {"failure_id": failure_id}).fetchall()
        return [Event(*row) for row in found]

    def overview(self) -> Overview:
        """Counts by status and reason, and since when the oldest one waits."""
        with transaction(self._connection, "counting dead letters") as cursor:
            counts = cursor.execute(statement("count_by_status")).fetchone() or ()
            reasons = cursor.execute(statement("count_open_by_reason")).fetchall()
            oldest = cursor.execute(statement("oldest_open")).fetchone()
        by_status = {each: int(n or 0) for each, n in zip(Status, counts, strict=True)}
        by_reason = {reason: int(n) for reason, n in reasons}
        return Overview(by_status, by_reason, oldest[0] if oldest else None)

    def decide(
        self,
        chosen: Selection,
        decision: Decision,
        who: str,
        note: str = "",
        *,
        assignee: str | None = None,
    ) -> Decided:
        """Append the decision for each failure that it changes, and change their state.

        A failure that stands so already is left alone, so that the same call again does nothing; a
        note is appended each time. ``assignee`` goes with ASSIGN alone ('' is no one). Raises
        ValueError otherwise, for an empty ``who`` and for a very long assignee.
        """
        if not who:
            raise ValueError("a decision needs somebody who makes it")
        if (assignee is not None) != (decision is Decision.ASSIGN):
            raise ValueError("an assignee goes with the decision to assign, and only with it")
        if len(assignee or "") > ASSIGNEE_LENGTH_MAX:
            raise ValueError(
                f"an assignee of the decision has at most {ASSIGNEE_LENGTH_MAX} letters"
            )
        becomes = _BECOMES.get(decision)
        params = {
            **chosen.params(),
            "becomes": becomes,
            "assignee": None if assignee is None else rows.clean(assignee),
            "note": rows.clean(note),
        }
        with transaction(self._connection, "deciding about dead letters") as cursor:
            lock(cursor, DECISIONS)
            cursor.execute(statement("make_chosen"))
            found = _one(cursor.execute(statement("count_selected"), chosen.params()))
            changed = cursor.execute(statement("choose"), params).rowcount
            cursor.execute(statement("measure_chosen"))
            append_events(cursor, decision, who, assignee=params["assignee"])
        return Decided(changed, found - changed)

    def rebuild(self) -> int:
        """Rebuild states and groups from failures and events; returns the count of failures.

        Writers wait for it, and it for them.
        """
        with transaction(self._connection, "rebuilding the state of dead letters") as cursor:
            lock(cursor, DECISIONS)
            cursor.execute(statement("clear_projection"))
            count = cursor.execute(statement("rebuild_states")).rowcount
            cursor.execute(statement("rebuild_groups"))
        return count

    def _groups(
        self, chosen: GroupFilter, fingerprint: str | None, after: GroupPlace | None, limit: int
    ) -> list[Group]:
        params = {
            **asdict(chosen),
            "text": None if chosen.text is None else rows.clean(chosen.text),
            "fingerprint": fingerprint,
            "after_open": after and after.open,
            "after_seen": after and after.last_seen,
            "after_fingerprint": after and after.fingerprint,
            "limit": limit,
        }
        with transaction(self._connection, "reading the groups") as cursor:
            found = cursor.execute(statement("groups"), params).fetchall()
        return [_group(*row) for row in found]


def append_events(cursor: Cursor, kind: str, who: str, *, assignee: str | None = None) -> None:
    """Append an event for each failure in dlq_chosen, and move their states and groups.

    Under the lock `DECISIONS`, inside the caller's transaction.
    """
    becomes = _BECOMES.get(kind)
    params = {"kind": kind, "who": rows.clean(who), "assignee": assignee, "becomes": becomes}
    if becomes is None and assignee is None:
        cursor.execute(statement("append_notes"), params)
        return
    if becomes is not None:
        cursor.execute(statement("lock_groups"))
    cursor.execute(statement("append_events"), params)
    if becomes is not None:
        cursor.execute(statement("move_groups"), params)


def one(row: Sequence[Any] | None) -> int:
    """The count that a row of one column holds."""
    assert row is not None
    return int(row[0])


def _group(*row: Any) -> Group:
    values: list[Any] = [tuple(each) if isinstance(each, list) else each for each in row]
    return Group(*values)


def _one(cursor: Cursor) -> int:
    return one(cursor.fetchone())
