"""The holidays of the equities, as far as somebody knows them. Pure: a value.

They come from `exchange_holidays`; a day that is wrong there is corrected in configs/sessions.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

SATURDAY: Final = 5


@dataclass(frozen=True)
class Holidays:
    """The weekdays from ``first`` to ``last``, both included, on which equities do not trade.

    ``source`` names who says so. Nothing is known of days outside.
    """

    first: date
    last: date
    closed: frozenset[date]
    source: str

    def knows(self, day: date) -> bool:
        return self.first <= day <= self.last


def is_weekend(day: date) -> bool:
    return day.weekday() >= SATURDAY
