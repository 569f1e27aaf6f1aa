"""The errors of this app, below those that every app has, by what the caller does.

KiteError                         1
├── ExportFailed                     a universe could not be written; the others are
├── LoginDead                        log in again
TryAgainLater                   75
└── NotPublished                     recorded, but not in Kafka: run again
"""

from __future__ import annotations

from kite_runtime.errors import KiteError, TryAgainLater


class ExportFailed(KiteError):
    """A file could not be made; the others were."""


class LoginDead(KiteError):
    """There is no live access token."""


class NotPublished(TryAgainLater):
    """The history has it, the topic has not."""
