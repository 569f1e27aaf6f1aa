"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(time: datetime) -> str:
    """A time for people, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
