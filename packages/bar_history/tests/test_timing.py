"""Bars that are wider than they are taken for, and times of another zone or stamp."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date

import numpy as np
import pytest
from vendor_made_up import FIRST, minute

from kite_bar_history.timing import HoursCheck, WidthCheck
from kite_bars_store.bars import BarColumns, BarInstrument, SourceBars, load_rules
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.sql import nanoseconds
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns

SBIN = BarInstrument("NSE", "SBIN", 2, 5)


def opens(places: Sequence[int], day: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Minutes of the session that begins with FIRST, ``day`` calendar days later."""
    found = [nanoseconds(minute(at)) + day * 86_400 * 10**9 for at in places]
    return np.array(found, np.int64)


def width_of(*days: Sequence[int], interval: str = "m1", blocks: int = 1) -> int:
    check = WidthCheck(interval)
    for day, places in enumerate(days):
        mixed = random.Random(day).sample(list(places), len(places))
        for block in range(blocks):
            times = opens(mixed[block::blocks], day)
            check.look(np.zeros(len(times), np.int64), times)
    return check.width()


@pytest.mark.parametrize("blocks", [1, 7])
@pytest.mark.parametrize(
    ("days", "width"),
    [
        ([range(375)], 1),
        ([range(0, 375, 3)], 3),
        ([range(0, 375, 5)], 5),
        ([range(0, 375, 15)], 15),
        ([range(0, 375, 30)], 30),
        ([range(0, 375, 60)], 60),
        ([range(2, 375, 5)], 5),  # not from 09:15 on
        ([[at for at in range(0, 375, 5) if at % 35]], 5),  # some are missing
        ([range(375), range(0, 375, 15)], 15),  # one day of many is enough
        ([range(0, 375, 15), range(0, 375, 5)], 5),
        ([[*range(0, 375, 5), 11]], 1),  # one bar between is a bar of a minute
        ([[0, 60, 120, 180]], 1),  # four trades of a thin option prove nothing
        ([[0, 60], [0, 120], [0, 180], [60, 120], [0, 240], [0, 300]], 1),
        ([range(45, 375, 60)], 1),  # 10:00 to 15:00 by the hour, once: not yet
        ([range(45, 375, 60)] * 3, 60),  # every day
        ([range(45, 375, 60), *[range(45, 346, 30)] * 3], 30),
        ([[0, 60, 200, 370]] * 20, 10),  # few bars a day on multiples of 10
        ([*[[0, 60, 200, 370]] * 20, [7, 60]], 1),  # until one day is not
        ([[0, 374]] * 60, 1),  # the first and the last minute, every day
        ([[7]], 1),
        ([[]], 1),
    ],
)
def test_the_width_of_bars_is_found_by_proof(
    days: list[Sequence[int]], width: int, blocks: int
) -> None:
    assert width_of(*days, blocks=blocks) == width


def test_thin_instruments_are_hardly_ever_taken_for_wide_bars() -> None:
    chance = random.Random(7)
    check = WidthCheck("m1")
    for number in range(5_000):
        times = opens(chance.sample(range(375), chance.randrange(1, 25)))
        check.look(np.full(len(times), number, np.int64), times)
    assert check.width() == 1


def test_many_instruments_of_few_wide_bars_prove_it_together() -> None:
    def width(places: Sequence[int], instruments: int) -> int:
        check = WidthCheck("m1")
        for number in range(instruments):
            times = opens(places)
            check.look(np.full(len(times), number, np.int64), times)
        return check.width()

    assert width([0, 15, 60], 40) == 15
    assert width([0, 15, 60], 10) == 1
    assert width([0, 60], 400) == 1


QUARTERS, FEW = range(0, 375, 15), [0, 60, 200, 370]


@pytest.mark.parametrize(
    ("days", "width", "wide"),
    [
        ([[range(375), QUARTERS]], 1, {1: 15}),
        ([[QUARTERS, range(375)]], 1, {0: 15}),
        ([[range(375), QUARTERS, QUARTERS, range(10)]], 1, {1: 15, 2: 15}),
        ([[range(375), FEW]], 1, {}),  # few bars of one day prove nothing
        ([[range(375), FEW]] * 20, 1, {1: 10}),  # of twenty days they do
        ([[QUARTERS, QUARTERS]], 15, {}),  # no one has minutes
        ([[QUARTERS, [7]]], 15, {}),  # nor has who has one bar
        ([[range(375), range(375)], [QUARTERS, QUARTERS]], 15, {}),  # on the second day
        ([[range(375), QUARTERS], [range(375), range(375)]], 1, {1: 15}),
    ],
)
def test_a_wide_instrument_among_others_is_found_and_is_not_the_file(
    days: list[list[Sequence[int]]], width: int, wide: dict[int, int]
) -> None:
    check = WidthCheck("m1")
    for day, instruments in enumerate(days):
        for number, places in enumerate(instruments):
            times = opens(places, day)
            check.look(np.full(len(times), number, np.int64), times)
    assert check.width() == width
    if width == 1:
        assert {check.instrument(key): each for key, each in check.wide().items()} == wide


