"""Databases that end with what they were made for, their schema and their migrations."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from collections.abc import Iterator

import psycopg
from psycopg import ProgrammingError, sql
from psycopg.conninfo import make_conninfo

from kite_contracts.errors import DatabaseAwayError, DatabaseRefusedError
from kite_contracts.migrations import runner
from kite_contracts.migrations.runner import Migration
from kite_devstack.errors import ConfigError, FailedError, UnreachableError
from kite_devstack.postgres import program
from kite_devstack.reporter import Reporter
from kite_runtime.errors import ConfigurationError

PREFIX = "test-"
_LEFT_OVER_AFTER_S = 24 * 60 * 60
_DUMP_TIMEOUT_S = 60.0
# alembic's own table: which migrations were applied is not part of what they make.
_NOT_OURS = "alembic_version"
# What pg_dump writes about the session, which differs by version or by run.
_SESSION_LINES = ("--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict")


@contextlib.contextmanager
def database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database on ``server``, a copy of ``template``; dropped at the end.

    Raises UnreachableError, and FailedError when the server makes none.
    """
    name = unique_name()
    make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    _execute(server, make.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        drop(server, name)


def drop(server: str, name: str) -> None:
    """Drops a database, also one that has connections."""
    _execute(
        server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def left_over(server: str) -> list[str]:
    """The databases of tests that were killed a day ago or more."""
    with psycopg.connect(server) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return [row[0] for row in rows if is_left_over(row[0])]


def unique_name() -> str:
    """A unique name; it shows when it was made, for tidying up after a crash."""
    return f"{PREFIX}{int(time.time())}-{uuid.uuid4().hex[:10]}"


def is_left_over(name: str) -> bool:
    """Whether ``name`` is of a test that was killed a day ago or more."""
    if not name.startswith(PREFIX):
        return False
    made = name.removeprefix(PREFIX).partition("-")[0]
    return made.isdigit() and time.time() - int(made) > _LEFT_OVER_AFTER_S


def migrated_schema(server: str) -> str:
    """The schema that all migrations make, in an empty database that is dropped afterwards."""
    with database(server) as dsn:
        runner.upgrade(dsn)
        return schema_of(dsn)


def schema_of(dsn: str) -> str:
    """The tables, functions and so on of a database as SQL, equal for equal schemas."""
    done = subprocess.run(
        [
            program("pg_dump"),
            *("--schema-only", "--no-owner", "--no-privileges"),
            f"--exclude-table={_NOT_OURS}",
            f"--dbname={dsn}",
        ],
        capture_output=True,
        text=True,
        timeout=_DUMP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise FailedError(f"pg_dump cannot read the schema: {done.stderr.strip()}")
    return normalised(done.stdout)


def normalised(dump: str) -> str:
    """What pg_dump wrote without its comments, session settings and repeated empty lines. Pure."""
    kept = [line.rstrip() for line in dump.splitlines() if not line.startswith(_SESSION_LINES)]
    blocks = "\n".join(kept).split("\n\n")
    return "".join(block.strip("\n") + "\n\n" for block in blocks if block.strip())[:-1]


def _execute(server: str, statement: sql.Composed) -> None:
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(statement)
    except psycopg.OperationalError as exc:
        said = str(exc).partition("\n")[0]
        raise UnreachableError(f"Postgres does not answer: {said}") from exc
    except psycopg.Error as exc:
        if exc.sqlstate is None:
            # libpq could not read the address, and its words may quote a password.
            raise ConfigError("POSTGRES_DSN is malformed") from None
        raise FailedError(f"Postgres makes no database for this: {exc}") from exc


_LOOK_TIMEOUT_S = 3


def migrate(dsn: str, *, yours: bool, report: Reporter) -> None:
    """Apply the migrations that the database does not have yet, in one transaction.

    ``yours``: the environment names the database; the output then shows which one changes. Raises
    what `kite_contracts.migrations.runner.upgrade` raises.
    """
    where = " to the database that POSTGRES_DSN names" if yours else ""
    done = runner.upgrade(
        dsn, report=lambda step: report.say(f"applying {step.name}{where}: {step.description}")
    )
    count = f"{len(done)} migration{'' if len(done) == 1 else 's'} applied"
    report.say(f"{count}; the tables are at {runner.head()}")


def migrations_planned(dsn: str | None, report: Reporter) -> list[str]:
    """One line for each migration that `migrate` would apply; reads only."""
    waiting = list(runner.migrations())
    if dsn is None:
        report.say("no database is running: each migration would be applied")
    else:
        try:
            waiting = runner.pending(_soon(dsn))
        except DatabaseAwayError as exc:
            report.say(f"{exc} Each migration is shown as if none were applied.")
    return [_line(step) for step in waiting]


def migration_state(dsn: str) -> str:
    """The revision and what is pending, or why neither is known, in a few words."""
    try:
        waiting = runner.pending(_soon(dsn))
    except (DatabaseAwayError, DatabaseRefusedError, ConfigurationError) as exc:
        return str(exc)
    if not waiting:
        return f"{runner.head()}, the newest"
    applied = len(runner.migrations()) - len(waiting)
    revision = runner.migrations()[applied - 1].revision if applied else "no tables yet"
    return f"{revision}, pending: {', '.join(step.name for step in waiting)} ('up' applies them)"


def _line(step: Migration) -> str:
    return f"migrate {step.name}: {step.description}"


def _soon(dsn: str) -> str:
    """``dsn`` with a short wait, for what only looks."""
    try:
        return make_conninfo(dsn, connect_timeout=_LOOK_TIMEOUT_S)
    except ProgrammingError:
        return dsn  # the runner says what is wrong with it
