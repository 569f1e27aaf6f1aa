"""The errors of this package, split by what the caller does about them.

DevstackError                 one sentence for the user; ``exit_code`` for the process
├── ConfigError         78    a setting is wrong: correct it
├── TryLaterError       75    nothing is wrong here: try again later
│   ├── FetchError            the package repository could not be reached
│   └── UnreachableError      a broker or database that should answer does not
└── FailedError          1    something is wrong on this machine: act, then try again
    ├── CorruptJarError       a fetched file is not the one in the lock (it was deleted)
    ├── PortTakenError        another program listens on the wanted port
    ├── DiskFullError         no space left for jars or data
    ├── StartError            a server did not start; its last log line is quoted
    └── TopicsError           the broker refused to create or alter a topic
"""

from __future__ import annotations

from kite_runtime.errors import ConfigurationError, KiteError, TryAgainLater


class DevstackError(KiteError):
    """Base of all errors here; the message is one sentence with the remedy."""


class ConfigError(DevstackError, ConfigurationError):
    """A setting has a wrong value."""


class TryLaterError(DevstackError, TryAgainLater):
    """Something that should answer is away for now."""


class FetchError(TryLaterError):
    """Kafka's jars could not be fetched."""


class UnreachableError(TryLaterError):
    """The broker or the database does not answer."""


class FailedError(DevstackError):
    """This machine could not do it."""


class CorruptJarError(FailedError):
    """A fetched jar has another SHA-256 than the lock says."""


class PortTakenError(FailedError):
    """The wanted port is in use."""


class DiskFullError(FailedError):
    """There is no space left on the device."""


class StartError(FailedError):
    """A server process ended or stayed silent instead of becoming ready."""


class TopicsError(FailedError):
    """The broker refused a change of topics."""
