"""Everything that goes wrong in the bridge; each message is one sentence with the remedy.

The exit codes are those of ``kite_runtime.errors``.
"""

from __future__ import annotations

from pathlib import Path

from kite_runtime.errors import ConfigurationError, KiteError, TryAgainLater, UsageError


class NotAJournalFile(UsageError):
    """A file given to ``replay`` or ``decode`` is not there or holds no journal record."""


class MissingCredentials(ConfigurationError):
    """The live bridge needs credentials that are not set."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"no Kite credentials: set {' and '.join(missing)} in .env or the environment "
            "(`instruments auth` logs in and keeps the token in token.json), or try the bridge "
            "without any: `ws_bridge demo` and `ws_bridge smoke`"
        )
        self.missing = missing


class JournalLocked(ConfigurationError):
    """Another process holds the journal's folder."""

    def __init__(self, directory: Path, holder: str) -> None:
        who = f"process {holder}" if holder else "another process"
        super().__init__(
            f"the journal {directory} belongs to a running bridge ({who}): stop that one, "
            "or give this one a name of its own, for example WS_BRIDGE_NAME=second (or, where "
            "both share out one feed's instruments, a WS_BRIDGE_JOURNAL_DIR)"
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


class KafkaUnreachable(TryAgainLater):
    """No Kafka broker answers."""


class JournalError(KiteError):
    """The journal could not do what it was asked."""


class RefusedFileError(JournalError):
    """A file of refused records cannot be read; names file, line and remedy."""


class JournalFull(JournalError):
    """The record was NOT stored: no room, or the disk refuses writes.

    The caller counts the loss and goes on; the next append tries again by itself.
    """


class RecordTooLarge(JournalError):
    """A payload above ``PAYLOAD_BYTES_MAX``, or a header field outside its range."""
