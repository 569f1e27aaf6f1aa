"""Everything that goes wrong in the bridge, split by what a person does about it.

    BridgeError                      1   failed
    ├── UsageError                   2   wrong call: another argument
    │   └── NotAJournalFile              the file given is no journal segment
    ├── ConfigurationError          78   correct a setting or a file, start again
    │   ├── SettingError                 a variable's value
    │   ├── MissingCredentials           Kite's key or token is not set
    │   ├── SubscriptionFileError        tokens.csv or a universe file
    │   ├── PortTaken                    the port of metrics or simulator is in use
    │   ├── JournalLocked                another bridge writes this journal
    │   └── JournalUnusable              the journal folder cannot be made or written
    ├── TryAgainLater               75   a service is away: start again later
    │   └── KafkaUnreachable
    └── JournalError                 1
        ├── JournalFull                  a record was not stored: count the loss, go on
        └── RecordTooLarge               a record above the limit: a bug of the caller

The numbers are the exit codes. Each message is one sentence that says what to do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Final

from broker_zerodha.errors import BrokerError
from broker_zerodha.simulator import ScriptError
from broker_zerodha.subscriptions import PlanError
from contracts.errors import ContractError
from contracts.errors import SettingsError as FileSettingsError
from kafka_io.errors import BrokerUnreachable, KafkaIoError, RegistryError, UnknownTopic
from kafka_io.errors import SettingsError as KafkaSettingsError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_FINDINGS: Final = 3
EXIT_TRY_LATER: Final = 75
EXIT_CONFIGURATION: Final = 78
EXIT_INTERRUPTED: Final = 130


class BridgeError(Exception):
    """Base of everything that the bridge raises on purpose."""

    exit_code: ClassVar[int] = EXIT_FAILED


class UsageError(BridgeError):
    """The command was called wrongly."""

    exit_code = EXIT_USAGE


class NotAJournalFile(UsageError):
    """A file given to ``replay`` or ``decode`` is not there or holds no journal record."""


class ConfigurationError(BridgeError):
    """A setting or a file that a person wrote is wrong."""

    exit_code = EXIT_CONFIGURATION


class SettingError(ConfigurationError):
    """One variable has a wrong value. The message never quotes a secret."""

    def __init__(self, variable: str, problem: str, example: str) -> None:
        super().__init__(f"{variable} {problem}, for example {variable}={example}")
        self.variable = variable


class MissingCredentials(ConfigurationError):
    """The live bridge needs credentials that are not set."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"no Kite credentials: set {' and '.join(missing)} in .env or the environment, "
            "or try the bridge without any: `ws_bridge demo` and `ws_bridge smoke`"
        )
        self.missing = missing


class SubscriptionFileError(ConfigurationError):
    """A subscription file is wrong: names file, line, problem and remedy."""

    def __init__(self, path: Path, line: int | None, problem: str, remedy: str) -> None:
        place = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {problem}; {remedy}")
        self.path = path
        self.line = line


class PortTaken(ConfigurationError):
    """A port that a person chose cannot be opened; ``example`` is how another is chosen."""

    def __init__(self, port: int, cause: OSError, example: str) -> None:
        reason = os.strerror(cause.errno) if cause.errno else str(cause)
        super().__init__(
            f"port {port} cannot be opened ({reason.lower()}): stop the program that has it, "
            f"or choose another, for example {example} (0 takes any free one)"
        )
        self.port = port


class JournalLocked(ConfigurationError):
    """Another process holds the journal's folder."""

    def __init__(self, directory: Path, holder: str) -> None:
        who = f"process {holder}" if holder else "another process"
        super().__init__(
            f"the journal {directory} belongs to a running bridge ({who}): stop that one, "
            "or give this one a name of its own, for example WS_BRIDGE_NAME=second"
        )
        self.directory = directory


class JournalUnusable(ConfigurationError):
    """The journal's folder cannot be created, read or written."""

    def __init__(self, directory: Path, cause: OSError) -> None:
        reason = cause.strerror or str(cause)
        super().__init__(
            f"the journal folder {directory} cannot be used ({reason.lower()}): "
            "free or correct it, or set another, for example "
            "WS_BRIDGE_JOURNAL_DIR=/var/lib/ws_bridge/journal"
        )
        self.directory = directory


class TryAgainLater(BridgeError):
    """A service that the bridge needs does not answer."""

    exit_code = EXIT_TRY_LATER


class KafkaUnreachable(TryAgainLater):
    """No Kafka broker answers."""


class JournalError(BridgeError):
    """The journal could not do what it was asked."""


class JournalFull(JournalError):
    """The record was NOT stored: no room, or the disk refuses writes.

    The caller counts the loss and goes on; the next append tries again by itself.
    """


class RecordTooLarge(JournalError):
    """A payload above ``PAYLOAD_BYTES_MAX``, or a header field outside its range."""


_TRY_LATER: Final = (BrokerUnreachable, RegistryError)
_CONFIGURATION: Final = (KafkaSettingsError, FileSettingsError, UnknownTopic, PlanError)
_USAGE: Final = (ScriptError,)

FORESEEN: Final = (BridgeError, BrokerError, ContractError, KafkaIoError, OSError)
"""Errors whose text is a sentence for the user."""


def exit_code_of(error: BaseException) -> int:
    """The exit code for any error: our own, else what a package's error asks of a person, else 1.

    The packages name no exit codes; which failure means what is the app's decision.
    """
    if isinstance(error, BridgeError):
        return error.exit_code
    for kinds, code in (
        (_TRY_LATER, EXIT_TRY_LATER),
        (_CONFIGURATION, EXIT_CONFIGURATION),
        (_USAGE, EXIT_USAGE),
    ):
        if isinstance(error, kinds):
            return code
    return EXIT_FAILED
