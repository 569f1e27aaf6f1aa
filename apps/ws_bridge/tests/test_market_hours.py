"""When silence is a fault: the hours of the file, by date and segment, and the holidays."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from broker_zerodha.packets import Segment
from ws_bridge.errors import ConfigurationError
from ws_bridge.market_hours import IST, exchange_holiday, load_hours, make_is_open

SESSIONS = Path(__file__).parents[3] / "configs" / "sessions.toml"
HOLIDAY = date(2026, 1, 26)


def token(segment: Segment) -> int:
    return 1000 << 8 | segment


def is_open(segment: int, when: str) -> bool:
    ns = int(datetime.fromisoformat(when).replace(tzinfo=IST).timestamp()) * 1_000_000_000
    hours = load_hours(SESSIONS)
    return make_is_open(hours, lambda day: day == HOLIDAY)(1000 << 8 | segment, ns)


@pytest.mark.parametrize(
    ("segment", "when", "expected"),
    [
        (Segment.NSE, "2026-01-05 09:14:59", False),
        (Segment.NSE, "2026-01-05 09:15:00", True),
        (Segment.NSE, "2026-01-05 15:29:59", True),
        (Segment.NSE, "2026-01-05 15:30:00", False),
        (Segment.INDICES, "2026-01-05 12:00:00", True),
        (Segment.NSE, "2026-08-02 15:20:00", False),  # a Sunday
        (Segment.NSE, "2026-07-31 15:20:00", True),
        (Segment.NSE, "2026-08-03 15:20:00", False),
        (Segment.NFO, "2026-07-31 15:35:00", False),
        (Segment.NFO, "2026-08-03 15:35:00", True),
        (Segment.NFO, "2026-08-03 15:40:00", False),
        (Segment.BFO, "2026-08-03 15:35:00", False),
        (Segment.CDS, "2026-01-05 09:00:00", True),
        (Segment.CDS, "2026-01-05 16:59:59", True),
        (Segment.MCX, "2026-01-05 23:00:00", False),
        (Segment.NSE, "2026-01-03 12:00:00", False),  # a Saturday
        (Segment.NSE, "2026-01-26 12:00:00", False),
        (99, "2026-01-05 12:00:00", False),
    ],
)
def test_hours_of_the_file_that_is_delivered(segment: int, when: str, expected: bool) -> None:
    assert is_open(segment, when) is expected


def test_before_the_first_rule_nothing_trades() -> None:
    assert not is_open(Segment.NSE, "1999-12-31 12:00:00")


def test_every_segment_has_hours() -> None:
    assert set(load_hours(SESSIONS)) == {int(segment) for segment in Segment}


def test_the_order_of_the_rules_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "sessions.toml"
    rules = [
        f'[[session]]\nsegments=["NSE"]\nsince={since}\nopens="09:15"\ncloses="{closes}"\n'
        for since, closes in (("2026-08-03", "15:15"), ("2000-01-01", "15:30"))
    ]
    path.write_text("".join(rules))
    assert [rule.since.year for rule in load_hours(path)[Segment.NSE]] == [2000, 2026]


@pytest.mark.parametrize(
    ("day", "closed"),
    [
        (date(2024, 1, 26), True),
        (date(2024, 8, 15), True),
        (date(2024, 1, 25), False),
        (date(1950, 1, 26), False),  # before the calendar
        (date(2199, 1, 25), False),  # and behind it: a trading day, so that alarms are raised
    ],
)
def test_holidays_of_the_exchange(day: date, closed: bool) -> None:
    assert exchange_holiday(day) is closed


GOOD = 'segments=["NSE"]\nsince=2000-01-01\nopens="09:15"\ncloses="15:30"\n'


@pytest.mark.parametrize(
    "text",
    [
        "[[session",
        "",
        "[[session]]\n",
        "session = 5\n",
        "[[session]]\n" + GOOD.replace("NSE", "NASDAQ"),
        "[[session]]\n" + GOOD.replace("2000-01-01", '"2000-01-01"'),
        "[[session]]\n" + GOOD.replace("09:15", "quarter past nine"),
        "[[session]]\n" + GOOD.replace('closes="15:30"\n', ""),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sessions.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_hours(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("each [[session]] needs segments, since, opens and closes")
    assert "\n" not in message


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_hours(tmp_path / "gone.toml")
