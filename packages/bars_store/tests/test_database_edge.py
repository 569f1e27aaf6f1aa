"""Connections, transactions, statements and COPY on the real Postgres."""

from __future__ import annotations

import contextlib
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from kite_bars_store.database import (
    Connection,
    check_revision,
    connect,
    copy_rows,
    current_revision,
    load_statements,
    lock,
    parse_statements,
    transaction,
)
from kite_bars_store.database.copying import copy_table, read_table
from kite_bars_store.errors import (
    CommitUnknown,
    ConnectionLost,
    DatabaseBusy,
    DatabaseRefused,
    DatabaseUnreachable,
    NotMigrated,
    StatementFailed,
    StoreError,
)
from kite_bars_store.instruments import recording, store

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"user": "nobody"}, DatabaseRefused, 'role "nobody" does not exist'),
        ({"dbname": "nowhere"}, DatabaseRefused, 'database "nowhere" does not exist'),
        ({"host": "127.0.0.1", "port": 1}, DatabaseUnreachable, "127.0.0.1:1"),
        ({"host": "no.such.host.invalid"}, DatabaseUnreachable, "no.such.host.invalid"),
        ({"host": "/nowhere"}, DatabaseUnreachable, "/nowhere"),
    ],
)
def test_a_connection_that_is_not_made_says_why_and_what_to_do(
    fresh_dsn: str, change: dict[str, Any], error: type[StoreError], says: str
) -> None:
    dsn = make_conninfo(fresh_dsn, password=SECRET, **change)
    with pytest.raises(error, match=says) as caught:
        connect(dsn, application_name="tests", connect_timeout_s=2)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dsn", [f"postgresql://u:{SECRET}@h/d?bad=1", f"password {SECRET}"])
def test_a_malformed_address_is_not_quoted(dsn: str) -> None:
    with pytest.raises(DatabaseRefused, match="POSTGRES_DSN is malformed") as caught:
        connect(dsn, application_name="tests")
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_session_is_named_in_utc_and_reads_what_is_committed(migrated_dsn: str) -> None:
    dsn = make_conninfo(migrated_dsn, options="-c default_transaction_isolation=serializable")
    with contextlib.closing(connect(dsn, application_name="nfo sync")) as connection:
        shown = [
            connection.execute(b"SHOW " + name).fetchone()
            for name in (b"application_name", b"TimeZone", b"transaction_isolation")
        ]
    assert shown == [("nfo sync",), ("UTC",), ("read committed",)]


@pytest.mark.parametrize(
    ("statement", "limits"),
    [
        (b"LOCK TABLE dlq_failure", {"lock_timeout_s": 1}),
        (b"SELECT pg_sleep(30)", {"statement_timeout_s": 1}),
    ],
)
def test_what_takes_too_long_is_given_up(
    migrated_dsn: str, statement: bytes, limits: dict[str, Any]
) -> None:
    with contextlib.closing(connect(migrated_dsn, application_name="holds")) as holding:
        limited = connect(migrated_dsn, application_name="tests", **limits)
        with contextlib.closing(limited), transaction(holding, "holding") as cursor:
            cursor.execute(b"LOCK TABLE dlq_failure")
            with pytest.raises(DatabaseBusy), transaction(limited, "waiting") as waiting:
                waiting.execute(statement)


@pytest.mark.parametrize(
    ("options", "shown"),
    [("", ("2min", "0")), ("-c lock_timeout=3s -c statement_timeout=4s", ("3s", "4s"))],
)
def test_limits_of_the_address_win(fresh_dsn: str, options: str, shown: tuple[str, str]) -> None:
    dsn = make_conninfo(fresh_dsn, options=options)
    with contextlib.closing(connect(dsn, application_name="tests")) as connection:
        found = connection.execute(
            b"SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
        ).fetchone()
    assert found == shown


class Interrupted(Exception):
    """An error of the caller."""


def insert(connection: Connection, *numbers: int, then: Exception | None = None) -> None:
    with transaction(connection, "counting") as cursor:
        for number in numbers:
            cursor.execute("INSERT INTO numbers VALUES (%s)", [number])
        if then is not None:
            raise then


def test_a_failed_transaction_writes_nothing(connection: Connection) -> None:
    connection.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    with pytest.raises(StatementFailed, match="failed at counting: duplicate key"):
        insert(connection, 1, 1)
    with pytest.raises(Interrupted):
        insert(connection, 2, then=Interrupted())
    insert(connection, 3)
    assert connection.execute("SELECT n FROM numbers").fetchall() == [(3,)]


END = b"SELECT pg_terminate_backend(pg_backend_pid())"


