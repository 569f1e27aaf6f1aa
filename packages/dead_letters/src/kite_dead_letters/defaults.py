"""Defaults that the command line shows; it loads nothing heavy."""

from __future__ import annotations

from typing import Final

GROUP: Final = "dlq-triage"
"""The consumer group of the intake."""
ATTEMPTS_MAX: Final = 3
STALE_AFTER_S: Final = 60.0
