"""The edge to Postgres: the one place where psycopg's connections and errors are handled.

Copies of arrays and of Arrow tables are imported from ``binary`` and ``copying``: dead letters need
neither numpy nor Arrow.
"""

from kite_bars_store.database.connection import (
    Connection,
    Cursor,
    check_revision,
    connect,
    current_revision,
    let_go,
    lock,
    snapshot,
    transaction,
)
from kite_bars_store.database.row_copying import copy_rows
from kite_bars_store.database.statements import Statements, load_statements, parse_statements

__all__ = [
    "Connection",
    "Cursor",
    "Statements",
    "check_revision",
    "connect",
    "copy_rows",
    "current_revision",
    "let_go",
    "load_statements",
    "lock",
    "parse_statements",
    "snapshot",
    "transaction",
]
