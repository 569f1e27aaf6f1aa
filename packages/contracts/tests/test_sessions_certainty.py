"""What the calendar is not certain of: old years, and those that are still to come."""

from __future__ import annotations

from datetime import date

import pytest
from session_rules import HOLIDAYS, delivered

from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.parse import default_text, parse_rules
from kite_runtime.errors import ConfigurationError


@pytest.mark.parametrize(
    ("day", "unverified"),
    [
        ("2012-11-13", True),  # Muhurat, which the file does not have
        ("2014-03-22", True),  # a Saturday with a session
        ("2015-11-11", True),  # Muhurat
        ("2015-12-31", True),
        ("2016-01-01", False),
        ("2016-10-30", False),  # Muhurat, which the file has
        ("2026-11-20", False),
    ],
)
def test_days_before_2016_are_not_certain(day: str, unverified: bool) -> None:
    for segment in ("NSE", "NFO"):
        found = delivered().day(segment, date.fromisoformat(day))
        assert found.is_unverified is unverified
        if unverified:
            assert found.is_assumed
            assert "before 2016-01-01 are not verified" in found.reason or not found.phases


def test_a_day_of_the_file_is_certain_whenever_it_was() -> None:
    own = '[[day]]\ndates = [2015-11-11]\nsegments = ["NSE"]\nkind = "muhurat"\n'
    own += 'phases = ["continuous 17:45-18:45"]\nsource = "a circular"\n'
    calendar = SessionCalendar(parse_rules(default_text() + own, "test"), HOLIDAYS)
    found = calendar.day("NSE", date(2015, 11, 11))
    assert (found.is_unverified, found.is_assumed, len(found.minutes())) == (False, False, 60)
    assert calendar.day("BSE", date(2015, 11, 11)).is_unverified


def test_the_first_verified_day_is_a_setting() -> None:
    text = default_text().replace("verified_since = 2016-01-01", "verified_since = 2020-01-01")
    calendar = SessionCalendar(parse_rules(text, "test"), HOLIDAYS)
    assert calendar.day("NSE", date(2019, 12, 31)).is_unverified
    without = default_text().replace("verified_since = 2016-01-01\n", "")
    assert (
        SessionCalendar(parse_rules(without, "x"), HOLIDAYS)
        .day("NSE", date(2015, 1, 1))
        .is_unverified
    )
    with pytest.raises(ConfigurationError, match="verified_since"):
        parse_rules(default_text().replace("since = 2016-01-01", 'since = "x"'), "test")


@pytest.mark.parametrize(
    ("segment", "today", "warned"),
    [
        ("NSE", date(2026, 11, 1), False),
        ("NSE", date(2026, 11, 2), True),
        ("NSE", date(2026, 12, 31), True),
        ("NSE", date(2027, 1, 5), True),
        ("MCX", date(2026, 11, 2), True),
    ],
)
def test_a_calendar_that_ends_soon_reports_it(segment: str, today: date, warned: bool) -> None:
    found = delivered().ends_soon(segment, today)
    assert (found is not None) is warned
    if found is not None:
        assert str(delivered().facts_end(segment)) in found


def test_a_segment_whose_holidays_were_never_known_has_no_end_to_warn_of() -> None:
    assert delivered().facts_end("MCXSX") is None
    assert delivered().ends_soon("MCXSX", date(2026, 12, 1)) is None
