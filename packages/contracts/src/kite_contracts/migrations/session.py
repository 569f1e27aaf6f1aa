"""The database side of a migration: one connection, one transaction, one migration at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from kite_contracts.errors import DatabaseAwayError, DatabaseRefusedError, MigrationError
from kite_runtime.errors import ConfigurationError

CONNECT_TIMEOUT_S: Final = 10
LOCK_TIMEOUT_S: Final = 60
"""How long to wait for another migration, or for an app that holds a table."""
ADVISORY_LOCK: Final = 0x6B697465_6D696772  # "kitemigr"

PREPARE: Final = (
    "SET LOCAL search_path TO public",
    f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT_S}s'",
    f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})",
)
"""What each migration's transaction begins with. The lock ends with the transaction, and two hosts
that upgrade at once do it one after the other: the second finds nothing left to do."""

_REFUSED_LOGIN: Final = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "pg_hba",
)
_CONNECTION_LOST: Final = "08"
_AWAY_STATES: Final = {
    "55P03": "others hold a lock that the migration needs",  # lock_not_available
    "40P01": "others hold locks that the migration needs",  # deadlock_detected
    "57P01": "the server is shutting down",  # admin_shutdown
    "57P02": "the server crashed",  # crash_shutdown
    "57P03": "the server is starting",  # cannot_connect_now
    "53300": "the server has no connection left",  # too_many_connections
}


@contextlib.contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """A connection to read with, in a transaction that is committed at the end.

    Raises DatabaseAwayError, DatabaseRefusedError and ConfigurationError, whose messages hold no
    password.
    """
    address = _address(dsn)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(address),
        poolclass=NullPool,
    )
    try:
        with engine.begin() as connection:
            connection.execute(text(PREPARE[0]))
            yield connection
    except DBAPIError as exc:
        raise _explained(exc.orig) from exc
    except psycopg.Error as exc:
        raise _explained(exc) from exc


@contextlib.contextmanager
def locked(dsn: str) -> Iterator[Connection]:
    """The same, alone: no other migration of this database runs until the transaction's end."""
    with connected(dsn) as connection:
        for statement in PREPARE:
            connection.execute(text(statement))
        yield connection


def _address(dsn: str) -> str:
    """``dsn`` with a bounded wait. libpq's own words about a faulty one may quote a password."""
    try:
        timeout_s = conninfo_to_dict(dsn).get("connect_timeout", CONNECT_TIMEOUT_S)
        return make_conninfo(dsn, connect_timeout=timeout_s)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "The database's address is malformed; write it like "
            "POSTGRES_DSN=postgresql://user@127.0.0.1:5432/kite."
        ) from None


def _explained(exc: BaseException | None) -> MigrationError | ConfigurationError:
    """The error of ours for one of the driver's, by what the caller can do about it."""
    said = str(exc).strip().partition("\n")[0].removeprefix("connection failed: ").rstrip(".")
    state = getattr(exc, "sqlstate", None)
    if state is None and isinstance(exc, psycopg.OperationalError):
        if any(words in said for words in _REFUSED_LOGIN):
            return ConfigurationError(f"Postgres refuses the login ({said}); correct POSTGRES_DSN.")
        return DatabaseAwayError(f"Postgres cannot be reached ({said}); try again when it is up.")
    if state in _AWAY_STATES or (state or "").startswith(_CONNECTION_LOST):
        why = _AWAY_STATES.get(state or "", "the connection was lost")
        return DatabaseAwayError(f"Nothing was changed, because {why}; try again later.")
    return DatabaseRefusedError(
        f"Nothing was changed, because Postgres refused a statement: {said}."
    )
