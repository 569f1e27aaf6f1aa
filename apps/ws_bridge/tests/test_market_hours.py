"""When silence is a fault: the session calendar, asked by instrument token."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import pytest

from kite_broker_zerodha.packets import Segment
from kite_contracts.sessions import Holidays, SessionCalendar
from kite_live_feed import market_hours
from kite_live_feed.market_hours import SESSIONS, load_market_hours, make_is_open
from kite_runtime.clock import IST
from kite_runtime.errors import ConfigurationError, KiteError
from kite_runtime.testing import PATIENCE_S, import_path

ROOT = Path(__file__).parents[3]
HOLIDAYS = Holidays(
    date(2010, 1, 1), date(2026, 12, 31), frozenset({date(2026, 1, 26)}), "the test"
)


def token(segment: int) -> int:
    return 1000 << 8 | segment


def ns(when: str) -> int:
    return int(datetime.fromisoformat(when).replace(tzinfo=IST).timestamp()) * 1_000_000_000


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
        (Segment.NSE, "2026-08-03 15:20:00", False),  # some stocks are in the closing auction
        (Segment.NFO, "2026-07-31 15:35:00", False),
        (Segment.NFO, "2026-08-03 15:35:00", True),
        (Segment.NFO, "2026-08-03 15:40:00", False),
        (Segment.BFO, "2026-08-03 15:35:00", True),
        (Segment.CDS, "2026-01-05 09:00:00", True),
        (Segment.CDS, "2026-01-05 16:59:59", True),
        (Segment.MCX, "2026-01-05 16:59:59", True),
        (Segment.MCX, "2026-01-05 23:00:00", False),  # agricultural commodities have closed
        (Segment.NSE, "2026-01-03 12:00:00", False),  # a Saturday
        (Segment.NSE, "2026-02-01 12:00:00", True),  # a Sunday with the Union Budget
        (Segment.NSE, "2024-11-01 18:30:00", True),  # Muhurat
        (Segment.NSE, "2026-01-26 12:00:00", False),
        (Segment.NSE, "2199-01-25 12:00:00", True),  # beyond the holidays: alarms are raised
        (99, "2026-01-05 12:00:00", False),
        (Segment.NSE, "1999-12-31 12:00:00", False),
    ],
)
def test_hours_of_the_file_that_is_delivered(segment: int, when: str, expected: bool) -> None:
    calendar = SessionCalendar.load(ROOT / SESSIONS, HOLIDAYS)
    assert make_is_open(calendar)(token(segment), ns(when)) is expected


def test_every_segment_of_kite_has_hours() -> None:
    is_open = make_is_open(SessionCalendar.load(ROOT / SESSIONS, HOLIDAYS))
    assert all(is_open(token(segment), ns("2026-08-03 12:00")) for segment in Segment)


@pytest.mark.parametrize("written", [True, False])
def test_a_file_of_one_s_own_wins_over_the_delivered_one(tmp_path: Path, written: bool) -> None:
    """With the holidays of the exchange: 2024-08-15 is one."""
    if written:
        (tmp_path / "configs").mkdir()
        rule = 'segments=["NSE"]\nsince=2000-01-01\nphases=["continuous 06:00-07:00"]\nsource="I"\n'
        (tmp_path / SESSIONS).write_text(f"[[regime]]\n{rule}")
    is_open = load_market_hours(tmp_path)
    assert is_open(token(Segment.NSE), ns("2024-08-14 06:30")) is written
    assert is_open(token(Segment.NSE), ns("2024-08-14 12:00")) is not written
    assert not is_open(token(Segment.NSE), ns("2024-08-15 06:30"))
    assert not is_open(token(Segment.NSE), ns("2024-08-15 12:00"))


def test_the_libraries_of_the_calendar_stay_out_of_the_process(tmp_path: Path) -> None:
    """They take 80 MB, and are loaded before the loop runs, not when it first asks."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from kite_live_feed.market_hours import load_market_hours\n"
        f"is_open = load_market_hours(Path({str(tmp_path)!r}))\n"
        f"assert not is_open({token(Segment.NSE)}, {ns('2024-08-15 12:00')})\n"
        "assert not {'pandas', 'exchange_calendars'} & set(sys.modules)"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": import_path()}
    subprocess.run([sys.executable, "-c", program], env=env, check=True, timeout=PATIENCE_S)


def test_a_wrong_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / SESSIONS).write_text("[[session]]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_market_hours(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / SESSIONS}: the table 'session' is unknown")
    assert "\n" not in str(caught.value)


def test_a_child_that_dies_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_hours, "exchange_holidays", lambda: os._exit(7))
    with pytest.raises(KiteError, match=r"holidays could not be loaded \(exit code 7\)"):
        load_market_hours(tmp_path)
