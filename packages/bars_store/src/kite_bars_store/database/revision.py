"""Whether the migrations of `kite_contracts.migrations` were applied."""

from __future__ import annotations

from kite_bars_store.database.connection import Connection, transaction
from kite_bars_store.errors import NotMigrated

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