def test_a_connection_lost_on_the_way_is_told_from_one_lost_at_the_end(
    migrated_dsn: str,
) -> None:
    with contextlib.closing(connect(migrated_dsn, application_name="tests")) as connection:
        with (
            pytest.raises(ConnectionLost, match="nothing was written"),
            transaction(connection, "working") as cursor,
        ):
            cursor.execute(END)
        with pytest.raises(ConnectionLost), transaction(connection, "working"):
            pass
    with contextlib.closing(connect(migrated_dsn, application_name="tests")) as connection:
        connection.execute(
            """
            CREATE TABLE last (n int);
            CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON last
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION leave()
            """
        )
        with (
            pytest.raises(CommitUnknown, match="whole or not at all"),
            transaction(connection, "working") as cursor,
        ):
            cursor.execute("INSERT INTO last VALUES (1)")


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("SELECT 1 FROM missing_table", NotMigrated, "run 'migrate upgrade'"),
        ("SELECT 1/0", StatementFailed, "division by zero"),
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(60)", DatabaseBusy, "took too long"),
        (
            "SET TRANSACTION READ ONLY; CREATE TABLE x ()",
            DatabaseRefused,
            "this server takes no writes",
        ),
        (
            'CREATE ROLE "{role}"; SET LOCAL ROLE "{role}"; SELECT 1 FROM instrument_batch',
            DatabaseRefused,
            "permission denied",
        ),
    ],
)
def test_a_statement_that_fails_says_what_can_be_done(
    connection: Connection, statement: str, error: type[StoreError], says: str
) -> None:
    text = statement.format(role=f"role {connection.info.dbname}")
    with (
        pytest.raises(error, match=says) as caught,
        transaction(connection, "testing") as cursor,
    ):
        cursor.execute(text.encode())
    assert isinstance(caught.value.__cause__, psycopg.Error)


def test_two_transactions_take_turns_at_a_lock(connection: Connection, migrated_dsn: str) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with (
            contextlib.closing(connect(migrated_dsn, application_name="second")) as other,
            transaction(other, "waiting") as cursor,
        ):
            waiting.set()
            lock(cursor, "one")
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with transaction(connection, "holding") as cursor:
            lock(cursor, "one")
            job = pool.submit(second)
            assert waiting.wait(30)
            while not cursor.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ).fetchone():
                pass
            order.append("first")
        job.result(30)
    assert order == ["first", "second"]


def test_a_lock_that_others_keep_is_given_up(connection: Connection, migrated_dsn: str) -> None:
    with (
        contextlib.closing(connect(migrated_dsn, application_name="second")) as other,
        transaction(connection, "holding") as cursor,
    ):
        lock(cursor, "one")
        with transaction(other, "another") as free:
            lock(free, "two", timeout_s=1)
        with (
            pytest.raises(DatabaseBusy, match="another session holds a lock"),
            transaction(other, "waiting") as kept,
        ):
            lock(kept, "one", timeout_s=1)


def test_the_revision_is_compared_with_what_is_needed(
    connection: Connection, fresh_dsn: str
) -> None:
    found = current_revision(connection)
    assert found is not None
    check_revision(connection, "0001")
    check_revision(connection, found)
    with pytest.raises(NotMigrated, match=f"at revision {found} and 9999 is needed"):
        check_revision(connection, "9999")
    with contextlib.closing(connect(fresh_dsn, application_name="tests")) as empty:
        assert current_revision(empty) is None
        with pytest.raises(NotMigrated, match="at revision none and 0001 is needed"):
            check_revision(empty, "0001")


def test_statements_are_named_and_their_comments_are_left_out() -> None:
    text = (
        "-- A file.\n\n-- name: one\n-- 100 % of them\nSELECT 1;\n\n-- name: two\nSELECT\n    2\n"
    )
    assert parse_statements(text) == {
        "one": b"/* one */\nSELECT 1;",
        "two": b"/* two */\nSELECT\n    2",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 1", "no name above the statement 'SELECT 1'"),
        ("-- name: one\n", "no statement under the name one"),
        ("-- name: one\nSELECT 1\n-- name: one\nSELECT 2", "two statements are named one"),
    ],
)
def test_a_file_of_statements_with_a_mistake_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_statements(text)


def test_every_statement_of_the_instruments_is_used() -> None:
    code = "".join(map(inspect.getsource, (recording, store)))
    unused = [
        name for name in load_statements("kite_bars_store.instruments") if f'"{name}"' not in code
    ]
    assert unused == []


COLUMNS = pa.schema(
    [("text", pa.string()), ("number", pa.int64()), ("day", pa.date32()), ("yes", pa.bool_())]
)
# Postgres keeps no NUL character, and a lone surrogate is no UTF-8.
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in COLUMNS.names) for row in table.to_pylist()]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | TEXT,
                "number": st.none() | st.integers(-(2**63), 2**63 - 1),
                "day": st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
                "yes": st.none() | st.booleans(),
            }
        )
    )
)
def test_a_table_comes_back_from_postgres_as_it_went_in(
    connection: Connection, rows: list[dict[str, Any]]
) -> None:
    table = pa.Table.from_pylist(rows, COLUMNS)
    query = b"SELECT text, number, day, yes FROM copied ORDER BY id"
    with transaction(connection, "copying") as cursor:
        cursor.execute(
            "CREATE TEMP TABLE copied (id int GENERATED ALWAYS AS IDENTITY, "
            "text text, number bigint, day date, yes boolean) ON COMMIT DROP"
        )
        assert copy_table(cursor, "copied", table) == len(rows)
        assert read_table(cursor, query, COLUMNS).equals(table)
        cursor.execute("TRUNCATE copied")
        types = {"text": "text", "number": "int8", "day": "date", "yes": "bool"}
        assert copy_rows(cursor, "copied", types, rows_of(table)) == len(rows)
        assert read_table(cursor, query, COLUMNS).equals(table)


def test_bytes_are_copied_as_they_are(connection: Connection) -> None:
    rows = [(bytes(range(256)), None), (b"", 'Q"\\.\n')]
    with transaction(connection, "copying") as cursor:
        cursor.execute("CREATE TEMP TABLE raw (value bytea, note text) ON COMMIT DROP")
        assert copy_rows(cursor, "raw", {"value": "bytea", "note": "text"}, rows) == 2
        assert cursor.execute("SELECT value, note FROM raw").fetchall() == rows
