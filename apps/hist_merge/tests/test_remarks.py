"""What is said beside a run's figures."""

from __future__ import annotations

import re
from datetime import date

import pytest

from bars_store.bars import BarInstrument
from contracts.sessions import SessionCalendar
from hist_merge.remarks import remarks
from hist_merge.universe import Listed

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
