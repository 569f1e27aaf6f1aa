"""The errors of this app, below those that every app has, by what the caller does.

AppError                         1
├── DumpRefused                      the last good master stays; get another dump
├── NotFound                         ask for something else
├── ExportFailed                     a universe could not be written; the others are
├── LoginDead                        log in again
UsageError                       2
├── FileUnusable                     a file named on the command line
├── ExpressionError                  words that are no expression
ConfigurationError              78
├── UniverseError                    configs/universes.toml is wrong
├── OutputUnusable                   a file cannot be written
TryAgainLater                   75
└── NotPublished                     recorded, but not in Kafka: run again
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kite_bars_store.errors import NotConfigured, StoreError, TryAgain
from kite_broker_zerodha.errors import (
    AuthRefused,
    BrokerError,
    CredentialsError,
    EndpointError,
    KiteUnavailable,
    ListenFailed,
)
from kite_contracts.errors import ContractError
from kite_contracts.errors import SettingsError as FileSettingsError
from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError, RegistryError, UnknownTopic
from kite_kafka_io.errors import SettingsError as KafkaSettingsError
from kite_runtime.errors import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_TRY_LATER,
    AppError,
    ConfigurationError,
    Foreseen,
    TryAgainLater,
    UsageError,
)


class DumpRefused(AppError):
    """A dump that must not replace the last good master."""


class NotFound(AppError):
    """Nothing is known by this symbol, token or expression."""


class ExportFailed(AppError):
    """A file could not be made; the others were."""


class LoginDead(AppError):
    """There is no live access token."""


class FileUnusable(UsageError):
    """A file that the command line names cannot be read."""

    def __init__(self, path: Path, cause: OSError) -> None:
        reason = (cause.strerror or str(cause)).lower()
        super().__init__(f"{path} cannot be read ({reason}): give a file that can be")


class ExpressionError(UsageError):
    """The words of a lookup are neither a symbol, nor a token, nor an expression."""


class UniverseError(ConfigurationError):
    """The file of universes is wrong: names file, universe, problem and remedy."""

    def __init__(self, path: Path, universe: str | None, problem: str) -> None:
        place = f"{path}" if universe is None else f"{path}, universe {universe}"
        super().__init__(f"{place}: {problem}")
        self.path = path


class OutputUnusable(ConfigurationError):
    """A file cannot be written; what was there is still there."""

    def __init__(self, path: Path, cause: OSError) -> None:
        reason = (cause.strerror or str(cause)).lower()
        super().__init__(f"{path} cannot be written ({reason}): correct it, or name another place")


class NotPublished(TryAgainLater):
    """The history has it, the topic has not."""


FORESEEN: Final[Foreseen] = (
    (TryAgain, EXIT_TRY_LATER),
    (NotConfigured, EXIT_CONFIGURATION),
    (StoreError, EXIT_FAILED),
    (BrokerUnreachable, EXIT_TRY_LATER),
    (RegistryError, EXIT_TRY_LATER),
    (KafkaSettingsError, EXIT_CONFIGURATION),
    (UnknownTopic, EXIT_CONFIGURATION),
    (KafkaIoError, EXIT_FAILED),
    (KiteUnavailable, EXIT_TRY_LATER),
    (CredentialsError, EXIT_CONFIGURATION),
    (EndpointError, EXIT_CONFIGURATION),
    (ListenFailed, EXIT_CONFIGURATION),
    (AuthRefused, EXIT_FAILED),
    (BrokerError, EXIT_FAILED),
    (FileSettingsError, EXIT_CONFIGURATION),
    (ContractError, EXIT_FAILED),
)
"""What each error of a package means here; subclasses stand before their base."""
