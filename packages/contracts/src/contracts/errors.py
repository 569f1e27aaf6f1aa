"""Everything that goes wrong here, split by what the caller does about it.

    ContractError
    ├── UnknownContractError   asked for a subject or version that is not there: name one that is
    ├── SchemaError            a schema file, lock or topics file is faulty: correct the file
    ├── RecordError            one record does not fit its contract: dead-letter it, go on
    └── SettingsError          a setting is wrong: correct it and start again (exit code 78)

Each message is one sentence that a person can act on.
"""

from __future__ import annotations


class ContractError(Exception):
    """Base of all errors of this package."""


class UnknownContractError(ContractError):
    """The subject or version does not exist; the message names those that do."""


class SchemaError(ContractError):
    """A file beside the code is malformed or uses what is not supported."""


class RecordError(ContractError):
    """A record has no place in its contract's binary or row form."""


class SettingsError(ContractError):
    """A settings file or variable is malformed; never quotes the value, which may be a secret."""
