"""Golden bars into Parquet files, one an exchange and month; an unchanged file is left alone.

The same bars give the same bytes. A file is sorted by tradingsymbol and time, in row groups of
`ROWS_A_GROUP`. The exchange is not a column: it is in the file's folder and metadata. Prices stay
integers times ``10**price_scale``, as in the tables.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from kite_bars_store.bars import BarSurvey, Surveyed
from kite_bars_store.bars.grid import Month
from kite_bars_store.bars.reading import BAR_SCHEMA, DERIVED_SCHEMA
from kite_bars_store.bars.sql import utc
from kite_bars_store.database import snapshot
from kite_bars_store.stores import Stores
from kite_runtime.clock import IST
from kite_runtime.errors import OutputUnusable, UsageError
from kite_runtime.files import replacing

ROWS_A_GROUP: Final = 131_072
ZSTD_LEVEL: Final = 6
PREFIX: Final = "bars."
"""Of this module's keys in a file's metadata."""
_NAMES: Final = ("tradingsymbol", "verdict")


def file_schema(interval: str, metadata: Mapping[str, str]) -> pa.Schema:
    """The columns of a file of this interval, with `PREFIX`-ed metadata."""
    schema = BAR_SCHEMA if interval in ("m1", "d1") else DERIVED_SCHEMA
    fields = [field for field in schema if field.name != "exchange"]
    return pa.schema(fields, {f"{PREFIX}{key}": value for key, value in sorted(metadata.items())})


def write_parquet(tables: Iterable[pa.Table], target: IO[bytes] | Path, schema: pa.Schema) -> int:
    """Write tables of `BAR_SCHEMA` or `DERIVED_SCHEMA`, which are sorted and follow each other;
    returns the count of rows.

    At most one row group and one table are in memory. How the rows are cut into tables leaves no
    trace in the file. Raises OSError.
    """
    rows = 0
    with _writer(target, schema) as writer:
        for group in _groups(tables, schema):
            writer.write_table(group, row_group_size=ROWS_A_GROUP)
            rows += group.num_rows
    return rows


def read_metadata(path: Path) -> dict[str, str]:
    """What `file_schema` was given for this file; empty for a file of somebody else.

    Raises OSError, and ValueError for what is no Parquet.
    """
    try:
        found = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid as exc:
        raise ValueError(f"{path} is no Parquet") from exc
    prefix = PREFIX.encode()
    return {
        key.removeprefix(prefix).decode(): value.decode()
        for key, value in found.items()
        if key.startswith(prefix)
    }


def _writer(target: IO[bytes] | Path, schema: pa.Schema) -> pq.ParquetWriter:
    whole = [field.name for field in schema if field.name not in _NAMES]
    return pq.ParquetWriter(
        target,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[name for name in _NAMES if name in schema.names],
        # Neighbours are alike: differences take a fraction of the room, and stay exact.
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
        sorting_columns=[
            pq.SortingColumn(schema.get_field_index(name)) for name in ("tradingsymbol", "ts_open")
        ],
        write_page_index=True,
    )


def _groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterable[pa.Table]:
    """The rows in tables of `ROWS_A_GROUP`, the last one shorter."""
    waiting: list[Any] = []
    count = 0
    for table in tables:
        waiting.append(table.select(schema.names).replace_schema_metadata(schema.metadata))
        count += table.num_rows
        if count >= ROWS_A_GROUP:
            joined = pa.concat_tables(waiting)
            whole = count - count % ROWS_A_GROUP
            for at in range(0, whole, ROWS_A_GROUP):
                yield _one(joined.slice(at, ROWS_A_GROUP))
            waiting, count = [joined.slice(whole)], count - whole
    if count:
        yield _one(pa.concat_tables(waiting))


def _one(table: pa.Table) -> pa.Table:
    """The same rows with names numbered in the order in which they occur here."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            plain = column.cast(field.type.value_type).combine_chunks()
            column = plain.dictionary_encode().cast(field.type)
        columns.append(column)
    return pa.table(columns, schema=table.schema).combine_chunks()


LAYOUT: Final = "hist_merge export 1"
"""Raised when the same bars would give other bytes."""
CONTRACT: Final = "bar.v1"
FILE: Final = "bars.parquet"
INSTRUMENTS_A_READ: Final = 25


