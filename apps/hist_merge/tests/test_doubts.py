"""Bars that can hardly be true are told, true ones are not."""

from __future__ import annotations

import pytest
from vendor_made_up import FIRST, prices

from kite_bars_store.bars import BarColumns, BarInstrument, SourceBars
from kite_bars_store.bars.anomalies import Anomalies
from kite_contracts.sessions.model import MINUTE_NS

NIFTY, BANK = BarInstrument("NSE", "NIFTY 50"), BarInstrument("NSE", "NIFTY BANK")
FIRST_NS = int(FIRST.timestamp()) * 10**9


def said(
    source: str, *times: int, count: int = 60, shift: int = 0, still: bool = False
) -> SourceBars:
    """Two instruments, the prices of each ``times`` those of everybody; the second's shifted."""
    rows = []
    for number, factor in enumerate(times):
        for at in range(count):
            ohlc = [price * factor for price in prices(0 if still else at + number * shift)[:4]]
            rows.append((number, FIRST_NS + at * MINUTE_NS, *ohlc, 1))
    return SourceBars(source, "m1", [NIFTY, BANK][: len(times)], BarColumns.of(rows))


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ([[said("vendor", 1, 1)]], ["NSE:NIFTY BANK has the very prices of NSE:NIFTY 50"]),
        ([[said("vendor", 1, 1, shift=1)]], []),
        ([[said("vendor", 1, 1, count=29)]], []),
        ([[said("vendor", 1, 1, still=True)]], []),
        ([[said("kite", 1)], [said("vendor", 1)]], []),
        ([[said("kite", 2, 6), said("vendor", 2, 6)]], []),
        ([[said("kite", 2, 6), said("vendor", 1, 6)]], ["vendor has NSE:NIFTY 50 at 0.5 times"]),
        ([[said("kite", 2, 6), said("vendor", 2, 2)]], ["NSE:NIFTY BANK has the", "at 0.3333 tim"]),
    ],
)
def test_doubts(windows: list[list[SourceBars]], words: list[str]) -> None:
    doubts = Anomalies()
    for window in windows:
        doubts.look(window)
    assert len(doubts.sentences) == len(words)
    for sentence, part in zip(doubts.sentences, words, strict=True):
        assert part in sentence
