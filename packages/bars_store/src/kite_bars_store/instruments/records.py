"""The columns of the instrument history (those of the `Instrument` contract, version 1), and what
goes in and comes out, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

SCHEMA: Final = pa.schema(
    [
        pa.field("exchange", pa.string(), nullable=False),
        pa.field("tradingsymbol", pa.string(), nullable=False),
        pa.field("instrument_token", pa.int64(), nullable=False),
        pa.field("exchange_token", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("expiry", pa.date32()),
        pa.field("strike", pa.int64()),
        pa.field("price_scale", pa.int16(), nullable=False),
        pa.field("tick_size", pa.int64(), nullable=False),
        pa.field("lot_size", pa.int32(), nullable=False),
        pa.field("instrument_type", pa.string(), nullable=False),
        pa.field("segment", pa.string(), nullable=False),
    ]
)
"""``strike`` and ``tick_size`` are times ``10**price_scale``; ``expiry`` is a day in IST."""

KEY: Final = ("exchange", "tradingsymbol")
SORTED: Final = [(name, "ascending") for name in KEY]


def price(value: int, scale: int) -> Decimal:
    """A scaled integer as the exact decimal that it stands for."""
    return Decimal(value).scaleb(-scale)


def conform(table: pa.Table) -> pa.Table:
    """The columns of `SCHEMA` in their order and types; others are left out.

    Raises ValueError for a missing column, a null where none may be, a value that does not fit, or
    a symbol that occurs twice in an exchange.
    """
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise ValueError(f"the instruments are missing the column {missing[0]}")
    for column in SCHEMA:
        if not column.nullable and table[column.name].null_count:
            raise ValueError(f"an instrument has no {column.name}")
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
        raise ValueError(f"instruments do not fit their columns: {exc}") from exc
    # Sorted keys take a tenth of the memory of grouped ones.
    keys = table.select(list(KEY)).take(pc.sort_indices(table, SORTED))
    same = [pc.equal(keys[name].slice(1), keys[name].slice(0, len(table) - 1)) for name in KEY]
    if len(table) > 1 and (place := pc.index(pc.and_(*same), True).as_py()) >= 0:
        first = keys.slice(place, 1).to_pylist()[0]
        raise ValueError(f"{first['exchange']}:{first['tradingsymbol']} occurs twice")
    return table


KITE: Final = "kite"
"""The source of Kite's master, whether downloaded or read from a file."""


@dataclass(frozen=True)
class Snapshot:
    """One dump: the instruments of ``exchanges`` as they hold on ``observed_on`` (IST).

    ``rows`` has the columns of `SCHEMA`; ``content_sha256`` is of the dump's unpacked bytes
    (32 bytes); ``parameters`` is anything JSON can hold, for people.
    """

    observed_on: date
    exchanges: tuple[str, ...]
    content_sha256: bytes
    rows: pa.Table
    source: str = KITE
    file_name: str | None = None
    rows_refused: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """A dump that was recorded. The counts are by symbol, against the dump before it by day.

    ``removed`` and ``expired`` are symbols that are gone, before their expiry and after it.
    """

    batch_id: int
    source: str
    exchanges: tuple[str, ...]
    observed_on: date
    recorded_at: datetime
    content_sha256: bytes
    file_name: str | None
    rows_good: int
    rows_refused: int
    added: int
    changed: int
    removed: int
    expired: int
    unchanged: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class SyncResult:
    """What `InstrumentStore.record` did.

    ``new`` is False when this very dump was recorded before: ``batch`` is then that earlier one and
    nothing was written. ``observations`` is how many rows were appended, of which ``restated`` in a
    later dump that now follows another one.
    """

    batch: Batch
    new: bool
    observations: int = 0
    restated: int = 0

    @property
    def batch_id(self) -> int | None:
        """None when nothing was written."""
        return self.batch.batch_id if self.new else None

    @property
    def added(self) -> int:
        """Symbols that are new; 0 when nothing was written, as with the counts that follow."""
        return self.batch.added if self.new else 0

    @property
    def changed(self) -> int:
        """Symbols with another token, lot size or the like."""
        return self.batch.changed if self.new else 0

    @property
    def removed(self) -> int:
        """Symbols gone before their expiry."""
        return self.batch.removed if self.new else 0

    @property
    def expired(self) -> int:
        """Symbols gone after their expiry."""
        return self.batch.expired if self.new else 0

    @property
    def unchanged(self) -> int:
        """Symbols of which the dump says what the one before it said."""
        return self.batch.unchanged if self.new else self.batch.rows_good


@dataclass(frozen=True)
class Validity:
    """What a symbol was from ``valid_from`` until the day before ``valid_to`` (None: open).

    ``batch_id`` is the dump that opened the range.
    """

    exchange: str
    tradingsymbol: str
    instrument_token: int
    exchange_token: int
    name: str | None
    expiry: date | None
    strike: int | None
    price_scale: int
    tick_size: int
    lot_size: int
    instrument_type: str
    segment: str
    valid_from: date
    valid_to: date | None
    batch_id: int

    @property
    def strike_price(self) -> Decimal | None:
        """The strike as an exact decimal."""
        return None if self.strike is None else price(self.strike, self.price_scale)

    @property
    def tick_price(self) -> Decimal:
        """The tick size as an exact decimal."""
        return price(self.tick_size, self.price_scale)


@dataclass(frozen=True)
class Pending:
    """What Kafka has not yet: ``rows`` that hold now, and symbols that are ``gone``.

    ``gone`` is (exchange, tradingsymbol). ``batch_ids`` are the dumps this comes from, for
    `InstrumentStore.mark_published`.
    """

    batch_ids: tuple[int, ...]
    rows: pa.Table
    gone: tuple[tuple[str, str], ...]
