"""Everything that goes wrong here, split by what the caller does about it.

    ContractError
    ├── UnknownContractError   asked for a subject or version that is not there: name one that is
    ├── SchemaError            a schema file, lock or topics file is faulty: correct the file
    ├── RecordError            one record does not fit its contract: dead-letter it, go on
    └── MigrationError         the database is not changed; it is as it was before
        ├── UnknownRevisionError      asked for a revision that is not there: name one that is (2)
        ├── DatabaseAwayError         the database does not answer or is busy: try later (75)
        └── DatabaseRefusedError      it refuses a statement, or is newer than we are: read on (1)

Each message is one sentence that a person can act on.
"""

from __future__ import annotations

from kite_runtime.errors import KiteError, TryAgainLater, UsageError


class ContractError(KiteError):
    """Base of all errors of this package."""


class UnknownContractError(ContractError, UsageError):
    """The subject or version does not exist; the message names those that do."""


class SchemaError(ContractError):
    """A file beside the code is malformed or uses what is not supported."""


class RecordError(ContractError):
    """A record has no place in its contract's binary or row form."""


class MigrationError(ContractError):
    """A migration did not happen; its transaction was rolled back."""


class UnknownRevisionError(MigrationError, UsageError):
    """The revision does not exist, or does not lie in the direction asked for."""


class DatabaseAwayError(MigrationError, TryAgainLater):
    """The database cannot be reached, or others hold its locks for too long."""


class DatabaseRefusedError(MigrationError):
    """A statement failed, or the schema is of a version that this package does not know."""
