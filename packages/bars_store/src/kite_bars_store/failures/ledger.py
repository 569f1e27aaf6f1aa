"""The ledger of redrives: reserved before it is produced, settled when Kafka has answered."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from kite_bars_store.database import Connection, Cursor, copy_rows, lock, transaction
from kite_bars_store.database.connection import lock_key
from kite_bars_store.errors import DatabaseBusy
from kite_bars_store.failures import rows
from kite_bars_store.failures.records import Headers
from kite_bars_store.failures.sql import statement
from kite_bars_store.failures.store import DECISIONS, PAGE_BYTES, PAGE_ROWS, append_events, one

_COLUMNS: Final = {
    "redrive_id": "bytea",
    "failure_id": "int8",
    "run_id": "int8",
    "position": "int8",
    "attempt": "int8",
    "kind": "text",
    "target": "text",
    "record_key": "bytea",
    "record_value": "bytea",
    "header_names": "bytea[]",
    "header_values": "bytea[]",
}
_PLAIN: Final = tuple(name.removeprefix("record_") for name in _COLUMNS)[:-2]
"""The attributes of an Entry in the order of the columns; its headers are the last two."""
_TURN: Final = lock_key("redrive of dead letters")
KINDS: Final = ("redriven", "quarantined")


@dataclass(frozen=True, slots=True)
class Run:
    """One call of redrive. ``feed_session`` is what its ticks are published under."""

    run_id: int
    feed_session: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record to produce, with all its bytes.

    ``position`` orders the records of a run, from 1. ``kind`` is ``redriven`` or ``quarantined``.
    """

    redrive_id: bytes
    failure_id: int
    run_id: int
    position: int
    attempt: int
    kind: str
    target: str
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of entries: those acknowledged, and those that Kafka never took, with why."""

    produced: Sequence[bytes] = ()
    refused: Mapping[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One line of a failure, without its bytes. ``status``: reserved, produced or refused."""

    redrive_id: bytes
    run_id: int
    attempt: int
    kind: str
    target: str
    status: str
    reserved_at: datetime
    settled_at: datetime | None
    who: str
    note: str
    transform: str | None
    transform_sha256: bytes | None


def redrive_id(topic: str, topic_id: UUID, partition: int, offset: int, attempt: int) -> bytes:
    """The id of one try to send a dead letter back: 32 bytes, the same whoever asks. Pure."""
    text = f"{topic}|{topic_id}|{partition}|{offset}|{attempt}"
    return hashlib.sha256(text.encode()).digest()


