"""Everything that goes wrong in triage, split by the remedy.

    KiteError (kite_runtime.errors)        1   failed
    ├── UsageError                   2   wrong call: another argument
    │   └── NoSuchTopic                  no topic matches the names or patterns given
    ├── ConfigurationError          78   correct a setting or a file, start again
    │   └── SettingError                 a variable's value
    ├── TryAgainLater               75   a service is away: start again later
    ├── NotFound                     1   no failure or group of this id
    └── DumpFailed                   1   the file to write cannot be written

The numbers are the exit codes. Each message is one sentence with the remedy.
"""

from __future__ import annotations

from pathlib import Path

from kite_runtime.errors import KiteError, UsageError, reason_of


class NoSuchTopic(UsageError):
    """No topic of the broker matches what was asked for."""


class DumpFailed(KiteError):
    """The file cannot be written, or no longer."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"{path} cannot be written ({reason_of(cause)}): "
            "make room or choose another file with --dump"
        )
        self.path = path
