"""COPY from rows of Python values, with neither Arrow nor numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql

from kite_bars_store.database.connection import Cursor


def copy_rows(
    cursor: Cursor,
    target: str,
    columns: Mapping[str, str],
    rows: Iterable[Sequence[Any]],
) -> int:
    """Append rows of Python values, in binary form, and return their count.

    ``columns`` is the Postgres type by column name, such as ``{"value": "bytea"}``: binary COPY
    converts nothing. For kinds that `copy_table` has not (bytes, JSON, arrays); inside
    `transaction`.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT binary)").format(
        sql.Identifier(target), names_of(columns)
    )
    count = 0
    with cursor.copy(statement) as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def names_of(columns: Iterable[str]) -> sql.Composable:
    """The columns as they stand in a COPY."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))
