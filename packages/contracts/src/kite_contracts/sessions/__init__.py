"""When each segment of the exchanges trades, as data with a date and a source.

    from kite_contracts.sessions import SessionCalendar

    calendar = SessionCalendar.load()                       # seconds: it imports pandas
    day = calendar.day("NFO", date(2026, 8, 3))             # phases, reason, source
    calendar.expected_minutes("NSE", day.date)              # int64 ns, the opening of each bar
    calendar.cause("NSE", ts_ns)                            # why no bar belongs there

The rules are in ``sessions.toml`` (the packaged one, or a file of your own). All modules are pure
but ``exchange_holidays``, the one that knows where holidays come from.
"""

from kite_contracts.sessions.calendar import SessionCalendar
from kite_contracts.sessions.exchange_holidays import exchange_holidays
from kite_contracts.sessions.holidays import Holidays
from kite_contracts.sessions.model import (
    CLASSES,
    INDICES,
    SEGMENTS,
    Cause,
    CauseKind,
    DayKind,
    Phase,
    PhaseName,
    TradingDay,
)

__all__ = [
    "CLASSES",
    "INDICES",
    "SEGMENTS",
    "Cause",
    "CauseKind",
    "DayKind",
    "Holidays",
    "Phase",
    "PhaseName",
    "SessionCalendar",
    "TradingDay",
    "exchange_holidays",
]
