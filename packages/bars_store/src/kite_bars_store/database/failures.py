"""psycopg's errors as errors of this package, by what the caller does about them. Pure."""

from __future__ import annotations

from typing import Final

import psycopg

from kite_bars_store.errors import (
    ConnectionLost,
    DatabaseBusy,
    DatabaseRefused,
    DatabaseUnreachable,
    NotMigrated,
    StatementFailed,
    StoreError,
)

# libpq hands over no SQLSTATE for a refused connection, only the server's sentence.
_REFUSED_LOGIN: Final = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "pg_hba.conf",
    "permission denied",
    "not permitted to log in",
)
_MISSING_TABLE: Final = "42P01"
_REFUSED: Final = {
    "42501": "permission denied",  # insufficient_privilege
    "25006": "this server takes no writes",  # read_only_sql_transaction
}
_LOST: Final = ("08", "57P01", "57P02", "57P03")
_BUSY: Final = {
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has no connection left",
    "53400": "a limit of the server is reached",
    "40001": "others changed the same rows",
    "40P01": "others hold locks on the same rows",
    "55P03": "another session holds a lock on what it needs",
    "57014": "it took too long and was stopped",
}


def connection_failure(exc: psycopg.Error, where: str, secrets: tuple[str, ...]) -> StoreError:
    """The error for a connection that was not made. ``secrets`` are kept out of its message."""
    said = first_line(exc)
    # libpq repeats the address before what the server, or the kernel, reported.
    said = said.rpartition(" failed: ")[2] or said
    for secret in filter(None, secrets):
        said = said.replace(secret, "***")
    if any(words in said for words in _REFUSED_LOGIN):
        return DatabaseRefused(f"Postgres refuses the login to {where} ({said}).")
    return DatabaseUnreachable(f"Postgres cannot be reached at {where} ({said}).")


def statement_failure(exc: psycopg.Error, doing: str) -> StoreError:
    """The error for a statement of the work that ``doing`` names, such as "recording a dump"."""
    said, state = first_line(exc), exc.sqlstate
    if is_lost(exc):
        return ConnectionLost(
            f"The connection to Postgres was lost while {doing}; nothing was written ({said})."
        )
    if state == _MISSING_TABLE:
        return NotMigrated(
            f"The database has no table for {doing} ({said}): run 'migrate upgrade'."
        )
    if state in _REFUSED:
        return DatabaseRefused(f"Postgres refuses {doing}: {_REFUSED[state]} ({said}).")
    if state in _BUSY:
        return DatabaseBusy(f"Postgres gave up {doing}: {_BUSY[state]}; nothing was written.")
    return StatementFailed(f"Postgres failed at {doing}: {said}.")


def is_lost(exc: psycopg.Error) -> bool:
    """Whether the connection is gone, not the statement wrong."""
    if not isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return exc.sqlstate is None or exc.sqlstate.startswith(_LOST)


def first_line(exc: BaseException) -> str:
    """What the server reported, without the lines that quote the statement."""
    return str(exc).strip().partition("\n")[0].rstrip(".")
