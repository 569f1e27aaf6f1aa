"""What is said beside a run's figures."""

from __future__ import annotations

import re
from datetime import date

import pytest

from kite_bar_history.summary import remarks, remarks_on_missing
from kite_bar_history.universe import Listed
from kite_bars_store.bars import BarInstrument
from kite_bars_store.bars.missing.missing import Cause
from kite_contracts.sessions import SessionCalendar

KNOWN = Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE")
UNKNOWN = Listed(BarInstrument("NSE", "INFY", 2, 0), "NSE")
FRIDAY, SATURDAY, SUNDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return SessionCalendar.load()


@pytest.mark.parametrize(
    ("listed", "first", "last", "said"),
    [
        ([KNOWN], FRIDAY, SUNDAY, []),
        ([], SATURDAY, SUNDAY, []),
        ([KNOWN, UNKNOWN], FRIDAY, FRIDAY, []),  # Kite gives none for an index
        ([UNKNOWN], FRIDAY, FRIDAY, ["no tick size is known on 2026-11-20"]),
        ([KNOWN], SATURDAY, SUNDAY, ["no session of NSE"]),
        ([UNKNOWN], SATURDAY, SATURDAY, ["no tick size", "no session of NSE"]),
    ],
    ids=["a session", "nothing asked", "an index", "no tick size", "a weekend", "both"],
)
def test_remarks(
    calendar: SessionCalendar, listed: list[Listed], first: date, last: date, said: list[str]
) -> None:
    found = list(remarks(listed, first, last, calendar))
    assert len(found) == len(said)
    for sentence, pattern in zip(found, said, strict=True):
        assert re.search(pattern, sentence), sentence


@pytest.mark.parametrize(
    ("by_symbol", "without", "refused", "said"),
    [
        ({}, ["NSE:SBIN"], 3, []),
        ({"NSE:SBIN": {Cause.UNEXPLAINED: 7}}, [], 0, []),
        ({"NSE:SBIN": {Cause.NO_TRADE: 4}}, [], 4, ["lines were refused"]),
        ({"NSE:SBIN": {Cause.HOLIDAY: 4}}, ["NSE:SBIN"], 0, []),
        (
            {"NSE:SBIN": {Cause.UNEXPLAINED: 1}, "NSE:TCS": {Cause.NO_BARS: 1500}},
            ["NSE:TCS"],
            1,
            ["^1,500 .* 1 instruments without any bar, such as NSE:TCS", "lines were refused"],
        ),
    ],
    ids=["nothing lacks", "it has bars", "refused", "holiday", "both"],
)
def test_remarks_on_missing(
    by_symbol: dict[str, dict[Cause, int]], without: list[str], refused: int, said: list[str]
) -> None:
    found = list(remarks_on_missing(by_symbol, without, refused))
    assert len(found) == len(said)
    for sentence, pattern in zip(found, said, strict=True):
        assert re.search(pattern, sentence), sentence
