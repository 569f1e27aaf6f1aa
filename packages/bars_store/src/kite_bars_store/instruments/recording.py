"""Writing a dump: what differs is appended, and the ranges of those symbols are rebuilt.

All of it happens inside one transaction of the caller, under the lock of the source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.database import Cursor, load_statements, lock
from kite_bars_store.database.copying import copy_table
from kite_bars_store.instruments.records import Snapshot, conform

_LOADED: Final = load_statements("kite_bars_store.instruments")


def statement(name: str) -> bytes:
    """The statement as it stands in the file."""
    return _LOADED[name]


def refresh_touched() -> bytes:
    """Appends the ranges of the symbols in instrument_touched."""
    return _LOADED["refresh_touched"].replace(b"{ranges}", _ranges("keys_touched"))


def reading(name: str, keys: str, *, as_known: bool) -> bytes:
    """A read of the projection, or with ``as_known`` of the ranges made from what was known then.

    ``keys`` names the relation of symbols that the ranges are then made for.
    """
    validity = b"(" + _ranges(keys) + b")" if as_known else b"instrument_validity"
    return _LOADED[name].replace(b"{validity}", validity)


def _ranges(keys: str) -> bytes:
    return _LOADED["ranges"].replace(b"{keys}", _LOADED[keys])


# Sorts and joins of a whole master stay in memory; the server's default spills them to disk.
_WORK_MEMORY: Final = "64MB"
_ALL_KNOWN: Final = "infinity"


@dataclass(frozen=True)
class Recorded:
    """``new`` is False when the dump was there already; nothing was written then."""

    batch_id: int
    new: bool
    observations: int = 0
    restated: int = 0


def checked(snapshot: Snapshot) -> pa.Table:
    """The snapshot's rows in the columns of the tables. Pure.

    Raises ValueError for what a caller must not hand over: a digest that is none, no exchange, rows
    of an exchange that the dump does not cover, and what `columns.conform` refuses.
    """
    if len(snapshot.content_sha256) != 32:
        raise ValueError("content_sha256 is not 32 bytes")
    if not snapshot.exchanges:
        raise ValueError("a snapshot covers at least one exchange")
    rows = conform(snapshot.rows)
    stray = set(pc.unique(rows["exchange"]).to_pylist()) - set(snapshot.exchanges)
    if stray:
        raise ValueError(f"rows of {min(stray)}, which the snapshot does not cover")
    return rows


def record(cursor: Cursor, snapshot: Snapshot, rows: pa.Table, *, again: bool) -> Recorded:
    """See `InstrumentStore.record`; ``rows`` are `checked`."""
    lock(cursor, lock_name(snapshot.source))
    params: dict[str, Any] = {
        "source": snapshot.source,
        "observed_on": snapshot.observed_on,
        "exchanges": sorted(set(snapshot.exchanges)),
        "content_sha256": snapshot.content_sha256,
    }
    found = cursor.execute(statement("find_batch"), params).fetchone()
    if found is not None and not again:
        return Recorded(found[0], new=False)
    prepare(cursor)
    copy_table(cursor, "instrument_dump", rows)
    cursor.execute(statement("read_before"), params)
    cursor.execute(statement("find_changes"), params)
    batch_id = _append_batch(cursor, snapshot, rows.num_rows, params)
    params["batch_id"] = batch_id
    appended = cursor.execute(statement("append_observations"), params).rowcount
    restated = cursor.execute(statement("restate"), params).rowcount
    if appended:
        cursor.execute(statement("touch_changed"))
        cursor.execute(statement("measure_touched"))
        cursor.execute(statement("clear_touched"), params)
        refresh(cursor, snapshot.source)
    cursor.execute(statement("drop_workplace"))
    return Recorded(batch_id, True, appended + restated, restated)


def rebuild(cursor: Cursor, source: str) -> int:
    """See `InstrumentStore.rebuild`."""
    lock(cursor, lock_name(source))
    prepare(cursor)
    cursor.execute(statement("clear_all"), {"source": source})
    cursor.execute(statement("touch_all"))
    cursor.execute(statement("measure_touched"))
    count = refresh(cursor, source)
    cursor.execute(statement("drop_workplace"))
    return count


def prepare(cursor: Cursor) -> None:
    """The temporary tables of this transaction."""
    cursor.execute(statement("tune"), {"work_mem": _WORK_MEMORY})
    cursor.execute(statement("make_workplace"))


def refresh(cursor: Cursor, source: str) -> int:
    """Append the ranges of the symbols in instrument_touched, which have none; their count."""
    params = {"source": source, "known_at": _ALL_KNOWN}
    return cursor.execute(refresh_touched(), params).rowcount


def lock_name(source: str) -> str:
    """Whoever writes the history of a source holds this lock."""
    return f"instruments of {source}"


def _append_batch(cursor: Cursor, snapshot: Snapshot, good: int, params: dict[str, Any]) -> int:
    counts = {"added": 0, "changed": 0, "removed": 0, "expired": 0}
    counts.update(cursor.execute(statement("count_changes")).fetchall())
    row = cursor.execute(
        statement("append_batch"),
        {
            **params,
            **counts,
            "unchanged": good - counts["added"] - counts["changed"],
            "rows_read": good + snapshot.rows_refused,
            "rows_good": good,
            "rows_refused": snapshot.rows_refused,
            "file_name": snapshot.file_name,
            "parameters": json.dumps(dict(snapshot.parameters)),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])
