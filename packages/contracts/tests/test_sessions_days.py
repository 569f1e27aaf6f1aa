"""The delivered sessions.toml, day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from session_rules import delivered

from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import DayKind, TradingDay
from kite_runtime.clock import IST


def written(day: TradingDay) -> str:
    """The phases as the file writes them, without those around the trading."""
    wanted = [each for each in day.phases if each.name in ("continuous", "halt", "closing-auction")]
    return ", ".join(
        f"{each.name} {each.opens:%H:%M}-{each.closes:%H:%M}{'' if each.is_sure else ' unsure'}"
        for each in wanted
    )


@pytest.mark.parametrize(
    ("segment", "stock_class", "day", "expected"),
    [
        ("NSE", None, "2016-09-30", "continuous 09:15-15:30"),
        ("NSE", "fo-stock", "2026-07-31", "continuous 09:15-15:30"),
        ("NSE", "fo-stock", "2026-08-03", "continuous 09:15-15:15, closing-auction 15:15-15:35"),
        ("BSE", "fo-stock", "2026-08-03", "continuous 09:15-15:15, closing-auction 15:15-15:35"),
        ("NSE", None, "2026-08-03", "continuous 09:15-15:30"),
        ("INDICES", None, "2026-08-03", "continuous 09:15-15:15, continuous 15:15-15:30 unsure"),
        ("NFO", None, "2026-07-31", "continuous 09:15-15:30"),
        ("NFO", None, "2026-08-03", "continuous 09:15-15:40"),
        ("BFO", None, "2026-08-03", "continuous 09:15-15:40"),
        ("CDS", None, "2026-08-03", "continuous 09:00-17:00"),
        ("MCX", None, "2017-03-13", "continuous 10:00-23:30"),
        ("MCX", None, "2018-12-28", "continuous 10:00-23:55"),
        ("MCX", None, "2018-12-31", "continuous 09:00-23:55"),
        ("MCX", None, "2020-04-22", "continuous 09:00-17:00"),
        ("MCX", None, "2020-04-23", "continuous 09:00-23:30"),
        # American daylight saving time: 2026-03-08 to 2026-11-01, both Sundays.
        ("MCX", None, "2026-03-06", "continuous 09:00-23:55"),
        ("MCX", None, "2026-03-09", "continuous 09:00-23:30"),
        ("MCX", None, "2026-10-30", "continuous 09:00-23:30"),
        ("MCX", None, "2026-11-02", "continuous 09:00-23:55"),
        ("MCX", "agri", "2026-11-02", "continuous 09:00-17:00"),
        ("MCX", "agri-international", "2026-11-02", "continuous 09:00-21:00"),
        # Halts and long days.
        (
            "NSE",
            None,
            "2021-02-24",
            "continuous 09:15-11:40, continuous 11:40-11:43 unsure, halt 11:43-15:30, "
            "continuous 15:45-17:00",
        ),
        (
            "NFO",
            None,
            "2021-02-24",
            "continuous 09:15-11:40, halt 11:40-15:45, continuous 15:45-17:00",
        ),
        (
            "NSE",
            None,
            "2020-03-23",
            "continuous 09:15-09:59, halt 09:59-10:43, continuous 10:58-15:30",
        ),
        ("MCX", None, "2025-10-28", "continuous 13:25-23:30"),
        # Weekends that traded.
        ("NSE", None, "2024-03-02", "continuous 09:15-10:00, continuous 11:30-12:30"),
        ("NFO", None, "2024-05-18", "continuous 09:15-10:00, continuous 11:30-12:30"),
        ("NSE", None, "2025-02-01", "continuous 09:15-15:30"),
        ("NSE", None, "2026-02-01", "continuous 09:15-15:30"),
        ("MCX", None, "2026-02-01", "continuous 09:00-17:00"),
        ("MCX", None, "2024-03-02", ""),
        # Muhurat.
        ("NSE", None, "2020-11-14", "continuous 18:15-19:15"),
        ("MCX", None, "2020-11-14", "continuous 18:15-19:15"),
        ("NSE", "fo-stock", "2024-11-01", "continuous 18:00-19:00"),
        ("NFO", None, "2025-10-21", "continuous 13:45-14:45"),
        ("NSE", None, "2026-11-08", ""),
        # A closed morning, a closed evening.
        ("MCX", None, "2026-11-24", "continuous 17:00-23:55"),
        ("MCX", "agri-international", "2026-11-24", "continuous 17:00-21:00"),
        ("MCX", "agri", "2026-11-24", ""),
        ("MCX", None, "2026-01-01", "continuous 09:00-17:00"),
        # Holidays.
        ("NSE", None, "2026-01-26", ""),
        ("CDS", None, "2026-08-26", ""),
        ("NSE", None, "2026-08-26", "continuous 09:15-15:30"),
    ],
)
def test_hours(segment: str, stock_class: str | None, day: str, expected: str) -> None:
    assert written(delivered().day(segment, date.fromisoformat(day), stock_class)) == expected


@pytest.mark.parametrize(
    ("segment", "stock_class", "day", "kind", "is_trading", "is_assumed"),
    [
        ("NSE", None, "2026-08-03", DayKind.REGULAR, True, False),
        ("NSE", None, "2026-08-02", DayKind.WEEKEND, False, False),
        ("NSE", None, "2026-01-26", DayKind.HOLIDAY, False, False),
        ("NSE", None, "2024-11-01", DayKind.MUHURAT, True, False),
        ("NSE", None, "2024-03-02", DayKind.SPECIAL, True, False),
        ("NSE", None, "2021-02-24", DayKind.HALT, True, False),
        ("MCX", None, "2026-11-24", DayKind.HALF, True, False),
        ("MCX", "agri", "2026-11-24", DayKind.HALF, False, False),
        ("CDS", None, "2026-08-26", DayKind.HOLIDAY, False, False),
        # Its date was announced, its hours were not.
        ("NSE", None, "2026-11-08", DayKind.MUHURAT, True, True),
        # Holidays are known until the end of 2026.
        ("NSE", None, "2027-01-26", DayKind.REGULAR, True, True),
        ("NSE", None, "2027-01-30", DayKind.WEEKEND, False, False),
        # The holidays of these segments in these years are not in the file.
        ("MCX", None, "2024-01-22", DayKind.HOLIDAY, False, True),
        ("CDS", None, "2024-09-16", DayKind.REGULAR, True, True),
        ("MCX", None, "2026-01-26", DayKind.HOLIDAY, False, False),
        # Before the records.
        ("NSE", None, "2009-01-05", DayKind.UNKNOWN, True, True),
        ("MCX", None, "2015-01-05", DayKind.UNKNOWN, True, True),
    ],
)
def test_what_a_day_is(
    segment: str,
    stock_class: str | None,
    day: str,
    kind: DayKind,
    is_trading: bool,
    is_assumed: bool,
) -> None:
    found = delivered().day(segment, date.fromisoformat(day), stock_class)
    assert (found.kind, found.is_trading, found.is_assumed) == (kind, is_trading, is_assumed)
    assert found.reason
    assert found.source


def test_a_day_says_why_and_who_says_so() -> None:
    day = delivered().day("NFO", date(2026, 8, 3))
    assert day.reason == "usual hours since 2026-08-03"
    assert "NSE/FAOP/74467" in day.source
    guess = delivered().day("NSE", date(2027, 1, 4))
    assert guess.reason.endswith("assumed: holidays are known from 2010-01-01 to 2026-12-31")


def test_a_phase_has_aware_times() -> None:
    phase = delivered().day("NSE", date(2026, 8, 3)).phases[1]
    assert phase.opens == datetime(2026, 8, 3, 9, 15, tzinfo=IST)
    assert phase.opens == datetime(2026, 8, 3, 3, 45, tzinfo=UTC)
    assert phase.opens_ns == int(phase.opens.timestamp()) * 1_000_000_000
    assert phase.closes.utcoffset() == IST.utcoffset(None)


def test_days_are_a_list_of_them() -> None:
    days = delivered().days("NSE", date(2026, 8, 1), date(2026, 8, 4))
    assert [day.kind for day in days] == ["weekend", "weekend", "regular", "regular"]
    assert [day.is_irregular for day in days] == [False] * 4
    assert delivered().days("NSE", date(2026, 8, 2), date(2026, 8, 1)) == []
    assert delivered().day("NSE", date(2024, 11, 1)).is_irregular


def test_the_answer_as_json() -> None:
    found = delivered().day("NSE", date(2026, 8, 3), "fo-stock").as_dict()
    assert found["minutes"] == 360
    assert found["phases"][1] == {
        "name": "continuous",
        "opens": "2026-08-03T09:15:00+05:30",
        "closes": "2026-08-03T15:15:00+05:30",
        "opens_ns": 1785728700000000000,
        "closes_ns": 1785750300000000000,
        "is_sure": True,
    }


def test_classes_of_a_segment() -> None:
    assert delivered().classes("NSE") == ("fo-stock",)
    assert delivered().classes("MCX") == ("agri", "agri-international")
    assert delivered().classes("NFO") == ()


@pytest.mark.parametrize(("segment", "stock_class"), [("NASDAQ", None), ("NSE", "fo-stck")])
def test_a_name_that_does_not_exist(segment: str, stock_class: str | None) -> None:
    with pytest.raises(UnknownContractError, match="take one of"):
        delivered().day(segment, date(2026, 8, 3), stock_class)
    with pytest.raises(UnknownContractError, match="take one of"):
        delivered().is_open(segment, 0, stock_class)
