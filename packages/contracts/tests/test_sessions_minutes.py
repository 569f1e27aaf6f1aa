"""Expected bars, open or closed, and why no bar is there: one story told three times."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_rules import any_date, at, classes, delivered, file_dates, ns, segments

from kite_contracts.sessions import CauseKind, PhaseName
from kite_contracts.sessions.model import MINUTE_NS, day_of, midnight_ns


@pytest.mark.parametrize(
    ("segment", "stock_class", "day", "count", "first", "last"),
    [
        ("NSE", None, "2016-09-30", 375, "09:15", "15:29"),
        ("NSE", "fo-stock", "2026-08-03", 360, "09:15", "15:14"),
        ("NFO", None, "2026-08-03", 385, "09:15", "15:39"),
        ("NSE", None, "2024-03-02", 105, "09:15", "12:29"),
        ("NSE", None, "2021-02-24", 148 + 75, "09:15", "16:59"),
        ("NSE", None, "2024-11-01", 60, "18:00", "18:59"),
        ("MCX", None, "2026-08-03", 870, "09:00", "23:29"),
        ("MCX", None, "2026-11-24", 415, "17:00", "23:54"),
    ],
)
def test_expected_minutes(
    segment: str, stock_class: str | None, day: str, count: int, first: str, last: str
) -> None:
    found = delivered().expected_minutes(segment, date.fromisoformat(day), stock_class=stock_class)
    assert found.dtype.name == "int64"
    assert len(found) == count
    assert [found[0], found[-1]] == [ns(f"{day} {first}"), ns(f"{day} {last}")]


def test_minutes_of_other_phases() -> None:
    phases = (PhaseName.CONTINUOUS, PhaseName.CLOSING_AUCTION)
    found = delivered().expected_minutes("NSE", date(2026, 8, 3), phases, "fo-stock")
    assert len(found) == 380
    assert len(delivered().expected_minutes("NSE", date(2026, 8, 3), ())) == 0


MUHURAT_2020 = (
    ("18:07", CauseKind.PRE_OPEN),
    ("19:18", CauseKind.BREAK),
    ("19:25", CauseKind.POST_CLOSE),
)


def test_the_muhurat_bars_of_2020() -> None:
    """A vendor's file of the day: bars that begin at 18:15 ... 19:14, and three more."""
    bars = {ns(f"2020-11-14 {hour}:{minute:02}") for hour in (18, 19) for minute in range(60)}
    bars = {ts for ts in bars if ns("2020-11-14 18:15") <= ts < ns("2020-11-14 19:15")}
    extras = {ns(f"2020-11-14 {when}"): kind for when, kind in MUHURAT_2020}
    expected = set(delivered().expected_minutes("NSE", date(2020, 11, 14)).tolist())
    assert len(bars) == 60
    assert (bars | set(extras)) & expected == bars == expected
    for ts, kind in extras.items():
        cause = delivered().cause("NSE", ts)
        assert cause is not None
        assert cause.kind is kind