def test_weeks_taken_for_days() -> None:
    def days(step: int, count: int) -> int:
        check = WidthCheck("d1")
        places = range(0, step * count, step)
        times = np.concatenate([opens([0], day) for day in places])
        check.look(np.zeros(len(times), np.int64), times)
        return check.width()

    assert days(7, 52) == 7
    assert days(7, 5) == 1
    assert days(1, 52) == 1


def test_weeks_among_days() -> None:
    check = WidthCheck("d1")
    for number, step in enumerate((1, 7)):
        times = np.concatenate([opens([0], day) for day in range(0, 365, step)])
        check.look(np.full(len(times), number, np.int64), times)
    assert (check.width(), check.wide()) == (1, {1: 7})


def problem_of(shift: int, places: Sequence[int] = range(375), days: Sequence[int] = (0,)) -> str:
    judge = SessionJudge(SessionCalendar.load(), load_rules().phases)
    check = HoursCheck(judge)
    for day in days:
        times = opens(places, day) + shift * 60 * 10**9
        rows = [(0, int(ts_ns), 1, 1, 1, 1, 1) for ts_ns in times]
        check.look(SourceBars("", "m1", [SBIN], BarColumns.of(rows)))
    return check.problem() or ""


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (0, ""),
        (1, ""),  # the end of a bar read as its start: one bar in 375 is outside
        (-330, "has 330 of 375 bars outside the session, the first at 2024-01-02 03:45 in India; "),
        (-330, "5:30 hours later 100% of them would be inside"),
        (330, "5:30 hours earlier 100% of them would be inside"),
        (120, ""),
        (240, "and no other time zone or stamp puts them inside"),
    ],
)
def test_most_bars_outside_the_session_are_refused_with_the_shift(shift: int, words: str) -> None:
    found = problem_of(shift)
    assert words in found
    assert bool(words) == bool(found)


HOURS = {"NSE": (555, 930), "CDS": (540, 1020), "MCX": (540, 1410)}
"""From and to, in minutes of the day."""


def problem_on(
    exchange: str, shifts: dict[date, int], hours: tuple[int, int] | None = None, step: int = 1
) -> str:
    """Of days that are shifted by so many minutes."""
    check = HoursCheck(SessionJudge(SessionCalendar.load(), load_rules().phases))
    for day, shift in shifts.items():
        begins = midnight_ns(day) + shift * MINUTE_NS
        times = [begins + at * MINUTE_NS for at in range(*(hours or HOURS[exchange]), step)]
        rows = [(0, ts_ns, 1, 1, 1, 1, 1) for ts_ns in times]
        check.look(SourceBars("", "m1", [BarInstrument(exchange, "X")], BarColumns.of(rows)))
    return check.problem() or ""


DAYS = [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)]
OLD = [date(2012, 6, 5), date(2012, 6, 6), date(2012, 6, 7)]
LATER, EARLIER = "5:30 hours later", "5:30 hours earlier"


@pytest.mark.parametrize(
    ("exchange", "days"), [("NSE", DAYS), ("CDS", DAYS), ("MCX", DAYS), ("NSE", OLD), ("CDS", OLD)]
)
@pytest.mark.parametrize(("shift", "words"), [(0, ""), (-330, LATER), (330, EARLIER)])
def test_another_zone_is_found_on_each_exchange_and_in_old_days(
    exchange: str, days: list[date], shift: int, words: str
) -> None:
    """Of commodities only 38 % are then outside, and of days before 2016 none for sure."""
    found = problem_on(exchange, dict.fromkeys(days, shift))
    assert words in found
    assert bool(words) == bool(found)


@pytest.mark.parametrize("days", [DAYS, OLD], ids=["known", "unverified"])
def test_one_day_of_another_zone_among_others(days: list[date]) -> None:
    found = problem_on("NSE", {days[0]: 0, days[1]: -330, days[2]: 0})
    assert f"has 330 of 375 bars of {days[1]} outside the session, the first at 03:45" in found
    assert LATER in found
    thin = problem_on("NSE", {days[0]: 0, days[1]: -330, days[2]: 0}, step=15)
    assert thin == ""  # 22 bars of a thin instrument prove nothing


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2012, 11, 13), (945, 1020)),  # Muhurat, which is not in the calendar
        (date(2012, 11, 13), (555, 930)),
        (date(2014, 3, 22), (555, 930)),  # a Saturday
        (date(2024, 1, 2), (540, 960)),  # with what was before and after the session
    ],
)
def test_sessions_that_the_calendar_does_not_know_are_no_other_zone(
    day: date, hours: tuple[int, int]
) -> None:
    assert problem_on("NSE", {day: 0}, hours) == ""
    assert problem_on("NSE", {**dict.fromkeys(OLD, 0), day: 0}, hours) == ""


def test_some_bars_outside_are_no_problem_nor_are_days_without_a_session() -> None:
    assert FIRST.weekday() == 1
    assert problem_of(-20) == ""  # 20 of 375 before the opening
    assert problem_of(0, days=(0, 4)) == ""  # a Saturday has no session
    assert problem_of(-330, days=(4,)) == ""