class State(StrEnum):
    """What became of a file."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Request:
    """What is exported. ``symbols`` None: all; ``as_of`` None: as it is now. ``months`` are first
    days; whole months are exported always."""

    interval: str
    months: tuple[date, ...]
    symbols: tuple[str, ...] | None
    as_of: datetime | None


@dataclass(frozen=True)
class Piece:
    """One file to be: the instruments of an exchange, sorted, in a month."""

    request: Request
    exchange: str
    month: date
    instruments: Sequence[Surveyed]

    @property
    def path(self) -> Path:
        """Below the folder of the export."""
        parts = f"interval={self.request.interval}", f"exchange={self.exchange}"
        return Path(*parts, f"month={self.month:%Y-%m}", FILE)

    @property
    def span(self) -> tuple[datetime, datetime]:
        month = Month(self.month)
        return utc(month.starts_ns), utc(month.ends_ns)

    def metadata(self, rules_sha256: bytes) -> dict[str, str]:
        """What a reader has to know, and nothing that differs from run to run."""
        request = self.request
        return {
            "contract": CONTRACT,
            "generator": LAYOUT,
            "rules_sha256": rules_sha256.hex(),
            "exchange": self.exchange,
            "interval": request.interval,
            "month": f"{self.month:%Y-%m}",
            "as_of": "" if request.as_of is None else request.as_of.astimezone(IST).isoformat(),
            "symbols": "all" if request.symbols is None else json.dumps(sorted(request.symbols)),
            "prices": "integers times 10^price_scale; never adjusted",
            "times": "ts_open is the start of the bar; a day opens at midnight in India",
            "sorted_by": "tradingsymbol, ts_open",
        }


@dataclass(frozen=True)
class Done:
    """A file and what became of it; ``size`` in bytes."""

    piece: Piece
    state: State
    rows: int
    size: int


def pieces(survey: BarSurvey, request: Request) -> Iterator[Piece]:
    """The files that the request makes, by month and exchange."""
    for month in request.months:
        span = utc(Month(month).starts_ns), utc(Month(month).ends_ns)
        found = survey.instruments(*span, request.symbols, observed=request.as_of is not None)
        for exchange, members in groupby(found, key=lambda each: each.exchange):
            yield Piece(request, exchange, month, list(members))


def export(stores: Stores, piece: Piece, folder: Path, *, dry_run: bool) -> Done | None:
    """Write the file of the piece, unless it is there with the same bytes; None for no rows.

    It is whole or not there: it gets its name when it is complete. Raises OutputUnusable, and
    UsageError for a file of another export in its place.
    """
    path = folder / piece.path
    schema = file_schema(piece.request.interval, piece.metadata(stores.rules.sha256))
    there = path.exists()
    try:
        if there:
            _check_same_kind(path, piece, stores.rules.sha256)
    except OSError as exc:
        raise OutputUnusable(path, exc) from exc
    with _scratch() if dry_run else replacing(path) as new:
        rows = write_parquet(_read(stores, piece), new, schema)
        size = new.stat().st_size
        same = there and filecmp.cmp(new, path, shallow=False)
        if same or not rows:
            new.unlink()
    return _done(piece, rows, size, there, same)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A file for a dry run, which is gone after it. Raises OutputUnusable."""
    try:
        with TemporaryDirectory(prefix="kite-export-") as folder:
            yield Path(folder) / FILE
    except OSError as exc:
        raise OutputUnusable(Path(exc.filename or FILE), exc) from exc


def _done(piece: Piece, rows: int, size: int, there: bool, same: bool) -> Done | None:
    if not rows:
        return None
    state = State.UNCHANGED if same else State.CHANGED if there else State.NEW
    return Done(piece, state, rows, size)


def _read(stores: Stores, piece: Piece) -> Iterator[pa.Table]:
    """The bars of the piece in its order, of one moment."""
    since, until = piece.span
    with snapshot(stores.connection, "exporting bars"):
        for at in range(0, len(piece.instruments), INSTRUMENTS_A_READ):
            names = [each.name for each in piece.instruments[at : at + INSTRUMENTS_A_READ]]
            table = stores.bars.read_bars(
                names, since, until, piece.request.interval, as_of=piece.request.as_of
            )
            yield _by_name(table)


def _by_name(table: pa.Table) -> pa.Table:
    """By symbol; bars of one are in order of time already."""
    column = table["tradingsymbol"].combine_chunks()
    names = column.dictionary.to_pylist()
    rank = np.zeros(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return table.take(np.argsort(rank[column.indices.to_numpy()], kind="stable"))


def _check_same_kind(path: Path, piece: Piece, rules_sha256: bytes) -> None:
    """A file of other symbols or another time of knowledge is not replaced by this one."""
    try:
        held = read_metadata(path)
    except ValueError:
        held = {}
    wanted = piece.metadata(rules_sha256)
    for key in ("generator", "interval", "exchange", "month"):
        if held.get(key) != wanted[key]:
            raise UsageError(
                f"{path} was not written by this command: move it away, or name another --out"
            )
    for key, what in (("symbols", "other symbols"), ("as_of", "another --as-of")):
        if held.get(key) != wanted[key]:
            raise UsageError(
                f"{path} is an export of {what} ({held.get(key) or 'none'}): name another --out, "
                "or remove it"
            )
