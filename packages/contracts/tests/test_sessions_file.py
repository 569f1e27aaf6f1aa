"""sessions.toml: the delivered file, and files with mistakes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from session_rules import HOLIDAYS

from kite_contracts.sessions import SEGMENTS, SessionCalendar, exchange_holidays
from kite_contracts.sessions.parse import default_text, load_rules, parse_rules
from kite_runtime.errors import ConfigurationError

GOOD = """
[evening]
zone = "America/New_York"
daylight = "23:30"
standard = "23:55"

[[own_holidays]]
segments = ["MCX"]
years = [2026]

[[regime]]
segments = ["NSE", "BSE"]
since = 2010-10-18
phases = ["pre-open 09:00-09:15", "continuous 09:15-15:30"]
source = "the test"

[[day]]
dates = [2026-11-08]
segments = ["NSE"]
kind = "muhurat"
phases = ["continuous 18:00-19:00"]
source = "the test"
"""


def configs() -> Path:
    for folder in Path(__file__).resolve().parents:
        if (folder / "configs/sessions.toml").is_file():
            return folder / "configs/sessions.toml"
    raise AssertionError("configs/sessions.toml is not there")


def test_the_packaged_file_is_that_of_configs() -> None:
    """Two copies of one text: after an edit of one, copy it over the other."""
    assert configs().read_text("utf-8") == default_text()


def test_every_segment_has_hours_today() -> None:
    rules = load_rules()
    for segment in SEGMENTS:
        assert rules.regime(segment, None, date(2026, 8, 3)) is not None, segment


def test_every_irregular_day_has_a_source_and_lies_apart_from_the_usual() -> None:
    rules = load_rules()
    assert len(rules.days) > 150
    for (segment, day), rule in rules.days.items():
        assert len(rule.source) > 10, (segment, day)
        assert rules.regime(segment, None, day) is not None, (segment, day)


def test_the_exchange_s_calendar_knows_the_holidays() -> None:
    holidays = exchange_holidays()
    assert holidays.first == date(2000, 1, 1)
    assert holidays.last >= date(2026, 12, 31)
    assert {date(2024, 1, 22), date(2024, 1, 26), date(2025, 10, 21)} <= holidays.closed
    assert date(2024, 1, 25) not in holidays.closed
    assert not any(day.weekday() >= 5 for day in holidays.closed)
    assert "XBOM" in holidays.source


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "sessions.toml"
    path.write_text(GOOD, "utf-8")
    calendar = SessionCalendar.load(path, HOLIDAYS)
    assert len(calendar.expected_minutes("NSE", date(2026, 11, 8))) == 60
    assert calendar.day("NSE", date(2026, 11, 8)).source == "the test"
    assert calendar.day("NFO", date(2026, 8, 3)).kind == "unknown"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[[regime]]", "[[session]]", "the table 'session' is unknown"),
        ("[[regime]]", "[regime]", "write [[regime]] with two brackets"),
        ('source = "the test"\n\n[[day]]', "[[day]]", "has no source: add it"),
        (
            'source = "the test"\n\n[[day]]',
            'source = " "\n\n[[day]]',
            "source is ' ': it must be a text",
        ),
        ('"NSE", "BSE"', '"NSE", "NASDAQ"', "a segment is 'NASDAQ': it must be one of NSE, BSE"),
        ('"NSE", "BSE"', '"NSE", "NSE"', "segments names a value twice"),
        ('"NSE", "BSE"', "", "segments is empty: name at least one"),
        ('["NSE", "BSE"]', '"NSE"', "segments must be a list of values such as"),
        ("since = 2010-10-18", 'since = "2010-10-18"', "it must be a date such as 2026-08-03"),
        ("since = 2010-10-18", "since = 2010-10-18T00:00:00", "it must be a date such as"),
        ("since", "sinze", "has no since: add it"),
        ("since = 2010-10-18", "since = 2010-10-18\nclose = 5", "the unknown key 'close'"),
        ("since = 2010-10-18", 'since = 2010-10-18\nclasses = ["big"]', "a class is 'big'"),
        ("09:00-09:15", "9:00-09:15", "the beginning of 'pre-open 9:00-09:15' is '9:00'"),
        ("09:00-09:15", "09:00-25:15", "'25:15': it must be a time such as 09:15"),
        ("09:00-09:15", "09:00 to 09:15", "is no phase: write it as in"),
        ("pre-open 09", "lunch 09", "a phase's name is 'lunch': it must be one of pre-open"),
        ("09:15-15:30", "15:30-09:15", "does not close after it opens"),
        ("09:00-09:15", "09:00-09:20", "opens before 'pre-open 09:00-09:20' has closed"),
        ("09:15-15:30", "23:40-evening", "does not close after it opens"),
        ('kind = "muhurat"', 'kind = "diwali"', "kind is 'diwali': it must be one of muhurat"),
        ('kind = "muhurat"', 'kind = "regular"', "kind is 'regular'"),
        ('kind = "muhurat"', 'kind = "holiday"', "a holiday has no phases: remove it"),
        (
            'kind = "muhurat"',
            'kind = "muhurat"\nfrom = "17:00"',
            "phases and from exclude each other",
        ),
        ('phases = ["continuous 18:00-19:00"]', "phases = []", "phases is empty"),
        ('phases = ["continuous 18:00-19:00"]', 'hours = "any"', "hours is 'any'"),
        (
            'phases = ["continuous 18:00-19:00"]',
            'from = "17:00"\nuntil = "16:00"',
            "until is not after",
        ),
        ("dates = [2026-11-08]", "dates = []", "dates is empty: name at least one"),
        (
            "dates = [2026-11-08]",
            "dates = 2026-11-08",
            "dates must be a list of values such as 2026-08-03",
        ),
        ("years = [2026]", 'years = ["2026"]', "years must be a list of values such as 2026"),
        ("America/New_York", "America/Mumbai", "it must be a zone such as America/New_York"),
        ('standard = "23:55"', "", "[evening]: has no standard: add it"),
        ('standard = "23:55"', 'standard = "late"', "standard is 'late': it must be a time"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_entry_and_remedy(
    old: str, new: str, problem: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(GOOD.replace(old, new, 1), "my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml")
    assert problem in message
    assert "\n" not in message
    assert ": " in message


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            '[[regime]]\nsegments = ["BSE"]\nsince = 2010-10-18\n'
            'phases = ["continuous 09:00-10:00"]\nsource = "x"',
            "[[regime]] number 2 (BSE 2010-10-18): BSE has a regime from 2010-10-18",
        ),
        (
            '[[day]]\ndates = [2026-11-08]\nsegments = ["NSE"]\nkind = "holiday"\nsource = "x"',
            "[[day]] number 2 (NSE 2026-11-08): NSE has an entry for 2026-11-08 already",
        ),
        ('[[own_holidays]]\nsegments = ["MCX"]\nyears = []', "MCX has an entry already"),
        ("[[regime]]", "[[regime]] number 2: has no segments"),
    ],
)
def test_an_entry_that_is_there_twice(more: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(f"{GOOD}\n{more}\n", "my.toml")
    assert problem in str(caught.value)


def test_an_evening_needs_its_table() -> None:
    text = GOOD[GOOD.index("[[own_holidays]]") :].replace("09:15-15:30", "09:15-evening")
    with pytest.raises(ConfigurationError, match="needs the table .evening.: add it"):
        parse_rules(text, "my.toml")


@pytest.mark.parametrize("text", ["", "[[regime", "regime = 5", "[evening]"])
def test_no_calendar_at_all(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"my\.toml"):
        parse_rules(text, "my.toml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml cannot be read: No such file"):
        load_rules(tmp_path / "gone.toml")
    (tmp_path / "utf16.toml").write_bytes("[[day]]".encode("utf-16"))
    with pytest.raises(ConfigurationError, match="save it as UTF-8"):
        load_rules(tmp_path / "utf16.toml")
