"""Faults on a Postgres of the tests' own: a backend that stays at a row, its death, recovery."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg

from kite_bars_store.database import Connection, connect
from kite_bars_store.errors import DatabaseUnreachable

TIMEOUT_S = 60.0
# A backend that comes to the row stays there until it is killed.
STAY = """
    CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
    CREATE TRIGGER stay BEFORE INSERT ON {table} FOR EACH ROW {condition} EXECUTE FUNCTION stay()
"""


@contextlib.contextmanager
def opened(dsn: str) -> Iterator[Connection]:
    with contextlib.closing(connect(dsn, application_name="tests")) as connection:
        yield connection


def state_of(dsn: str, query: str) -> tuple[object, ...]:
    """The one row of ``query``, which sums up all that is in the tables."""
    with opened(dsn) as connection:
        found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found


def sleeping_backend(dsn: str) -> int:
    """The process that has come to the row of `STAY`."""
    pause = threading.Event()
    with opened(dsn) as connection:
        for _ in range(int(TIMEOUT_S / 0.01)):
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            ).fetchone()
            if found is not None:
                return int(found[0])
            pause.wait(0.01)
    raise AssertionError("no backend came to the row")


def after_recovery(dsn: str, witness: Connection) -> Connection:
    """A connection to the server after its restart, which ends the session of the witness."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.02)):
        with contextlib.suppress(DatabaseUnreachable, psycopg.OperationalError):
            if witness.closed:
                return connect(dsn, application_name="tests")
            witness.execute("SELECT 1")
        pause.wait(0.02)
    raise AssertionError("the server did not come back")
