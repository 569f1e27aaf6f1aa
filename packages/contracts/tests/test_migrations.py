"""The migrations on the real Postgres. A later migration is covered without a change here."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import RestrictViolation

import kite_contracts
from kite_contracts.errors import DatabaseAwayError, DatabaseRefusedError, UnknownRevisionError
from kite_contracts.migrations import runner, session
from kite_devstack.databases import schema_of

MIGRATIONS = runner.migrations()
SNAPSHOT = "packages/contracts/schema.snapshot.sql"
RENEW = f"./pants run packages/devstack -- schema > {SNAPSHOT}"
TABLES = """
    SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND c.relname <> 'alembic_version' ORDER BY 1
"""
TRUTH = {"instrument_batch", "instrument_observation", "dlq_failure", "dlq_event"}
TRUTH |= {"bar_observation"}


def snapshot() -> str:
    for folder in Path(__file__).resolve().parents:
        if (folder / SNAPSHOT).is_file():
            return (folder / SNAPSHOT).read_text()
    raise AssertionError(f"{SNAPSHOT} is not there: {RENEW}")


def test_the_schema_is_that_of_the_snapshot(migrated_dsn: str) -> None:
    assert schema_of(migrated_dsn) == snapshot(), f"renew the snapshot and read its diff: {RENEW}"


def test_down_to_nothing_and_up_again_is_the_same(migrated_dsn: str) -> None:
    before = schema_of(migrated_dsn)
    taken = runner.downgrade(migrated_dsn, "base")
    assert taken == list(reversed(MIGRATIONS))
    assert schema_of(migrated_dsn) == ""
    assert runner.current(migrated_dsn) is None
    assert runner.upgrade(migrated_dsn) == list(MIGRATIONS)
    assert schema_of(migrated_dsn) == before


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda one: one.name)
def test_each_migration_takes_back_what_it_did(fresh_dsn: str, migration: runner.Migration) -> None:
    runner.upgrade(fresh_dsn, migration.revision)
    after = schema_of(fresh_dsn)
    assert runner.downgrade(fresh_dsn, "-1") == [migration]
    before = schema_of(fresh_dsn)
    assert before != after
    runner.upgrade(fresh_dsn, migration.name)
    assert schema_of(fresh_dsn) == after
    runner.downgrade(fresh_dsn, "-1")
    assert schema_of(fresh_dsn) == before


def test_an_upgraded_database_is_left_alone(migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        stamp = "SELECT version_num, xmin::text FROM alembic_version"
        before = connection.execute(stamp).fetchall()
        connection.commit()
        heard: list[runner.Migration] = []
        assert runner.upgrade(migrated_dsn, report=heard.append) == []
        assert heard == []
        assert connection.execute(stamp).fetchall() == before


def test_what_is_pending_is_what_an_upgrade_applies(fresh_dsn: str) -> None:
    first = MIGRATIONS[0]
    assert runner.pending(fresh_dsn) == list(MIGRATIONS)
    heard: list[runner.Migration] = []
    assert runner.upgrade(fresh_dsn, "+1", heard.append) == heard == [first]
    assert runner.current(fresh_dsn) == first.revision
    assert runner.pending(fresh_dsn) == list(MIGRATIONS[1:])


def test_hosts_that_upgrade_at_once_apply_each_migration_once(fresh_dsn: str) -> None:
    """All of them have come as far as the lock before the first one gets it."""
    with ThreadPoolExecutor(3) as pool, psycopg.connect(fresh_dsn) as gate:
        gate.execute("SELECT pg_advisory_xact_lock(%s)", [session.ADVISORY_LOCK])
        runs = [pool.submit(migrate, "upgrade", POSTGRES_DSN=fresh_dsn) for _ in range(3)]
        try:
            wait_for_waiters(gate, 3)
        finally:
            gate.rollback()
        hosts = [run.result() for run in runs]
    assert [done.returncode for done in hosts] == [0] * 3, [done.stderr for done in hosts]
    applied = "".join(done.stderr for done in hosts)
    assert [applied.count(f"applying {one.name}\n") for one in MIGRATIONS] == [1] * len(MIGRATIONS)
    assert schema_of(fresh_dsn) == snapshot()


def wait_for_waiters(connection: psycopg.Connection, count: int) -> None:
    """Until so many sessions of this database wait for an advisory lock; at most 30 s."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND NOT granted AND d.datname = current_database()"
    )
    for _ in range(600):
        found = connection.execute(waiting).fetchone()
        if found == (count,):
            return
        connection.execute("SELECT pg_sleep(0.05)")
    raise AssertionError(f"{found} instead of {count} sessions wait")


