"""What a command tells its caller: exit codes, and the errors that carry them.

    AppError                         1   failed
    ├── UsageError                   2   wrong call: another argument
    ├── ConfigurationError          78   correct a setting or a file, start again
    │   ├── SettingError                 a variable's value
    │   └── PortTaken                    a port that is in use
    ├── TryAgainLater               75   a service is away: start again later
    └── Interrupted                130   a person ended it by Ctrl-C

Each message is one sentence that says what to do. An app adds its own below these.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, Final

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_FINDINGS: Final = 3
EXIT_TRY_LATER: Final = 75
EXIT_CONFIGURATION: Final = 78
EXIT_INTERRUPTED: Final = 130

Foreseen = Sequence[tuple[type[Exception], int]]
"""Errors of packages whose text is a sentence for the user, with the exit code that the app gives
them; the first that fits counts, so subclasses stand before their base."""


class AppError(Exception):
    """Base of everything that an app raises on purpose."""

    exit_code: ClassVar[int] = EXIT_FAILED


class UsageError(AppError):
    """The command was called wrongly."""

    exit_code = EXIT_USAGE


class ConfigurationError(AppError):
    """A setting or a file that a person wrote is wrong."""

    exit_code = EXIT_CONFIGURATION


class SettingError(ConfigurationError):
    """One variable has a wrong value. The message never quotes a secret."""

    def __init__(self, variable: str, problem: str, example: str) -> None:
        super().__init__(f"{variable} {problem}, for example {variable}={example}")
        self.variable = variable


class PortTaken(ConfigurationError):
    """A port that a person chose cannot be opened; ``example`` is how another is chosen."""

    def __init__(self, port: int, cause: OSError, example: str) -> None:
        reason = os.strerror(cause.errno) if cause.errno else str(cause)
        super().__init__(
            f"port {port} cannot be opened ({reason.lower()}): stop the program that has it, "
            f"or choose another, for example {example} (0 takes any free one)"
        )
        self.port = port


class TryAgainLater(AppError):
    """A service that the command needs does not answer."""

    exit_code = EXIT_TRY_LATER


class Interrupted(AppError):
    """Ctrl-C; an error of ours because Typer turns a KeyboardInterrupt into a silent exit."""

    exit_code = EXIT_INTERRUPTED

    def __init__(self) -> None:
        super().__init__("stopped by Ctrl-C")


def exit_code_of(error: BaseException, foreseen: Foreseen = ()) -> int:
    """The exit code for any error: our own, else what the app decided for a package's, else 1."""
    if isinstance(error, AppError):
        return error.exit_code
    return next((code for kind, code in foreseen if isinstance(error, kind)), EXIT_FAILED)


def is_foreseen(error: BaseException, foreseen: Foreseen = ()) -> bool:
    """Whether the error's text is a sentence for the user, and not the trace of a defect."""
    return isinstance(error, (AppError, OSError, *(kind for kind, _ in foreseen)))
