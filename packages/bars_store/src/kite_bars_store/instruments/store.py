"""The instrument history in Postgres. How it is kept: docs/decisions/0005."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from kite_bars_store.database import Connection, Cursor, check_revision, transaction
from kite_bars_store.database.copying import read_table
from kite_bars_store.instruments import recording
from kite_bars_store.instruments.recording import reading, statement
from kite_bars_store.instruments.records import (
    KITE,
    SCHEMA,
    Batch,
    Pending,
    Snapshot,
    SyncResult,
    Validity,
)

REVISION: Final = "0001"
"""The migration that brings the tables."""


class InstrumentStore:
    """Records dumps of one ``source``, and answers what an instrument was on a day.

    All methods raise ConnectionLost, DatabaseBusy, DatabaseRefused, NotMigrated and
    StatementFailed; the writing ones also CommitUnknown. Each is one transaction: it is done whole
    or not at all, and may be called again after any of them (`record` finds that it was done).
    Days are IST.
    """

    def __init__(self, connection: Connection, *, source: str = KITE) -> None:
        self._connection = connection
        self.source = source

    def check(self) -> None:
        """Raises NotMigrated when the tables are missing."""
        check_revision(self._connection, REVISION)

    def record(self, snapshot: Snapshot, *, again: bool = False) -> SyncResult:
        """Append what the dump says otherwise than the dump before it, by day.

        A dump that was recorded before (same day, exchanges and bytes) writes nothing, unless
        ``again``: then it becomes the last of its day, which is the way to correct a wrong dump
        that was recorded for this day after it. An older dump takes its place in time: what later
        dumps said stays as it was. Waits for another writer of the source, 120 s at most.

        Raises ValueError for a snapshot that breaks its own description (see `Snapshot`).
        """
        if snapshot.source != self.source:
            raise ValueError(f"a snapshot of {snapshot.source} in the history of {self.source}")
        rows = recording.checked(snapshot)
        with transaction(self._connection, "recording the instruments") as cursor:
            done = recording.record(cursor, snapshot, rows, again=again)
            batch = _batches(cursor, self.source, done.batch_id)[0]
        return SyncResult(batch, done.new, done.observations, done.restated)

    def rebuild(self) -> int:
        """Make the projection from the observations alone; returns the count of ranges."""
        with transaction(self._connection, "rebuilding the validity ranges") as cursor:
            return recording.rebuild(cursor, self.source)

    def at(
        self,
        as_of: date,
        exchanges: Iterable[str] | None = None,
        *,
        known_at: datetime | None = None,
    ) -> pa.Table:
        """The instruments that hold on ``as_of``, in the columns of `SCHEMA`, ordered by key.

        Empty before the first dump. ``exchanges`` None is all of them. ``known_at`` answers from
        the dumps recorded until then; it reads the whole history and takes seconds.
        """
        params = {
            **self._params(as_of, known_at),
            "exchanges": None if exchanges is None else sorted(set(exchanges)),
        }
        query = reading("instruments_at", "keys_of_exchanges", as_known=known_at is not None)
        with transaction(self._connection, "reading the instruments") as cursor:
            return read_table(cursor, query, SCHEMA, params)

    def by_symbol(
        self,
        tradingsymbol: str,
        exchange: str | None = None,
        as_of: date | None = None,
        *,
        known_at: datetime | None = None,
    ) -> list[Validity]:
        """The ranges of a symbol, by exchange and time; with ``as_of`` those that hold that day."""
        params = {
            **self._params(as_of, known_at),
            "tradingsymbol": tradingsymbol,
            "exchange": exchange,
        }
        return self._ranges("ranges_of_symbol", "keys_of_symbol", params)

    def by_token(
        self, token: int, as_of: date | None = None, *, known_at: datetime | None = None
    ) -> list[Validity]:
        """What the token named, by time; with ``as_of`` on that day."""
        params = {**self._params(as_of, known_at), "instrument_token": token}
        return self._ranges("ranges_of_token", "keys_of_token", params)

    def histories(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[Validity]]:
        """The ranges of many (exchange, tradingsymbol) by time; what is not known is left out."""
        wanted = sorted(set(keys))
        params = {
            "source": self.source,
            "exchanges": [key[0] for key in wanted],
            "tradingsymbols": [key[1] for key in wanted],
        }
        with transaction(self._connection, "looking instruments up") as cursor:
            rows = cursor.execute(statement("ranges_of_keys"), params).fetchall()
        found: dict[tuple[str, str], list[Validity]] = {}
        for row in rows:
            found.setdefault((row[0], row[1]), []).append(Validity(*row))
        return found

    def futures(self, exchange: str, underlying: str) -> list[Validity]:
        """The ranges of all futures on an underlying (Kite's ``name``), by expiry."""
        params = {"source": self.source, "exchange": exchange, "name": underlying}
        with transaction(self._connection, "looking futures up") as cursor:
            rows = cursor.execute(statement("futures_of"), params).fetchall()
        return [Validity(*row) for row in rows]

    def with_futures(self, since: date, until: date) -> set[str]:
        """The names on which NFO futures are listed on some day of ``[since, until]``: the stocks
        of these symbols trade by the hours of F&O stocks."""
        params = {"source": self.source, "since": since, "until": until}
        with transaction(self._connection, "looking for futures") as cursor:
            return {row[0] for row in cursor.execute(statement("with_futures"), params).fetchall()}

    def last_count(self, exchange: str, before: date) -> int | None:
        """How many instruments of ``exchange`` hold on the day ``before`` by the dumps until it.

        What a new dump of that day is compared with: contracts that expired since the last dump are
        not in it. None when no dump of that day or an earlier one covers the exchange.
        """
        params = {"source": self.source, "exchange": exchange, "as_of": before}
        with transaction(self._connection, "counting the instruments") as cursor:
            row = cursor.execute(statement("count_at"), params).fetchone()
        return row[0] if row else None

    def days(self) -> list[Batch]:
        """Every dump recorded, by day and then in the order of recording."""
        with transaction(self._connection, "reading the list of dumps") as cursor:
            return _batches(cursor, self.source)

    def unpublished(self) -> list[Batch]:
        """Dumps whose changes Kafka has not."""
        with transaction(self._connection, "looking for unpublished dumps") as cursor:
            rows = cursor.execute(statement("unpublished"), {"source": self.source}).fetchall()
        return [_batch(row) for row in rows]

    def pending(self, as_of: date) -> Pending:
        """What the compacted topic is missing of the state of ``as_of``, the present day.

        Publish ``rows``, a tombstone for each key in ``gone``, and then call `mark_published`. When
        that call is lost, the same comes again, which a compacted topic bears.
        """
        ids = [batch.batch_id for batch in self.unpublished()]
        params = {"source": self.source, "as_of": as_of, "batch_ids": ids}
        with transaction(self._connection, "reading what changed") as cursor:
            rows = read_table(cursor, statement("rows_pending"), SCHEMA, params)
            gone = cursor.execute(statement("keys_gone"), params).fetchall()
        return Pending(tuple(ids), rows, tuple((row[0], row[1]) for row in gone))

    def mark_published(self, batch_ids: int | Sequence[int], topic: str, records: int = 0) -> None:
        """Note that Kafka has acknowledged the changes of these dumps."""
        ids = [batch_ids] if isinstance(batch_ids, int) else list(batch_ids)
        params = {"batch_ids": ids, "topic": topic, "records": records}
        with transaction(self._connection, "noting a publication") as cursor:
            cursor.execute(statement("mark_published"), params)

    def _params(self, as_of: date | None, known_at: datetime | None) -> dict[str, Any]:
        if known_at is not None and known_at.tzinfo is None:
            raise ValueError("known_at has no time zone")
        return {"source": self.source, "as_of": as_of, "known_at": known_at}

    def _ranges(self, name: str, keys: str, params: dict[str, Any]) -> list[Validity]:
        query = reading(name, keys, as_known=params["known_at"] is not None)
        with transaction(self._connection, "looking an instrument up") as cursor:
            rows = cursor.execute(query, params).fetchall()
        return [Validity(*row) for row in rows]


def _batches(cursor: Cursor, source: str, batch_id: int | None = None) -> list[Batch]:
    params = {"source": source, "batch_id": batch_id}
    return [_batch(row) for row in cursor.execute(statement("batches"), params).fetchall()]


def _batch(row: tuple[Any, ...]) -> Batch:
    values = list(row)
    values[2] = tuple(row[2])
    return Batch(*values)
