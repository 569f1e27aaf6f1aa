"""Bars outside the session, each with its cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from kite_bars_store.bars import BarColumns, BarInstrument, SourceBars, load_rules
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_contracts.sessions import SessionCalendar
from kite_runtime.clock import IST

SBIN = BarInstrument("NSE", "SBIN")


def said(*times: str, interval: str = "m1", source: str = "vendor") -> SourceBars:
    stamps = [datetime.fromisoformat(each).replace(tzinfo=IST) for each in times]
    rows = [(0, int(each.timestamp()) * 10**9, 1, 1, 1, 1, 1) for each in stamps]
    return SourceBars(source, interval, [SBIN], BarColumns.of(rows))


@pytest.mark.parametrize(
    ("bars", "causes"),
    [
        (said("2024-01-02T09:15", "2024-01-02T15:29"), {}),
        (said("2024-01-02T08:59", "2024-01-02T09:05"), {"before-open": 1, "pre-open": 1}),
        (said("2024-01-02T22:00"), {"after-close": 1}),
        (said("2024-01-06T10:00", "2024-01-26T10:00"), {"weekend": 1, "holiday": 1}),
        (said("2024-01-26T00:00", "2024-01-25T00:00", interval="d1"), {"holiday": 1}),
        (said("1950-01-02T10:00"), {}),  # the store refuses it
        (said(), {}),
    ],
)
def test_causes(bars: SourceBars, causes: dict[str, int], calendar: SessionCalendar) -> None:
    judge = SessionJudge(calendar, load_rules().phases)
    found = judge.outside([bars, said(*(), source="kite")])
    assert found.causes == causes
    assert len(found.examples) == sum(causes.values())


def test_bars_with_a_volume_within_a_halt_are_counted(calendar: SessionCalendar) -> None:
    judge = SessionJudge(calendar, load_rules().phases)
    times = ("2021-02-24T11:42", "2021-02-24T11:43", "2021-02-24T12:00", "2021-02-24T17:05")
    found = judge.outside([said(*times), said(*times[:3], source="kite")])
    assert (found.causes["halt"], found.traded_in_halt) == (2, 2)
    flat = said(*times)
    flat.bars.volume[:] = 0  # padded: no trade contradicts the calendar
    assert judge.outside([flat]).traded_in_halt == 0


@pytest.mark.parametrize(
    ("exchange", "minute", "inside", "perhaps"),
    [
        ("NSE", "11:39", True, False),
        ("NSE", "11:40", True, True),
        ("NSE", "11:42", True, True),
        ("NSE", "11:43", False, False),
        ("NSE", "15:45", True, False),
        ("NFO", "11:39", True, False),
        ("NFO", "11:40", False, False),  # derivatives stopped for certain
        ("BSE", "15:29", True, False),
        ("BSE", "15:30", True, True),
    ],
)
def test_minutes_in_which_a_halt_may_have_begun(
    calendar: SessionCalendar, exchange: str, minute: str, inside: bool, perhaps: bool
) -> None:
    """2021-02-24: such a bar is golden with a flag, and no trade within a halt."""
    judge = SessionJudge(calendar, load_rules().phases)
    bars = said(f"2021-02-24T{minute}")
    judged = judge.judged(replace(bars, instruments=[replace(SBIN, exchange=exchange)]))
    assert judged.outside.tolist() == [not inside]
    assert judged.unusual.tolist() == [perhaps or not inside]


def test_a_bar_of_two_sources_counts_once(calendar: SessionCalendar) -> None:
    judge = SessionJudge(calendar, load_rules().phases)
    both = [said("2024-01-26T10:00", source=each) for each in ("kite", "vendor")]
    found = judge.outside(both)
    assert found.causes == {"holiday": 1}
    assert found.examples[0].startswith("NSE:SBIN 2024-01-26 10:00: 2024-01-26: holiday")
