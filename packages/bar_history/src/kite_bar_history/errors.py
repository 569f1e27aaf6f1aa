"""The errors of this app, below those that every app has, by what the caller does.

AppError                         1
├── NotFound                         ask for something else
UsageError                       2
├── FileUnusable                     a file named on the command line
ConfigurationError              78
├── VendorFileError                  configs/vendor.toml is wrong
├── OutputUnusable                   a file cannot be written
TryAgainLater                   75
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
    UsageError,
)


class NotFound(AppError):
    """Nothing is known by this symbol, or of this minute."""


class FileUnusable(UsageError):
    """A file that the command line names cannot be read."""

    def __init__(self, path: Path, cause: OSError) -> None:
        reason = (cause.strerror or str(cause)).lower()
        super().__init__(f"{path} cannot be read ({reason}): give a file that can be")


class VendorFileError(ConfigurationError):
    """The file of vendor layouts is wrong: names file, layout, problem and remedy."""

    def __init__(self, path: Path, layout: str | None, problem: str) -> None:
        place = f"{path}" if layout is None else f"{path}, layout {layout}"
        super().__init__(f"{place}: {problem}")


class OutputUnusable(ConfigurationError):
    """A file cannot be written; what was there is still there."""

    def __init__(self, path: Path, cause: OSError) -> None:
        reason = (cause.strerror or str(cause)).lower()
        super().__init__(f"{path} cannot be written ({reason}): correct it, or name another place")


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
    (AuthRefused, EXIT_FAILED),
    (BrokerError, EXIT_FAILED),
    (FileSettingsError, EXIT_CONFIGURATION),
    (ContractError, EXIT_FAILED),
)
"""What each error of a package means here; subclasses stand before their base."""
