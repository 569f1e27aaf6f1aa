"""The edge: holidays of the equities from exchange_calendars (XBOM, the BSE; NSE has the same)."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

from kite_contracts.sessions.holidays import Holidays, is_weekend

FIRST: Final = date(2000, 1, 1)


@lru_cache(maxsize=1)
def exchange_holidays() -> Holidays:
    """The holidays of all years that the installed exchange_calendars knows.

    Takes seconds the first time, for it imports pandas: call it before an event loop runs.
    """
    import exchange_calendars
    from exchange_calendars.exchange_calendar_xbom import XBOMExchangeCalendar

    last = XBOMExchangeCalendar.bound_max().date()
    calendar = XBOMExchangeCalendar(start=FIRST.isoformat(), end=last.isoformat())
    sessions = {session.date() for session in calendar.sessions}
    days = (date.fromordinal(n) for n in range(FIRST.toordinal(), last.toordinal() + 1))
    closed = frozenset(day for day in days if not is_weekend(day) and day not in sessions)
    return Holidays(
        FIRST, last, closed, f"exchange_calendars {exchange_calendars.__version__}, XBOM"
    )
