"""How much history one call of Kite may ask for, and a long span cut accordingly. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

DAYS_A_CALL: Final[Mapping[str, int]] = MappingProxyType(
    {
        "minute": 60,
        "3minute": 100,
        "5minute": 100,
        "10minute": 100,
        "15minute": 200,
        "30minute": 200,
        "60minute": 400,
        "day": 2000,
    }
)
"""Days by interval, as Kite calls it. Source: answers of Kite's staff in its forum."""


def spans(interval: str, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """``[since, until)`` in pieces of one call each, in order; none when it is empty.

    Raises ValueError for an interval that Kite does not have.
    """
    days = DAYS_A_CALL.get(interval)
    if days is None:
        raise ValueError(f"there is no interval {interval!r}: take one of {', '.join(DAYS_A_CALL)}")
    pieces = []
    while since < until:
        end = min(since + timedelta(days=days), until)
        pieces.append((since, end))
        since = end
    return pieces
