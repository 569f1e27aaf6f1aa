"""Every error of this package, split by what the caller does about it.

    StoreError
    ├── TryAgain               nothing is wrong with the request         (exit code 75)
    │   ├── DatabaseUnreachable    no connection: the server is away or starting
    │   ├── DatabaseBusy           no room, no time or a lock of others; nothing was written
    │   ├── ConnectionLost         during the work; nothing was written: connect and do it again
    │   └── CommitUnknown          during COMMIT: look whether it was done before doing it again
    ├── NotConfigured          needs a correction                        (exit code 78)
    │   ├── DatabaseRefused        wrong address, password, database or permission
    │   ├── NotMigrated            tables are missing or old: run `migrate upgrade`
    │   └── RulesFaulty            merge.toml has a mistake, or a source is missing
    └── StatementFailed        Postgres refused a statement; nothing was written (exit code 1)

DumpRefused                        the last good master stays: get another dump (exit code 1)

A method that raises any of them but CommitUnknown has written nothing: each does its work in one
transaction. Exceptions of psycopg never leave this package, and no message holds a password.
"""

from __future__ import annotations

from pathlib import Path

from kite_runtime.errors import ConfigurationError, KiteError, TryAgainLater, UsageError


class StoreError(KiteError):
    """Base of all errors of bars_store; its text is one sentence for the user."""


class TryAgain(StoreError, TryAgainLater):
    """The same call may succeed later."""


class DatabaseUnreachable(TryAgain):
    """No server answered, or it takes no connections now."""


class DatabaseBusy(TryAgain):
    """The server ran out of room, time or connections, or others held a lock for too long."""


class ConnectionLost(TryAgain):
    """The connection broke before COMMIT; the server has rolled the transaction back."""


class CommitUnknown(TryAgain):
    """The connection broke during COMMIT: the transaction is there whole, or not at all."""


class NotConfigured(StoreError, ConfigurationError):
    """It fails until the settings are corrected or the database."""


class DatabaseRefused(NotConfigured):
    """The server is there and refuses: password, database, permission, or a malformed address."""


class NotMigrated(NotConfigured):
    """The database has not the tables of this version."""


class RulesFaulty(NotConfigured):
    """The merge rules cannot be used; the sentence names the place in the file."""


class StatementFailed(StoreError):
    """Postgres refused a statement, for example because a constraint forbids a row."""


class ExpressionError(UsageError):
    """The words of a lookup are neither a symbol, nor a token, nor an expression."""


class UniverseError(ConfigurationError):
    """The file of universes is wrong: names file, universe, problem and remedy."""

    def __init__(self, path: Path, universe: str | None, problem: str) -> None:
        place = f"{path}" if universe is None else f"{path}, universe {universe}"
        super().__init__(f"{place}: {problem}")
        self.path = path


class DumpRefused(KiteError):
    """A dump that must not replace the last good master."""
