"""Texts of dates and times: which formats read them, and as what."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from kite_bar_history.vendor_files.times import (
    day_of_text,
    fits,
    formats_of,
    moment_of_text,
    swapped,
    time_of_text,
)


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        ("0915", "%H%M", time(9, 15)),
        ("915", "%H%M", time(9, 15)),
        ("115", "%H%M", time(1, 15)),
        ("091559", "%H%M%S", time(9, 15, 59)),
        ("11559", "%H%M%S", time(1, 15, 59)),
        ("915.0", "%H%M", time(9, 15)),
        ("09.00", "%H.%M", time(9, 0)),
        ("0.385416667", "excel", time(9, 15)),
    ],
)
def test_times(text: str, form: str, found: time) -> None:
    assert time_of_text(text, form) == found


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("91", "%H%M"),
        ("09155", "%H%M"),
        ("9:15", "%H%M"),
        ("2400", "%H%M"),
        ("-0.3", "excel"),
        ("nan", "excel"),
    ],
)
def test_no_times(text: str, form: str) -> None:
    assert not fits([text], form, "time")


def test_days_of_a_spreadsheet_are_whole_and_of_our_time() -> None:
    assert day_of_text("45293.0", "excel") == date(2024, 1, 2)
    for text in ("45293.5", "4529", "1704167100", "2024"):
        assert not fits([text], "excel", "date")


def test_a_moment_of_a_spreadsheet_is_rounded_to_the_second() -> None:
    assert moment_of_text("45293.3854166667", "excel") == datetime(2024, 1, 2, 9, 15)


@pytest.mark.parametrize(
    ("texts", "kind", "forms"),
    [
        (["05/01/2024", "08/01/2024"], "date", ["%d/%m/%Y", "%m/%d/%Y"]),
        (["05/01/2024", "25/01/2024"], "date", ["%d/%m/%Y"]),
        (["20240105"], "date", ["%Y%m%d"]),
        (["05-Jan-2024"], "date", ["%d-%b-%Y"]),
        (["45293"], "date", ["excel"]),
        (["20240105.0", "20240106.0"], "date", ["%Y%m%d"]),
        (["0915", "1530"], "time", ["%H%M"]),
        (["091500"], "time", ["%H%M%S"]),
        (["1704167100"], "moment", ["epoch"]),
        (["1704167100000.0"], "moment", ["epoch-ms"]),
        (["2024-01-02 09:15:00", "2024-01-02T09:15:00Z"], "moment", ["iso"]),
        (["02-01-2024 09:15"], "moment", ["%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M"]),
        (["half past nine"], "moment", []),
    ],
)
def test_formats(texts: list[str], kind: str, forms: list[str]) -> None:
    assert formats_of(texts, kind) == forms


@pytest.mark.parametrize(
    ("form", "other"),
    [
        ("%d/%m/%Y", "%m/%d/%Y"),
        ("%m-%d-%Y %H:%M", "%d-%m-%Y %H:%M"),
        ("%Y-%m-%d", None),
        ("%d-%b-%Y", None),
        ("iso", None),
    ],
)
def test_day_and_month_the_other_way_round(form: str, other: str | None) -> None:
    assert swapped(form) == other
