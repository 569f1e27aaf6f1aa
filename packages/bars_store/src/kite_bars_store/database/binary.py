"""Integer columns as numpy arrays, into and out of Postgres: no Python object a row.

They go in by binary COPY. A row of that format is the count of fields, then for each its length and
its bytes, big-endian; null has the length -1 and no bytes. So rows with the same nulls have one
layout, which is a numpy type. They come out as one array a column: of a COPY the client would see
each row alone, which took several times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import sql

from kite_bars_store.database.connection import Cursor

Arrays = Mapping[str, npt.NDArray[Any]]
Field = tuple[str, str]
"""Name of a column and its kind: int8, int4, int2, or timestamptz (nanoseconds since 1970)."""

_SIZES: Final = {"int8": 8, "int4": 4, "int2": 2, "timestamptz": 8}
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_EPOCH_US: Final = 946_684_800_000_000  # Postgres counts from 2000
_ROWS_A_BLOCK: Final = 16_384
_ARRAY_HEADER: Final = 20
"""Bytes before the first element: dimensions, flags, type, length, lower bound."""
_UNFIT: Final = "columns are not as declared: some value is null or of another kind"
_FORMAT: Final = sql.SQL(" WITH (FORMAT binary)")


def copy_arrays(
    cursor: Cursor,
    target: str,
    fields: Sequence[Field],
    columns: Arrays,
    nulls: Arrays | None = None,
) -> int:
    """Append rows to the table ``target`` and return their count; inside `transaction`.

    ``nulls`` has a mask for each column in which something is null. Rows with the same nulls go
    together, each group in the order of the columns.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(target), sql.SQL(", ").join(sql.Identifier(name) for name, _ in fields)
    )
    with cursor.copy(statement + _FORMAT) as copy:
        copy.write(_HEADER)
        for block in encoded(fields, columns, nulls or {}):
            copy.write(block)
        copy.write(_TRAILER)
    return len(columns[fields[0][0]])


def read_arrays(
    cursor: Cursor,
    query: bytes,
    fields: Sequence[Field],
    params: Mapping[str, Any] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """The rows of ``query``, whose columns are ``fields`` and never null; inside `transaction`."""
    names = [sql.Identifier(name) for name, _ in fields]
    statement = sql.SQL("SELECT {} FROM ({}) AS r ({})").format(
        sql.SQL(", ").join(map(sql.SQL("array_send(array_agg({}))").format, names)),
        sql.SQL(query.decode()),
        sql.SQL(", ").join(names),
    )
    row = cursor.execute(statement, params, binary=True).fetchone()
    assert row is not None
    return {name: decoded(kind, data) for (name, kind), data in zip(fields, row, strict=True)}


def encoded(fields: Sequence[Field], columns: Arrays, nulls: Arrays) -> Iterator[memoryview]:
    """Blocks of rows without header and trailer. Pure. Raises ValueError for what does not fit."""
    count = len(columns[fields[0][0]])
    kinds = np.zeros(count, np.int64)
    for bit, name in enumerate(nulls):
        kinds |= nulls[name].astype(np.int64) << bit
    for kind in np.unique(kinds).tolist():
        absent = {name for bit, name in enumerate(nulls) if kind >> bit & 1}
        rows = np.flatnonzero(kinds == kind)
        same = len(rows) == count
        layout = _layout(fields, absent)
        for start in range(0, len(rows), _ROWS_A_BLOCK):
            part = slice(start, start + _ROWS_A_BLOCK)
            yield _block(fields, columns, absent, layout, part if same else rows[part])


def decoded(kind: str, data: bytes | None) -> npt.NDArray[np.int64]:
    """The values of an array in binary form, None for an empty one. Pure. Raises ValueError for
    nulls and other kinds."""
    if data is None:
        return np.empty(0, np.int64)
    layout = np.dtype([("length", ">i4"), ("value", f">i{_SIZES[kind]}")])
    count, rest = divmod(len(data) - _ARRAY_HEADER, layout.itemsize)
    if rest:
        raise ValueError(_UNFIT)
    values = np.frombuffer(data, layout, count, _ARRAY_HEADER)
    if (values["length"] != _SIZES[kind]).any():
        raise ValueError(_UNFIT)
    found = values["value"].astype(np.int64)
    return (found + _EPOCH_US) * 1000 if kind == "timestamptz" else found


def _layout(fields: Sequence[Field], absent: set[str]) -> np.dtype[Any]:
    parts: list[tuple[str, str]] = [("count", ">i2")]
    for name, kind in fields:
        parts.append((f"length {name}", ">i4"))
        if name not in absent:
            parts.append((name, f">i{_SIZES[kind]}"))
    return np.dtype(parts)


def _block(
    fields: Sequence[Field],
    columns: Arrays,
    absent: set[str],
    layout: np.dtype[Any],
    rows: slice | npt.NDArray[np.int64],
) -> memoryview:
    block = np.empty(len(columns[fields[0][0]][rows]), layout)
    block["count"] = len(fields)
    for name, kind in fields:
        block[f"length {name}"] = -1 if name in absent else _SIZES[kind]
        if name in absent:
            continue
        values = columns[name][rows]
        if _SIZES[kind] < 8 and (np.abs(values) >> (8 * _SIZES[kind] - 1)).any():
            raise ValueError(f"a value of {name} does not fit {kind}")
        block[name] = values // 1000 - _EPOCH_US if kind == "timestamptz" else values
    return block.data.cast("B")
