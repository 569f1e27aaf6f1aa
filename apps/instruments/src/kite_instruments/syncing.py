"""One dump into the history: check, compare, record.

A master of all exchanges has 150,000 rows, so nothing that is done with is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.errors import DumpRefused
from kite_bars_store.instruments import SCHEMA, InstrumentStore, Snapshot, SyncResult, diff
from kite_bars_store.instruments.changes import (
    are_adjacent,
    check_day,
    check_drop,
    check_exchanges,
    count_by_symbol,
    dump_days,
    expired,
    is_expired,
)
from kite_broker_zerodha.errors import NotADump
from kite_broker_zerodha.instrument_dump import Dump, RefusedRow, parse
from kite_instruments.fetching import Fetched


@dataclass(frozen=True, kw_only=True)
class DumpFacts:
    """What is known of a dump without its rows. ``kept`` counts instruments whose row was refused
    and that stay as they were, because a row that cannot be read does not mean that they are gone.
    """

    label: str
    day: date
    exchanges: tuple[str, ...]
    content_sha256: bytes
    good: int
    refused: tuple[RefusedRow, ...]
    reasons: dict[str, int]
    kept: int


@dataclass(frozen=True, kw_only=True)
class Checked(DumpFacts):
    """A dump that may replace the master of its exchanges.

    ``rows`` are the good ones and those that are kept. ``ended`` are contracts that had expired
    before ``day``.
    """

    file_name: str | None
    ignored: tuple[str, ...]
    rows: pa.Table
    ended: int
    before: pa.Table
    """The master of ``day`` as it was known before."""
    previous: pa.Table
    """The last master itself, with contracts that have expired since."""
    adjacent: frozenset[str]
    """Exchanges whose last dump is at most `ADJACENT_DAYS` older."""


@dataclass(frozen=True, kw_only=True)
class Outcome(DumpFacts):
    """What became of one dump, counted by symbol. ``batch_id`` is None in a dry run; ``new`` is
    False when this very dump was recorded before."""

    batch_id: int | None
    new: bool
    added: int
    changed: int
    removed: int
    unchanged: int
    renamed: int
    moved: int
    reused: int
    took_s: float = 0.0

    @property
    def read(self) -> int:
        """Rows of the dump."""
        return self.good + len(self.refused)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "source": self.label,
            "exchanges": list(self.exchanges),
            "observed_on": self.day.isoformat(),
            "batch_id": self.batch_id,
            "new": self.new,
            "dry_run": self.batch_id is None,
            "rows_read": self.read,
            "rows_good": self.good,
            "rows_refused": len(self.refused),
            "refused_by_reason": self.reasons,
            "kept": self.kept,
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "renamed": self.renamed,
            "moved": self.moved,
            "token_reused": self.reused,
            "sha256": self.content_sha256.hex(),
            "took_s": round(self.took_s, 3),
        }


def check(store: InstrumentStore, fetched: Fetched, day: date, drop_max: float) -> Checked:
    """Read and judge a dump. Raises DumpRefused; nothing is written in any case.

    A file that is older than ``day`` is refused. A download of early morning may still be that of
    the day before, which ``ended`` shows: those contracts have ended by their expiry anyway.
    """
    dump = _read(fetched, day)
    exchanges = fetched.exchanges or dump.exchanges
    if fetched.exchanges:
        dump = dump.only(*exchanges)
    elif fetched.file_name is None:
        exchanges = _with_known(store, exchanges)
    if fetched.file_name is not None:
        check_day(dump.table, day, fetched.label)
    for exchange in exchanges:
        now = int(pc.sum(pc.equal(dump.table["exchange"], exchange)).as_py() or 0)
        check_drop(exchange, now, store.last_count(exchange, day), drop_max)
    last = _last_day(store, exchanges, day)
    previous = store.at(last or day, exchanges)
    before = previous.filter(pc.invert(is_expired(previous, day)))
    kept = kept_rows(before, dump.table, dump.refused)
    return Checked(
        label=fetched.label,
        file_name=fetched.file_name,
        day=day,
        exchanges=exchanges,
        content_sha256=dump.content_sha256,
        good=dump.table.num_rows,
        refused=dump.refused,
        reasons=dump.reasons(),
        ignored=dump.ignored,
        rows=pa.concat_tables([dump.table.select(SCHEMA.names).cast(SCHEMA), kept]),
        kept=kept.num_rows,
        ended=expired(dump.table, day).num_rows,
        before=before,
        previous=previous,
        adjacent=frozenset(
            exchange
            for exchange, known in dump_days(store.days(), day).items()
            if are_adjacent(known, day)
        ),
    )


def record(
    store: InstrumentStore, checked: Checked, parameters: Mapping[str, Any], *, dry_run: bool
) -> Outcome:
    """Append the dump, unless ``dry_run``, and return what it changed. Raises StoreError."""
    compared = count_by_symbol(checked.before, checked.rows)
    result: SyncResult | None = None
    if not dry_run:
        result = store.record(
            Snapshot(
                observed_on=checked.day,
                exchanges=checked.exchanges,
                content_sha256=checked.content_sha256,
                rows=checked.rows,
                file_name=checked.file_name,
                rows_refused=len(checked.refused),
                parameters={**parameters, "kept": checked.kept},
            )
        )
    new = result is None or result.new
    finer: dict[str, int] = {}
    if new and checked.previous.num_rows:
        # By the last master itself: tokens are given to others when their contracts expire.
        left = count_by_symbol(checked.previous, checked.rows)
        finer = diff(left.before, left.after, day=checked.day, adjacent=checked.adjacent).counts()
    return Outcome(
        **{each.name: getattr(checked, each.name) for each in fields(DumpFacts)},
        batch_id=None if result is None else result.batch.batch_id,
        new=new,
        added=compared.added if new else 0,
        changed=compared.changed if new else 0,
        removed=compared.removed if new else 0,
        unchanged=compared.unchanged if new else checked.rows.num_rows,
        renamed=finer.get("renamed", 0),
        moved=finer.get("moved", 0),
        reused=finer.get("reused", 0),
    )


def kept_rows(before: pa.Table, good: pa.Table, refused: tuple[RefusedRow, ...]) -> pa.Table:
    """What the history has of the instruments whose row was refused (pure)."""
    keys = {(row.exchange, row.tradingsymbol) for row in refused if row.tradingsymbol}
    symbols = pa.array({symbol for _, symbol in keys}, pa.string())
    known = before.filter(pc.is_in(before["tradingsymbol"], symbols)).to_pylist()
    there = good.filter(pc.is_in(good["tradingsymbol"], symbols)).to_pylist()
    taken = {(row["exchange"], row["tradingsymbol"]) for row in there}
    rows = [row for row in known if (row["exchange"], row["tradingsymbol"]) in keys - taken]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _read(fetched: Fetched, day: date) -> Dump:
    try:
        dump = parse(fetched.data, day)
    except NotADump as error:
        raise DumpRefused(
            f"{fetched.label} is refused: {error}; the last good master stays"
        ) from error
    check_exchanges(dump.exchanges, fetched.exchanges, fetched.label)
    return dump


def _last_day(store: InstrumentStore, exchanges: tuple[str, ...], day: date) -> date | None:
    """The day of the last dump until ``day`` that has one of these exchanges."""
    days = [
        batch.observed_on
        for batch in store.days()
        if batch.observed_on <= day and set(exchanges) & set(batch.exchanges)
    ]
    return max(days, default=None)


def _with_known(store: InstrumentStore, exchanges: tuple[str, ...]) -> tuple[str, ...]:
    """A download of everything covers every exchange that was ever known."""
    known = {exchange for batch in store.days() for exchange in batch.exchanges}
    return tuple(sorted({*exchanges, *known}))
