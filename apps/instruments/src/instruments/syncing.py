"""One dump into the history: check, compare, record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from bars_store.instruments import SCHEMA, InstrumentStore, Snapshot, SyncResult, diff
from broker_zerodha.errors import NotADump
from broker_zerodha.instrument_dump import Dump, RefusedRow, parse
from instruments.counts import Counts, count
from instruments.errors import DumpRefused
from instruments.fetching import Fetched
from instruments.guards import check_day, check_drop, check_exchanges, expired


@dataclass(frozen=True)
class Checked:
    """A dump that may replace the master of its exchanges.

    ``rows`` are the good ones and those that are kept: instruments whose row was refused stay as
    they were, because a row that cannot be read does not say that they are gone.
    """

    fetched: Fetched
    day: date
    exchanges: tuple[str, ...]
    dump: Dump
    rows: pa.Table
    kept: int
    ended: int
    before: pa.Table


@dataclass(frozen=True)
class Outcome:
    """What became of one dump. ``result`` is None in a dry run."""

    checked: Checked
    result: SyncResult | None
    counts: Counts
    renamed: int
    moved: int
    reused: int
    took_s: float

    @property
    def is_new(self) -> bool:
        """Whether it was written, or would be."""
        return self.result is None or self.result.new

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        dump, batch = self.checked.dump, self.result and self.result.batch
        return {
            "source": self.checked.fetched.label,
            "exchanges": list(self.checked.exchanges),
            "observed_on": self.checked.day.isoformat(),
            "batch_id": batch.batch_id if batch else None,
            "new": self.is_new,
            "dry_run": self.result is None,
            "rows_read": dump.rows_read,
            "rows_good": dump.table.num_rows,
            "rows_refused": len(dump.refused),
            "refused_by_reason": dump.reasons(),
            "kept": self.checked.kept,
            "added": self.counts.added,
            "changed": self.counts.changed,
            "removed": self.counts.removed,
            "unchanged": self.counts.unchanged,
            "renamed": self.renamed,
            "moved": self.moved,
            "token_reused": self.reused,
            "sha256": dump.content_sha256.hex(),
            "took_s": round(self.took_s, 3),
        }


def check(store: InstrumentStore, fetched: Fetched, day: date, drop_max: float) -> Checked:
    """Read and judge a dump. Raises DumpRefused; nothing is written in any case.

    A file that is older than ``day`` is refused. A download of early morning may still be that of
    the day before, which ``ended`` tells: those contracts have ended by their expiry anyway.
    """
    try:
        dump = parse(fetched.data, day)
    except NotADump as error:
        raise DumpRefused(
            f"{fetched.label} is refused: {error}; the last good master stays"
        ) from error
    check_exchanges(dump.exchanges, fetched.exchanges, fetched.label)
    exchanges = fetched.exchanges or dump.exchanges
    if fetched.exchanges:
        dump = dump.only(*exchanges)
    elif fetched.file_name is None:
        exchanges = _with_known(store, exchanges)
    if fetched.file_name is not None:
        check_day(dump.table, day, fetched.label)
    before = store.at(day, exchanges)
    kept = kept_rows(before, dump.table, dump.refused)
    rows = pa.concat_tables([dump.table.select(SCHEMA.names).cast(SCHEMA), kept])
    for exchange in exchanges:
        now = int(pc.sum(pc.equal(dump.table["exchange"], exchange)).as_py() or 0)
        check_drop(exchange, now, store.last_count(exchange, day), drop_max)
    ended = expired(dump.table, day).num_rows
    return Checked(fetched, day, exchanges, dump, rows, kept.num_rows, ended, before)


def record(
    store: InstrumentStore, checked: Checked, parameters: Mapping[str, Any], *, dry_run: bool
) -> Outcome:
    """Append the dump, unless ``dry_run``, and say what it changed. Raises StoreError."""
    began_s = time.monotonic()
    result = None
    if not dry_run:
        result = store.record(
            Snapshot(
                observed_on=checked.day,
                exchanges=checked.exchanges,
                content_sha256=checked.dump.content_sha256,
                rows=checked.rows,
                file_name=checked.fetched.file_name,
                rows_refused=len(checked.dump.refused),
                parameters={**parameters, "kept": checked.kept},
            )
        )
    after = checked.rows if result is None or result.new else checked.before
    changes = diff(checked.before, after, day=checked.day).counts()
    return Outcome(
        checked,
        result,
        count(checked.before, after),
        changes["renamed"],
        changes["moved"],
        changes["reused"],
        time.monotonic() - began_s,
    )


def kept_rows(before: pa.Table, good: pa.Table, refused: tuple[RefusedRow, ...]) -> pa.Table:
    """The last word on those instruments whose row was refused (pure)."""
    keys = {(row.exchange, row.tradingsymbol) for row in refused if row.tradingsymbol}
    if not keys:
        return SCHEMA.empty_table()
    named = before.filter(pc.is_in(before["tradingsymbol"], pa.array({key[1] for key in keys})))
    there = {
        (row["exchange"], row["tradingsymbol"])
        for row in good.select(["exchange", "tradingsymbol"]).to_pylist()
    }
    rows = [
        row
        for row in named.to_pylist()
        if (key := (row["exchange"], row["tradingsymbol"])) in keys and key not in there
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _with_known(store: InstrumentStore, exchanges: tuple[str, ...]) -> tuple[str, ...]:
    """A download of everything speaks of every exchange that was ever known."""
    known = {exchange for batch in store.days() for exchange in batch.exchanges}
    return tuple(sorted({*exchanges, *known}))