class RedriveLedger:
    """Who produces only what was reserved, and settles it afterwards, has no effect twice.

    `reserve` writes the bytes before they are produced. A process that is killed leaves lines that
    are ``reserved``, of which it is unknown whether Kafka has them: `reserved` gives them again, to
    be produced byte for byte in the order of before, and readers drop the repeats. Errors are those
    of `FailureStore`; each method may be called again after any of them.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Around a whole redrive. Raises DatabaseBusy while another session is in one.

        The server ends it with the connection, should the process die.
        """
        with transaction(self._connection, "beginning a redrive") as cursor:
            taken = cursor.execute(statement("take_turn"), {"key": _TURN}).fetchone()
        if taken != (True,):
            raise DatabaseBusy("Another redrive is at work; try again when it is done.")
        try:
            yield
        finally:
            if not self._connection.closed:
                with transaction(self._connection, "ending a redrive") as cursor:
                    cursor.execute(statement("end_turn"), {"key": _TURN})

    def begin(
        self,
        who: str,
        selection: Mapping[str, Any],
        *,
        note: str = "",
        transform: str | None = None,
        transform_sha256: bytes | None = None,
    ) -> Run:
        """Note a run: who asked for what, and what each record goes through."""
        params = {
            "who": rows.clean(who),
            "note": rows.clean(note),
            "selection": json.dumps(dict(selection), default=str),
            "transform": None if transform is None else rows.clean(transform),
            "transform_sha256": transform_sha256,
        }
        with transaction(self._connection, "beginning a redrive") as cursor:
            lock(cursor, DECISIONS)
            row = cursor.execute(statement("begin_run"), params).fetchone()
        assert row is not None
        return Run(*row)

    def times_sent(self, ids: Iterable[int]) -> dict[int, int]:
        """How many lines each of these failures has; those without are left out."""
        with transaction(self._connection, "reading the ledger") as cursor:
            return dict(cursor.execute(statement("times_sent"), {"ids": list(ids)}).fetchall())

    def reserve(self, entries: Sequence[Entry]) -> set[bytes]:
        """Write the lines; returns the ids of those that may be produced now.

        Left out are failures that are no longer open or have a line that is not settled, and ids
        that the ledger has.
        """
        with transaction(self._connection, "reserving a redrive") as cursor:
            lock(cursor, DECISIONS)
            cursor.execute(statement("make_outgoing"))
            copy_rows(cursor, "dlq_outgoing", _COLUMNS, map(_row, entries))
            return {row[0] for row in cursor.execute(statement("reserve"))}

    def count_reserved(self) -> int:
        """How many lines are not settled."""
        with transaction(self._connection, "reading the ledger") as cursor:
            return one(cursor.execute(statement("count_reserved")).fetchone())

    def reserved(
        self,
        after: Entry | None = None,
        *,
        limit: int = PAGE_ROWS,
        bytes_max: int = PAGE_BYTES,
    ) -> list[Entry]:
        """A page of those lines, in the order of production, behind ``after``."""
        params = {
            "run_id": after.run_id if after else 0,
            "position": after.position if after else 0,
            "limit": limit,
            "bytes_max": bytes_max,
        }
        with transaction(self._connection, "reading the ledger") as cursor:
            found = cursor.execute(statement("reserved"), params).fetchall()
        return [_entry(row) for row in found]

    def settle(self, outcome: Outcome, who: str) -> int:
        """Note what became of lines and of their failures; returns how many were not settled yet.

        A failure becomes redriven or quarantined when its record was produced, and stays open when
        Kafka refused it.
        """
        count = 0
        with transaction(self._connection, "settling a redrive") as cursor:
            lock(cursor, DECISIONS)
            cursor.execute(statement("make_chosen"))
            for kind in KINDS:
                count += _settle(cursor, "produced", kind, list(outcome.produced), None, kind, who)
            for line, why in dict(outcome.refused).items():
                for kind in KINDS:
                    count += _settle(cursor, "refused", kind, [line], why, "refused", who)
        return count

    def refuse(self, reasons: Mapping[int, str], who: str) -> int:
        """Note for failures why a redrive found them unfit; returns how many notes are new.

        They stay as they are.
        """
        params = {"ids": list(reasons), "notes": [rows.clean(why) for why in reasons.values()]}
        with transaction(self._connection, "noting what a redrive refused") as cursor:
            lock(cursor, DECISIONS)
            cursor.execute(statement("make_chosen"))
            count = cursor.execute(statement("choose_refused"), params).rowcount
            append_events(cursor, "refused", who)
        return count

    def lines(self, failure_id: int) -> list[LedgerLine]:
        """What was sent back of one failure, oldest first."""
        with transaction(self._connection, "reading the ledger") as cursor:
            found = cursor.execute(statement("lines"), {"failure_id": failure_id}).fetchall()
        return [LedgerLine(*row) for row in found]


def _settle(
    cursor: Cursor, status: str, kind: str, ids: list[bytes], note: str | None, event: str, who: str
) -> int:
    params = {
        "status": status,
        "kind": kind,
        "redrive_ids": ids,
        "note": None if note is None else rows.clean(note),
    }
    count = cursor.execute(statement("settle"), params).rowcount
    if count:
        append_events(cursor, event, who)
        cursor.execute(statement("clear_chosen"))
    return count


def _row(entry: Entry) -> list[Any]:
    names, contents = [name for name, _ in entry.headers], [value for _, value in entry.headers]
    return [*(getattr(entry, each) for each in _PLAIN), names, contents]


def _entry(row: tuple[Any, ...]) -> Entry:
    plain = dict(zip(_PLAIN, row, strict=False))
    return Entry(**plain, headers=rows.headers(*row[len(_PLAIN) :]))
