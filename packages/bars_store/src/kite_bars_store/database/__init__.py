"""The edge to Postgres: the one place where psycopg's connections and errors are handled."""

from kite_bars_store.database.binary import copy_arrays, read_arrays
from kite_bars_store.database.connection import (
    Connection,
    Cursor,
    check_revision,
    connect,
    current_revision,
    lock,
    snapshot,
    transaction,
)
from kite_bars_store.database.copying import copy_rows, copy_table, read_table
from kite_bars_store.database.statements import Statements, load_statements, parse_statements

__all__ = [
    "Connection",
    "Cursor",
    "Statements",
    "check_revision",
    "connect",
    "copy_arrays",
    "copy_rows",
    "copy_table",
    "current_revision",
    "load_statements",
    "lock",
    "parse_statements",
    "read_arrays",
    "read_table",
    "snapshot",
    "transaction",
]
