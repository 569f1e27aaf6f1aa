"""The tables in Postgres: what ``up``, ``status`` and the dry run do about the migrations."""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from kite_contracts.errors import DatabaseAwayError, DatabaseRefusedError
from kite_contracts.migrations import runner
from kite_contracts.migrations.runner import Migration
from kite_devstack.reporter import Reporter
from kite_runtime.errors import ConfigurationError

_LOOK_TIMEOUT_S = 3


def apply(dsn: str, *, yours: bool, report: Reporter) -> None:
    """Apply the migrations that the database lacks, in one transaction.

    ``yours``: the environment names the database, so the person is told which one changes. Raises
    what `kite_contracts.migrations.runner.upgrade` raises.
    """
    where = " to the database that POSTGRES_DSN names" if yours else ""
    done = runner.upgrade(
        dsn, report=lambda step: report.say(f"applying {step.name}{where}: {step.description}")
    )
    count = f"{len(done)} migration{'' if len(done) == 1 else 's'} applied"
    report.say(f"{count}; the tables are at {runner.head()}")


def plan(dsn: str | None, report: Reporter) -> list[str]:
    """One line for each migration that `apply` would apply; reads the database, writes nothing."""
    waiting = list(runner.migrations())
    if dsn is None:
        report.say("no database is running: each migration would be applied")
    else:
        try:
            waiting = runner.pending(_soon(dsn))
        except DatabaseAwayError as exc:
            report.say(f"{exc} Each migration is shown as if none were applied.")
    return [_line(step) for step in waiting]


def state(dsn: str) -> str:
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
