"""Golden bars as Parquet: the same bars give the same bytes. Knows files, not Postgres.

A file holds one exchange and month, sorted by tradingsymbol and time, in row groups of
`ROWS_A_GROUP`. The exchange is not a column: it is in the file's folder and metadata. Prices stay
integers times ``10**price_scale``, as in the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from kite_bars_store.bars.reading import BAR_SCHEMA, DERIVED_SCHEMA

ROWS_A_GROUP: Final = 131_072
ZSTD_LEVEL: Final = 6
PREFIX: Final = "bars."
"""Of this module's keys in a file's metadata."""
_NAMES: Final = ("tradingsymbol", "verdict")


@dataclass(frozen=True)
class Written:
    """What a file holds."""

    rows: int
    groups: int


def file_schema(interval: str, metadata: Mapping[str, str]) -> pa.Schema:
    """The columns of a file of this interval, with `PREFIX`-ed metadata."""
    schema = BAR_SCHEMA if interval in ("m1", "d1") else DERIVED_SCHEMA
    fields = [field for field in schema if field.name != "exchange"]
    return pa.schema(fields, {f"{PREFIX}{key}": value for key, value in sorted(metadata.items())})


def write_parquet(
    tables: Iterable[pa.Table], target: IO[bytes] | Path, schema: pa.Schema
) -> Written:
    """Write tables of `BAR_SCHEMA` or `DERIVED_SCHEMA`, which are sorted and follow each other.

    At most one row group and one table are in memory. How the rows are cut into tables leaves no
    trace in the file. Raises OSError.
    """
    rows = groups = 0
    with _writer(target, schema) as writer:
        for group in _groups(tables, schema):
            writer.write_table(group, row_group_size=ROWS_A_GROUP)
            rows += group.num_rows
            groups += 1
    return Written(rows, groups)


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
