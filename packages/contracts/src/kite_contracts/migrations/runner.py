"""Apply the migrations: `upgrade`, `downgrade`, `current`, `pending`, `sql`.

Each call is one transaction under an advisory lock: it happens whole or not at all, and two hosts
may upgrade at once. Each raises UnknownRevisionError, DatabaseAwayError, DatabaseRefusedError or
ConfigurationError; the database is then as it was.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from kite_contracts.errors import DatabaseRefusedError, UnknownRevisionError
from kite_contracts.migrations.chain import (
    BASE,
    HEAD,
    Migration,
    configuration,
    migrations,
    position,
    revision_at,
    script_directory,
)
from kite_contracts.migrations.session import connected, locked

__all__ = ["Migration", "current", "downgrade", "head", "migrations", "pending", "sql", "upgrade"]

Report = Callable[[Migration], None]
_ALEMBIC: Final = threading.Lock()
"""alembic keeps what it works on in module variables, so a process migrates one database a time."""


def upgrade(dsn: str, revision: str = HEAD, report: Report | None = None) -> list[Migration]:
    """Apply what is missing up to ``revision`` and return it; ``report`` hears of each step."""
    with locked(dsn) as connection:
        chain = migrations()
        have = _applied(connection)
        want = position(chain, revision, have)
        if revision != HEAD and want < have:
            raise UnknownRevisionError(
                f"The database is at {revision_at(chain, have)}, which is after {revision}; "
                "downgrade goes back."
            )
        _run(connection, command.upgrade, revision_at(chain, want) or BASE, report)
        return list(chain[have:want])


def downgrade(dsn: str, revision: str, report: Report | None = None) -> list[Migration]:
    """Take back what lies after ``revision`` (``base``: everything) and return it, newest first.

    Tables that these migrations made are dropped **with their data**.
    """
    with locked(dsn) as connection:
        chain = migrations()
        have = _applied(connection)
        want = position(chain, revision, have)
        if want > have:
            raise UnknownRevisionError(
                f"The database is at {revision_at(chain, have) or BASE}, which is before "
                f"{revision}; upgrade goes there."
            )
        _run(connection, command.downgrade, revision_at(chain, want) or BASE, report)
        return list(reversed(chain[want:have]))


def current(dsn: str) -> str | None:
    """The database's revision; None before the first migration."""
    with connected(dsn) as connection:
        return revision_at(migrations(), _applied(connection))


def pending(dsn: str) -> list[Migration]:
    """What `upgrade` would apply."""
    with connected(dsn) as connection:
        return list(migrations()[_applied(connection) :])


def head() -> str:
    """The newest revision of this version of the package."""
    return migrations()[-1].revision


def sql(first: str = BASE, last: str = HEAD) -> str:
    """The statements that lead from ``first`` to ``last``, up or down, as one script for psql."""
    chain = migrations()
    start, end = position(chain, first), position(chain, last)
    written = io.StringIO()
    way = f"{revision_at(chain, start) or BASE}:{revision_at(chain, end) or BASE}"
    if start == end:
        return ""
    with _ALEMBIC, script_directory() as folder:
        config = configuration(folder)
        config.output_buffer = written
        (command.upgrade if start < end else command.downgrade)(config, way, sql=True)
    return written.getvalue()


def _run(
    connection: Connection,
    verb: Callable[..., None],
    revision: str,
    report: Report | None,
) -> None:
    names = {migration.revision: migration for migration in migrations()}

    def heard(*, step: Any, **_: object) -> None:
        if report is not None:
            touched: Sequence[str] = step.up_revision_ids
            report(names[touched[0]])

    with _ALEMBIC, script_directory() as folder:
        config = configuration(folder)
        config.attributes.update(connection=connection, on_version_apply=heard)
        verb(config, revision)


def _applied(connection: Connection) -> int:
    """How many migrations the database has."""
    found = MigrationContext.configure(connection).get_current_revision()
    try:
        return position(migrations(), found)
    except UnknownRevisionError:
        raise DatabaseRefusedError(
            f"The database is at revision {found!r}, which this version of the package does not "
            f"know (its newest is {head()}); use the version that made it, or a later one."
        ) from None
