"""Bars of days on which their instrument was not listed become golden by no source."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from vendor_made_up import FIRST

from kite_bar_history.run import while_listed
from kite_bar_history.universe import Listed
from kite_bars_store.bars import BarColumns, BarInstrument, SourceBars
from kite_bars_store.bars.sql import nanoseconds

DAY = FIRST.date()
EXPIRED = BarInstrument("NFO", "NIFTY23DECFUT", 2, 5)
SBIN = BarInstrument("NSE", "SBIN", 2, 5)


def bars(source: str, days: int = 3) -> SourceBars:
    """One bar a day of both instruments, from FIRST on."""
    rows = [
        (place, nanoseconds(FIRST + timedelta(day)), 100, 100, 100, 100, 5)
        for place in (0, 1)
        for day in range(days)
    ]
    return SourceBars(source, "m1", [EXPIRED, SBIN], BarColumns.of(rows), file_name="feed.txt")


@pytest.mark.parametrize(
    ("since", "until", "kept", "word"),
    [
        (None, None, [0, 1, 2], ""),
        (None, DAY, [], "after its last day"),
        (None, DAY + timedelta(1), [0], "after its last day"),
        (DAY + timedelta(2), None, [2], "before its first"),
        (DAY + timedelta(1), DAY + timedelta(2), [1], "before its first"),
    ],
)
@pytest.mark.parametrize("source", ["kite", "vendor", "live"])
def test_days_outside_the_life_of_a_contract_are_refused_by_name(
    source: str, since: date | None, until: date | None, kept: list[int], word: str
) -> None:
    listed = [Listed(EXPIRED, "NFO", 1, since, until), Listed(SBIN, "NSE", 2)]
    (found,), refused = while_listed([bars(source)], listed)
    own = found.bars.instrument == 0
    days = (found.bars.ts_open_ns[own] - nanoseconds(FIRST)) // (86_400 * 10**9)
    assert days.tolist() == kept
    assert (~own).sum() == 3  # the other instrument keeps its bars
    assert len(refused) == 3 - len(kept)
    if refused:
        assert (refused[0].place, refused[0].reason) == ("feed.txt", "NOT_LISTED")
        assert refused[0].message.startswith("NFO:NIFTY23DECFUT was not listed on this day")
        assert word in refused[0].message
        assert refused[0].raw.startswith("NFO,NIFTY23DECFUT,2024-01-0")


def test_what_has_no_bar_left_is_no_source_of_the_window() -> None:
    listed = [Listed(EXPIRED, "NFO", 1, None, DAY), Listed(SBIN, "NSE", 2, None, DAY)]
    found, refused = while_listed([bars("vendor")], listed)
    assert (found, len(refused)) == ([], 6)
