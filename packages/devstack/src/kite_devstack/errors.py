"""The errors of this package, split by what the caller does about them.

DevstackError                 one sentence for the user; ``exit_code`` for the process
├── ConfigError         78    a setting is wrong: correct it
├── UnreachableError    75    nothing is wrong here, something that should answer is away: try later
└── FailedError          1    something is wrong on this machine: act, then try again
    └── StartError            a server did not start; its last log line is quoted
"""

from __future__ import annotations

from kite_runtime.errors import ConfigurationError, KiteError, TryAgainLater


class DevstackError(KiteError):
    """Base of all errors here; the message is one sentence with the remedy."""


class ConfigError(DevstackError, ConfigurationError):
    """A setting has a wrong value."""


class UnreachableError(DevstackError, TryAgainLater):
    """The broker, the database or the package repository does not answer."""


class FailedError(DevstackError):
    """This machine could not do it."""


class StartError(FailedError):
    """A server process ended or stayed silent instead of becoming ready."""