@pytest.mark.parametrize(
    ("segment", "stock_class", "when", "kind", "words"),
    [
        ("NSE", None, "2026-08-03 08:59", CauseKind.BEFORE_OPEN, "pre-open opens at 09:00"),
        ("NSE", None, "2026-08-03 09:07", CauseKind.PRE_OPEN, "09:00 to 09:15"),
        ("NSE", None, "2026-08-03 09:15", None, ""),
        ("NSE", None, "2026-08-03 15:29", None, ""),
        ("NSE", None, "2026-08-03 15:30", CauseKind.BREAK, "post-close opens at 15:50"),
        ("NSE", None, "2026-08-03 15:50", CauseKind.POST_CLOSE, "15:50 to 16:00"),
        ("NSE", None, "2026-08-03 16:00", CauseKind.AFTER_CLOSE, "closed at 16:00"),
        ("NSE", "fo-stock", "2026-08-03 15:20", CauseKind.CLOSING_AUCTION, "15:15 to 15:35"),
        ("NSE", None, "2026-08-02 12:00", CauseKind.WEEKEND, "Sunday"),
        ("NSE", None, "2026-01-26 12:00", CauseKind.HOLIDAY, "holiday of the equities"),
        ("MCX", "agri", "2026-11-24 12:00", CauseKind.HOLIDAY, "a part of the day"),
        ("MCX", None, "2026-11-24 12:00", CauseKind.BEFORE_OPEN, "opens at 17:00"),
        ("NSE", None, "2021-02-24 12:00", CauseKind.HALT, "halted from 11:43 to 15:30"),
        ("NSE", None, "2026-11-08 18:30", CauseKind.HOURS_UNKNOWN, "not known"),
        ("NSE", None, "2009-01-05 12:00", CauseKind.HOURS_UNKNOWN, "not in the file"),
    ],
)
def test_why_no_bar(
    segment: str, stock_class: str | None, when: str, kind: CauseKind | None, words: str
) -> None:
    cause = delivered().cause(segment, ns(when), stock_class)
    assert (cause and cause.kind) is kind
    assert cause is None or words in cause.sentence


@pytest.mark.parametrize(
    ("segment", "when", "expected"),
    [
        ("NSE", "2026-07-31 15:20", True),
        ("NSE", "2026-08-03 15:14", True),
        ("NSE", "2026-08-03 15:20", False),  # stocks with derivatives are in the auction
        ("INDICES", "2026-08-03 15:20", False),  # not verified
        ("NFO", "2026-08-03 15:35", True),
        ("MCX", "2026-08-03 16:59", True),
        ("MCX", "2026-08-03 17:00", False),  # agricultural commodities have closed
        ("MCX", "2026-11-24 18:00", False),
        ("CDS", "2021-06-01 09:30", False),
        ("CDS", "2021-06-01 10:00", True),
        ("NSE", "2024-11-01 18:30", True),
        ("NSE", "2027-01-26 12:00", True),  # assumed to trade: silence is to be seen
    ],
)
def test_surely_open(segment: str, when: str, expected: bool) -> None:
    assert delivered().surely_open(segment, ns(when)) is expected


@given(segments, any_date, classes)
def test_every_date_has_an_answer_with_ordered_phases(
    segment: str, day: date, stock_class: str | None
) -> None:
    found = delivered().day(segment, day, stock_class)
    assert (found.segment, found.date, found.stock_class) == (segment, day, stock_class)
    assert found.reason
    assert found.source
    assert found.is_trading or not found.phases
    edges = [edge for phase in found.phases for edge in (phase.opens_ns, phase.closes_ns)]
    assert edges == sorted(edges)
    assert all(phase.opens_ns < phase.closes_ns for phase in found.phases)
    start = midnight_ns(day)
    assert all(start <= edge <= start + 1440 * MINUTE_NS for edge in edges)
    assert all(edge % MINUTE_NS == 0 for edge in edges)


@given(segments, file_dates, classes, st.integers(0, 1439), st.integers(0, MINUTE_NS - 1))
def test_open_expected_and_cause_agree(
    segment: str, day: date, stock_class: str | None, minute: int, within: int
) -> None:
    calendar = delivered()
    opens = at(day, minute)
    expected = opens in set(
        calendar.expected_minutes(segment, day, stock_class=stock_class).tolist()
    )
    assert calendar.is_open(segment, opens + within, stock_class) is expected
    assert (calendar.cause(segment, opens + within, stock_class) is None) is expected
    if calendar.surely_open(segment, opens + within):
        assert expected


@given(any_date, st.integers(0, 86_400 * 1_000_000_000 - 1))
def test_a_day_is_that_of_its_times(day: date, within_ns: int) -> None:
    assert day_of(midnight_ns(day) + within_ns) == day
    assert midnight_ns(day + timedelta(days=1)) - midnight_ns(day) == 1440 * MINUTE_NS
