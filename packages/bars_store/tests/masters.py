"""Small instrument masters for tests, and what the history must answer, the plain way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from kite_bars_store.instruments import SCHEMA, Snapshot

FIRST_DAY = date(2026, 8, 3)


@dataclass(frozen=True)
class Row:
    """One instrument, with values that most tests do not care for."""

    tradingsymbol: str
    token: int
    exchange: str = "NFO"
    lot_size: int = 75
    expiry: date | None = None
    strike: int | None = 2_435_000
    name: str | None = "NIFTY"
    instrument_type: str = "CE"


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def table(rows: Iterable[Row]) -> pa.Table:
    records: list[dict[str, Any]] = []
    for row in rows:
        fields = asdict(row)
        token = fields.pop("token")
        more = {"price_scale": 2, "tick_size": 5, "segment": f"{row.exchange}-OPT"}
        numbers = {"instrument_token": token, "exchange_token": token >> 8}
        records.append({**fields, **more, **numbers})
    return pa.Table.from_pylist(records, SCHEMA)


def snapshot(
    number: int,
    rows: Sequence[Row],
    exchanges: Sequence[str] = ("NFO",),
    source: str = "kite",
) -> Snapshot:
    """The dump of day ``number``; equal rows have equal digests."""
    digest = hashlib.sha256(repr(sorted(rows, key=repr)).encode()).digest()
    return Snapshot(day(number), tuple(exchanges), digest, table(rows), source=source)


def at(dumps: Sequence[Snapshot], when: date) -> pa.Table:
    """What holds on a day when the dumps were recorded in this order: the definition, in full.

    Of each exchange the last dump of the last day until then counts, without what has expired.
    """
    states: dict[str, tuple[date, list[dict[str, Any]]]] = {}
    for dump in dumps:
        for exchange in dump.exchanges:
            if dump.observed_on <= when and (
                exchange not in states or states[exchange][0] <= dump.observed_on
            ):
                rows = [row for row in dump.rows.to_pylist() if row["exchange"] == exchange]
                states[exchange] = (dump.observed_on, rows)
    held = [
        row
        for _, rows in states.values()
        for row in rows
        if row["expiry"] is None or row["expiry"] >= when
    ]
    held.sort(key=lambda row: (row["exchange"].encode(), row["tradingsymbol"].encode()))
    return pa.Table.from_pylist(held, SCHEMA)
