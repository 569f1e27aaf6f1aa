"""When the simulator's contracts end, and what Kite calls them. Pure.

The weekdays are those of 2026 (NSE Tuesday, BSE Thursday); holidays are not looked at.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

MONTHS: Final = ("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC").split()
_WEEKLY_MONTHS: Final = "123456789OND"
TUESDAY: Final = 1
THURSDAY: Final = 3


def weeklies(day: date, weekday: int, count: int) -> list[date]:
    """The next ``count`` days of this weekday (Monday is 0), ``day`` itself included."""
    first = day + timedelta(days=(weekday - day.weekday()) % 7)
    return [first + timedelta(weeks=number) for number in range(count)]


def monthlies(day: date, weekday: int, count: int) -> list[date]:
    """The last such weekday of this month, if it is still to come, and of the following ones."""
    found: list[date] = []
    first = day.replace(day=1)
    while len(found) < count:
        following = (first + timedelta(days=32)).replace(day=1)
        last = following - timedelta(days=1)
        last -= timedelta(days=(last.weekday() - weekday) % 7)
        if last >= day:
            found.append(last)
        first = following
    return found


def contract_name(underlying: str, expiry: date, suffix: str) -> str:
    """``NIFTY26AUG`` + suffix when the expiry is its weekday's last of the month, as Kite names
    monthly contracts; else ``NIFTY`` + year + one character for the month + day."""
    if (expiry + timedelta(weeks=1)).month != expiry.month:
        return f"{underlying}{expiry:%y}{MONTHS[expiry.month - 1]}{suffix}"
    return f"{underlying}{expiry:%y}{_WEEKLY_MONTHS[expiry.month - 1]}{expiry:%d}{suffix}"
