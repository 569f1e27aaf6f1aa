"""Everything that goes wrong in triage, split by what a person does about it.

    AppError (kite_runtime.errors)        1   failed
    ├── UsageError                   2   wrong call: another argument
    │   └── NoSuchTopic                  no topic matches the names or patterns given
    ├── ConfigurationError          78   correct a setting or a file, start again
    │   └── SettingError                 a variable's value
    ├── TryAgainLater               75   a service is away: start again later
    ├── NotFound                     1   no failure or group of this id
    └── DumpFailed                   1   the file to write cannot be written

The numbers are the exit codes. Each message is one sentence that says what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kite_bars_store.errors import NotConfigured, StoreError, TryAgain
from kite_contracts.errors import ContractError
from kite_contracts.errors import SettingsError as FileSettingsError
from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError, RegistryError, UnknownTopic
from kite_kafka_io.errors import SettingsError as KafkaSettingsError
from kite_runtime.errors import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_TRY_LATER,
    AppError,
    Foreseen,
    UsageError,
)


class NoSuchTopic(UsageError):
    """No topic of the broker matches what was asked for."""


class NotFound(AppError):
    """The store has no such failure or group."""


class DumpFailed(AppError):
    """The file cannot be written, or no longer."""

    def __init__(self, path: Path, cause: OSError) -> None:
        reason = (cause.strerror or str(cause)).lower()
        super().__init__(
            f"{path} cannot be written ({reason}): make room or choose another file with --dump"
        )
        self.path = path


FORESEEN: Final[Foreseen] = (
    (BrokerUnreachable, EXIT_TRY_LATER),
    (TryAgain, EXIT_TRY_LATER),
    (NotConfigured, EXIT_CONFIGURATION),
    (StoreError, EXIT_FAILED),
    (RegistryError, EXIT_TRY_LATER),
    (KafkaSettingsError, EXIT_CONFIGURATION),
    (FileSettingsError, EXIT_CONFIGURATION),
    (UnknownTopic, EXIT_CONFIGURATION),
    (ContractError, EXIT_FAILED),
    (KafkaIoError, EXIT_FAILED),
)
"""The packages name no exit codes; which failure means what is the app's decision."""
