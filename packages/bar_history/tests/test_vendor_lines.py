"""One line of a vendor's file: the bar, or the reason why it is none."""

from __future__ import annotations

import pytest
from vendor_frames import LAYOUTS, frame_of

from kite_bar_history.vendor_files.lines import read_line
from kite_bar_history.vendor_files.values import Fault
from kite_bars_store.bars import NO_OI
from kite_contracts.sessions.model import ist

TEXT = frame_of(LAYOUTS["bar-end-text"])
KITE = frame_of(LAYOUTS["kite"], "date,open,high,low,close,volume", "SBIN")
PLAIN = frame_of(LAYOUTS["plain"], "exchange,tradingsymbol,time,open,high,low,close,volume,oi")


@pytest.mark.parametrize(
    ("line", "opens", "values"),
    [
        (
            "SBIN,20240102,09:16,600.00,600.2,599.85,600.1,1000,0",
            "2024-01-02T09:15:00+05:30",
            (0, 60000, 60020, 59985, 60010, 1000, NO_OI),
        ),
        (
            " INFY , 20240102 , 15:30 , 1 , 1.00 , 1.000 , 1e0 , 7.0 , 12 ",
            "2024-01-02T15:29:00+05:30",
            (1, 100, 100, 100, 100, 7, 12),
        ),
        (
            '"SBIN","20240102","09:16","246.95000000000002","247","246.9","247","5",""',
            "2024-01-02T09:15:00+05:30",
            (0, 24695, 24700, 24690, 24700, 5, NO_OI),
        ),
    ],
)
def test_a_bar(line: str, opens: str, values: tuple[int, ...]) -> None:
    found = read_line(line, TEXT)
    assert isinstance(found, tuple)
    assert not isinstance(found, Fault)
    assert ist(found[1]).isoformat() == opens
    assert (found[0], *found[2:]) == values


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-01-02 09:15:00",
        "2024-01-02T09:15:00+0530",
        "2024-01-02T03:45:00Z",
        "2024-01-02 03:45:00+00:00",
    ],
)
def test_kite_stamps_are_the_start_with_or_without_an_offset(stamp: str) -> None:
    found = read_line(f"{stamp}, 246.9, 248.15, 246.1, 248.1, 248464", KITE)
    assert isinstance(found, tuple)
    assert ist(int(found[1])).isoformat() == "2024-01-02T09:15:00+05:30"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("SBIN,20240102,09:16,600.00,600.2", "COLUMN_COUNT"),
        ("SBIN,20240102,09:16,600,600,600,600,1,0,9", "COLUMN_COUNT"),
        ('SBIN,20240102,"09:16,600,600,600,600,1,0', "NOT_A_LINE"),
        ("SBIN,20240102,9 o'clock,600,600,600,600,1,0", "NOT_A_TIME"),
        ("SBIN,20240230,09:16,600,600,600,600,1,0", "NOT_A_TIME"),
        ("SBIN,19850102,09:16,600,600,600,600,1,0", "TIME_OUT_OF_RANGE"),
        (",20240102,09:16,600,600,600,600,1,0", "UNKNOWN_SYMBOL"),
        ("SBIN,20240102,09:16,NaN,600,600,600,1,0", "NOT_A_PRICE"),
        ("SBIN,20240102,09:16,,600,600,600,1,0", "NOT_A_PRICE"),
        ("SBIN,20240102,09:16,6_00,600,600,600,1,0", "NOT_A_PRICE"),
        ("SBIN,20240102,09:16,600,1e308,600,600,1,0", "PRICE_OUT_OF_RANGE"),
        ("SBIN,20240102,09:16,600,inf,600,600,1,0", "PRICE_OUT_OF_RANGE"),
        ("SBIN,20240102,09:16,600.005,601,600,600,1,0", "PRICE_TOO_FINE"),
        ("SBIN,20240102,09:16,600,599,598,598.5,1,0", "OHLC_CONTRADICTS"),
        ("SBIN,20240102,09:16,600,601,600.5,601,1,0", "OHLC_CONTRADICTS"),
        ("SBIN,20240102,09:16,600,600,600,600,-1,0", "NEGATIVE_VOLUME"),
        ("SBIN,20240102,09:16,600,600,600,600,1.5,0", "NOT_A_VOLUME"),
        ("SBIN,20240102,09:16,600,600,600,600,1e300,0", "VOLUME_OUT_OF_RANGE"),
        ("SBIN,20240102,09:16,600,600,600,600,1,-4", "NEGATIVE_OI"),
    ],
)
def test_no_bar(line: str, reason: str) -> None:
    found = read_line(line, TEXT)
    assert isinstance(found, Fault)
    assert found.reason == reason
    assert found.message


def test_a_bar_of_another_instrument_or_day_is_left_aside() -> None:
    assert read_line("TCS,20240102,09:16,what,ever,is,here,1,0", TEXT) is None
    narrow = frame_of(LAYOUTS["bar-end-text"], span=(0, 1))
    assert read_line("SBIN,20240102,09:16,600,600,600,600,1,0", narrow) is None


def test_a_line_without_exchange_names_nothing() -> None:
    found = read_line(",INFY,2024-01-02T09:15:00+05:30,1,1,1,1,7,0", PLAIN)
    assert found == Fault("UNKNOWN_SYMBOL", "exchange or symbol is empty")


def test_the_plain_layout_keeps_what_it_is_told() -> None:
    found = read_line("NSE,INFY,2024-01-02T09:15:00+05:30,1.05,1.10,1.00,1.05,7,0", PLAIN)
    assert isinstance(found, tuple)
    assert (found[0], *found[2:]) == (1, 105, 110, 100, 105, 7, 0)
    seconds = read_line("NSE,INFY,2024-01-02T09:15:30+05:30,1,1,1,1,7,0", PLAIN)
    assert isinstance(seconds, Fault)
    assert seconds.reason == "TIME_NOT_ALIGNED"
