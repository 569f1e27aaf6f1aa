"""Connections and transactions, with errors of this package instead of psycopg's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from kite_bars_store.database.failures import connection_failure, is_lost, statement_failure
from kite_bars_store.errors import CommitUnknown, DatabaseRefused, NotMigrated

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]

CONNECT_TIMEOUT_S: Final = 10
LOCK_TIMEOUT_S: Final = 120
# A dead peer is noticed within about a minute, not after the two hours of the kernel's default.
_KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def connect(
    dsn: str,
    *,
    application_name: str,
    autocommit: bool = True,
    connect_timeout_s: int = CONNECT_TIMEOUT_S,
    lock_timeout_s: int = LOCK_TIMEOUT_S,
    statement_timeout_s: int = 0,
) -> Connection:
    """An open connection; close it, for example with `contextlib.closing`.

    ``dsn`` is a libpq URL or keyword string; its timeouts win over the values here.
    ``application_name`` is what an operator sees in ``pg_stat_activity``. With ``autocommit`` (the
    default) a read holds no transaction open, and writes are grouped by `transaction`. Times come
    back in UTC. A statement that waits for another session's lock is given up after
    ``lock_timeout_s``, and any after ``statement_timeout_s`` (0: never), with DatabaseBusy.

    Raises DatabaseUnreachable and DatabaseRefused.
    """
    given = _parsed(dsn)
    defaults = {**_KEEPALIVE, "connect_timeout": connect_timeout_s}
    extra: dict[str, Any] = {key: value for key, value in defaults.items() if key not in given}
    extra["application_name"] = application_name
    connection = None
    try:
        connection = psycopg.connect(dsn, autocommit=True, **extra)
        connection.execute("SET TIME ZONE 'UTC'")
        # A stricter default of the database would let a writer that waited for a lock read the
        # state of before the wait.
        connection.execute("SET default_transaction_isolation TO 'read committed'")
        for name, limit_s in (
            ("lock_timeout", lock_timeout_s),
            ("statement_timeout", statement_timeout_s),
        ):
            if name not in str(given.get("options", "")):
                connection.execute("SELECT set_config(%s, %s, false)", [name, f"{limit_s}s"])
        connection.autocommit = autocommit
    except psycopg.Error as exc:
        if connection is not None:
            connection.close()
        secrets = (str(given.get("password") or ""), str(given.get("sslpassword") or ""))
        raise connection_failure(exc, _place(given), secrets) from exc
    return connection


def let_go(connection: Connection) -> None:
    """Break the connection under whatever waits for it, from another thread: a server that is
    suspended answers no cancel, and its socket looks alive."""
    with (
        contextlib.suppress(OSError, psycopg.OperationalError),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def transaction(connection: Connection, doing: str) -> Iterator[Cursor]:
    """BEGIN … COMMIT around the block, or ROLLBACK when it raises.

    ``doing`` names the work in messages, such as "recording a dump". psycopg's errors inside the
    block become errors of this package: ConnectionLost, DatabaseBusy, DatabaseRefused, NotMigrated,
    StatementFailed, and CommitUnknown when the connection breaks during COMMIT.
    """
    committing = False
    try:
        with connection.transaction(), connection.cursor() as cursor:
            yield cursor
            committing = True
    except psycopg.Error as exc:
        if committing and is_lost(exc):
            raise CommitUnknown(
                f"The connection to Postgres was lost at the end of {doing}; "
                "it is done whole or not at all."
            ) from exc
        raise statement_failure(exc, doing) from exc


@contextlib.contextmanager
def snapshot(connection: Connection, doing: str) -> Iterator[None]:
    """All reads of the block see the database as it is at the first one; nothing can be written.

    Must not be inside another `transaction`; those inside it are a part of it. Raises what
    `transaction` raises.
    """
    with transaction(connection, doing) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _parsed(dsn: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq quotes a part of the address, which may be the password.
        raise DatabaseRefused(
            "POSTGRES_DSN is malformed; write it like postgresql://user@127.0.0.1:5432/kite."
        ) from None


def _place(given: dict[str, Any]) -> str:
    """Where it was tried, without the password."""
    host = given.get("host") or given.get("hostaddr") or "the default socket"
    port = f":{given['port']}" if given.get("port") else ""
    name = f"/{given['dbname']}" if given.get("dbname") else ""
    return f"{host}{port}{name}"


def lock(cursor: Cursor, name: str, *, timeout_s: int = LOCK_TIMEOUT_S) -> None:
    """Wait until no other transaction holds the lock ``name``; it ends with this transaction.

    Whoever writes a projection takes it first, before any read whose answer decides what is
    written. After ``timeout_s`` `transaction` raises DatabaseBusy.
    """
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{timeout_s}s"])
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(name)])


def lock_key(name: str) -> int:
    """Postgres's 64-bit number for ``name``. Pure."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


_DOING = "looking at the database's revision"


def check_revision(connection: Connection, needed: str) -> None:
    """Raises NotMigrated unless the database is at revision ``needed`` (``0001``) or a later one.

    A newer database is accepted: the chain is one line, and a migration that breaks a released
    reader is none we make.
    """
    found = current_revision(connection)
    if found is None or found < needed:
        raise NotMigrated(
            f"The database is at revision {found or 'none'} and {needed} is needed: "
            "run 'migrate upgrade'."
        )


def current_revision(connection: Connection) -> str | None:
    """The revision that alembic wrote down; None where there is none."""
    try:
        with transaction(connection, _DOING) as cursor:
            row = cursor.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    except NotMigrated:
        return None
    return row[0] if row else None