def test_a_failed_upgrade_leaves_the_database_as_it_was(fresh_dsn: str, migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        taken = [str(row[0]) for row in connection.execute(TABLES)][-1]
    with psycopg.connect(fresh_dsn) as connection:
        connection.execute(sql.SQL("CREATE TABLE {} (n int)").format(sql.Identifier(taken)))
    before = schema_of(fresh_dsn)
    with pytest.raises(DatabaseRefusedError, match=f'"{taken}" already exists'):
        runner.upgrade(fresh_dsn)
    assert runner.current(fresh_dsn) is None
    assert schema_of(fresh_dsn) == before


def test_a_migration_waits_for_another_and_no_longer_than_is_said(
    fresh_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = [statement.replace("60s", "100ms") for statement in session.PREPARE]
    monkeypatch.setattr(session, "PREPARE", soon)
    with psycopg.connect(fresh_dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [session.ADVISORY_LOCK])
        with pytest.raises(DatabaseAwayError, match="others hold a lock"):
            runner.upgrade(fresh_dsn)
    assert runner.upgrade(fresh_dsn) == list(MIGRATIONS)


def test_a_direction_that_is_none_is_refused(fresh_dsn: str) -> None:
    with pytest.raises(UnknownRevisionError, match=r"there are: base, 0001_\w+, .*head"):
        runner.upgrade(fresh_dsn, "9999")
    with pytest.raises(UnknownRevisionError, match="which is before 0001; upgrade goes there"):
        runner.downgrade(fresh_dsn, "0001")
    with pytest.raises(UnknownRevisionError, match="leaves the chain: 0 of"):
        runner.downgrade(fresh_dsn, "-1")
    runner.upgrade(fresh_dsn)
    with pytest.raises(UnknownRevisionError, match="which is after base; downgrade goes back"):
        runner.upgrade(fresh_dsn, "base")
    assert runner.current(fresh_dsn) == runner.head()


def test_a_database_of_a_newer_version_is_refused(migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for call in (runner.current, runner.pending, runner.upgrade):
        with pytest.raises(DatabaseRefusedError, match=f"'9999'.*newest is {runner.head()}"):
            call(migrated_dsn)


def test_a_search_path_of_ones_own_does_not_move_the_tables(fresh_dsn: str) -> None:
    with psycopg.connect(fresh_dsn) as connection:
        connection.execute("CREATE SCHEMA elsewhere")
    aside = psycopg.conninfo.make_conninfo(fresh_dsn, options="-c search_path=elsewhere,public")
    runner.upgrade(aside)
    assert runner.current(aside) == runner.current(fresh_dsn) == runner.head()


@pytest.fixture()
def truth(migrated_dsn: str) -> Iterator[dict[str, psycopg.Connection]]:
    """The append-only tables, each with a connection of its own."""
    with psycopg.connect(migrated_dsn) as connection:
        tables = connection.execute(TABLES).fetchall()
    names = {
        name for name, says in tables if name in TRUTH or "append-only" in (says or "").lower()
    }
    opened = {name: psycopg.connect(migrated_dsn, autocommit=True) for name in sorted(names)}
    yield opened
    for one in opened.values():
        one.close()


def test_every_table_says_what_it_is(migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        tables = connection.execute(TABLES).fetchall()
    assert tables
    assert [name for name, says in tables if not says] == []


def test_append_only_tables_refuse_every_change(truth: dict[str, psycopg.Connection]) -> None:
    """Triggers a statement, so that they speak in an empty table, too."""
    assert truth
    for name, connection in truth.items():
        table = sql.Identifier(name)
        found = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND attidentity = '' AND attgenerated = '' AND NOT attisdropped LIMIT 1",
            [name],
        ).fetchone()
        assert found is not None
        column = sql.Identifier(found[0])
        for change in (
            sql.SQL("UPDATE {} SET {} = NULL").format(table, column),
            sql.SQL("DELETE FROM {}").format(table),
            sql.SQL("TRUNCATE {} CASCADE").format(table),
        ):
            with pytest.raises(RestrictViolation, match="append-only"):
                connection.execute(change)


def test_the_sql_for_psql_makes_the_same_up_and_down(fresh_dsn: str) -> None:
    with psycopg.connect(fresh_dsn, autocommit=True) as connection:
        connection.execute(runner.sql().encode())
        assert schema_of(fresh_dsn) == snapshot()
        assert runner.current(fresh_dsn) == runner.head()
        connection.execute(runner.sql("head", "base").encode())
        assert schema_of(fresh_dsn) == ""
        assert runner.current(fresh_dsn) is None


def test_the_migrations_run_from_inside_a_zip(fresh_dsn: str, tmp_path: Path) -> None:
    archive = tmp_path / "contracts.zip"
    source = Path(kite_contracts.__file__).parent
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                target.write(path, Path("kite_contracts") / path.relative_to(source))
    libraries = [one for one in sys.path if one and Path(one) != source.parent]
    packed = os.pathsep.join([str(archive), *map(os.path.abspath, libraries)])
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = migrate("upgrade", POSTGRES_DSN=fresh_dsn, PYTHONPATH=packed, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(MIGRATIONS)} applied; the database is at {runner.head()}\n"
    assert schema_of(fresh_dsn) == snapshot()
    assert list(temporary.iterdir()) == []


def migrate(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "kite_contracts.migrations.cli", *words],
        env=os.environ | {"PYTHONPATH": path} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
