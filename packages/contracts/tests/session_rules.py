"""What the tests of the session calendar share: holidays without pandas, times, Hypothesis."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import lru_cache

from hypothesis import strategies as st

from kite_contracts.sessions import SEGMENTS, Holidays, SessionCalendar
from kite_runtime.clock import IST

HOLIDAYS = Holidays(
    date(2010, 1, 1),
    date(2026, 12, 31),
    frozenset(
        {
            date(2018, 11, 7),
            date(2021, 11, 4),
            date(2024, 1, 22),
            date(2024, 11, 1),
            date(2025, 10, 21),
            date(2026, 1, 26),
            date(2026, 11, 24),
        }
    ),
    "the test",
)
CLASSES = (None, "fo-stock", "agri", "agri-international")

segments = st.sampled_from(SEGMENTS)
classes = st.sampled_from(CLASSES)
any_date = st.dates(date(1990, 1, 1), date(2040, 12, 31))
file_dates = st.dates(date(2015, 1, 1), date(2027, 12, 31))


@lru_cache(maxsize=1)
def delivered() -> SessionCalendar:
    """The delivered rules with the few holidays above."""
    return SessionCalendar.load(holidays=HOLIDAYS)


def ns(when: str) -> int:
    """``2026-08-03 15:20`` in India as nanoseconds."""
    return int(datetime.fromisoformat(when).replace(tzinfo=IST).timestamp()) * 1_000_000_000


def at(day: date, minute: int) -> int:
    """A minute of a day in India as nanoseconds."""
    midnight = datetime.combine(day, time(), IST)
    return (int(midnight.timestamp()) + 60 * minute) * 1_000_000_000
