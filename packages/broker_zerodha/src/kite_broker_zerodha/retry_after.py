"""How long Kite asks to wait: the Retry-After header of an answer, and of a refused connection."""

from __future__ import annotations

from typing import Final

RETRY_AFTER_MAX_S: Final = 60.0


def retry_after_seconds(text: str) -> float:
    """Seconds of the header, at most a minute; 0 for none, a date or nonsense."""
    return min(float(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else 0.0
