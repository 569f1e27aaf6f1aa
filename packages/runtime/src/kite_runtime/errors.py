"""What goes wrong on purpose, by what the caller does about it: each class has its exit code.

Each message is one sentence that says what to do and holds no secret. The errors of every package
derive from these, so a program needs no table of exit codes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Final

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_FINDINGS: Final = 3
EXIT_TRY_LATER: Final = 75
EXIT_CONFIGURATION: Final = 78
EXIT_INTERRUPTED: Final = 130


class KiteError(Exception):
    """Base of everything that is raised on purpose."""

    exit_code: ClassVar[int] = EXIT_FAILED


class UsageError(KiteError):
    """The command was called wrongly."""

    exit_code = EXIT_USAGE


class InputUnusable(UsageError):
    """A file that the command line names cannot be read."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path} cannot be read ({reason_of(cause)}): give a file that can be")


class ConfigurationError(KiteError):
    """A setting or a file that a person wrote is wrong."""

    exit_code = EXIT_CONFIGURATION


class SettingError(ConfigurationError):
    """One variable has a wrong value. The message never quotes a secret."""

    def __init__(self, variable: str, problem: str, example: str) -> None:
        super().__init__(f"{variable} {problem}, for example {variable}={example}")
        self.variable = variable


class OutputUnusable(ConfigurationError):
    """A file cannot be written; what was there is still there."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"{path} cannot be written ({reason_of(cause)}): correct it, or name another place"
        )


class PortTaken(ConfigurationError):
    """A port that a person chose cannot be opened; ``example`` is how another is chosen."""

    def __init__(self, port: int, cause: OSError, example: str) -> None:
        super().__init__(
            f"port {port} cannot be opened ({reason_of(cause)}): stop the program that has it, "
            f"or choose another, for example {example} (0 takes any free one)"
        )
        self.port = port


class NotFound(KiteError):
    """There is nothing of the name, id or day asked for."""


class TryAgainLater(KiteError):
    """A service that the command needs does not answer."""

    exit_code = EXIT_TRY_LATER


class Interrupted(KiteError):
    """Ctrl-C; an error of ours because Typer turns a KeyboardInterrupt into a silent exit."""

    exit_code = EXIT_INTERRUPTED

    def __init__(self) -> None:
        super().__init__("stopped by Ctrl-C")


def exit_code_of(error: BaseException) -> int:
    return error.exit_code if isinstance(error, KiteError) else EXIT_FAILED


def is_foreseen(error: BaseException) -> bool:
    """Whether the error's text is a sentence for the user, and not the trace of a defect."""
    return isinstance(error, KiteError | OSError)


def reason_of(error: OSError) -> str:
    """The operating system's reason in lower case, to stand in the middle of a sentence."""
    return (os.strerror(error.errno) if error.errno else error.strerror or str(error)).lower()
