"""Which minutes are missing, and why: by hand, on the calendar of NSE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_bars_store.bars.missing.expected import last_day_over
from kite_bars_store.bars.missing.missing import (
    UNEXPLAINED,
    Cause,
    Held,
    Missing,
    Silence,
    Watched,
    days_between,
    explain,
)
from kite_contracts.sessions import Holidays, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns
from kite_runtime.clock import IST

DAY = date(2026, 6, 1)  # a Monday
HOLIDAY = date(2026, 6, 3)
MUHURAT = date(2024, 11, 1)
OPENS, CLOSES = 555, 930
SBIN = Watched("NSE:SBIN", "NSE")
TCS = Watched("NSE:TCS", "NSE")


@lru_cache(maxsize=1)
def calendar() -> SessionCalendar:
    closed = frozenset({HOLIDAY})
    return SessionCalendar.load(
        holidays=Holidays(date(2000, 1, 1), date(2040, 12, 31), closed, "the tests")
    )


def held(
    bars: Iterable[tuple[int, int]], day: date, sources: int = 1, quiet: Iterable[int] = ()
) -> Held:
    """Bars of (instrument, minute since midnight); ``quiet`` minutes have no volume."""
    rows = list(bars)
    return Held(
        np.array([row[0] for row in rows], np.int64),
        midnight_ns(day) + np.array([row[1] for row in rows], np.int64) * MINUTE_NS,
        np.full(len(rows), sources, np.int8),
        np.array([row[1] not in set(quiet) for row in rows], np.bool_),
    )


def of_one(
    minutes: Iterable[int],
    day: date = DAY,
    *,
    sources: int = 1,
    watched: Watched = SBIN,
    silences: Sequence[Silence] = (),
) -> Missing:
    bars = [(0, minute) for minute in minutes]
    return explain([watched], [day], lambda _: held(bars, day, sources), silences, calendar())


def but(*gone: range) -> list[int]:
    lost = {minute for each in gone for minute in each}
    return [minute for minute in range(OPENS, CLOSES) if minute not in lost]


def silence(first: int, last: int, whose: frozenset[int] | None = None) -> Silence:
    start = midnight_ns(DAY)
    return Silence(start + first * MINUTE_NS, start + last * MINUTE_NS, whose)


HALT = date(2021, 2, 24)


def test_no_minute_is_missing_in_which_a_halt_may_have_begun() -> None:
    """Of NSE's stocks 11:40 to 11:42: with bars there or without, as many are missing."""
    begun, doubtful, resumed = range(OPENS, 700), range(700, 703), range(945, 1020)
    for there in ([*begun, *resumed], [*begun, *doubtful, *resumed]):
        found = of_one(there, HALT)
        assert found.by_cause() == {Cause.OUTSIDE_SESSION: 930 - 703}
        assert (found.expected[0, 0], found.present[0, 0]) == (145 + 75, 145 + 75)
    derivative = of_one([*begun, *resumed], HALT, watched=Watched("NFO:X", "NFO"))
    assert derivative.by_cause() == {Cause.OUTSIDE_SESSION: 930 - 700}


def test_a_whole_day_lacks_nothing() -> None:
    missing = of_one(but())
    assert missing.by_cause() == {}
    assert (missing.expected[0, 0], missing.present[0, 0]) == (375, 375)


def test_a_day_without_bars_has_a_cause_of_its_own() -> None:
    missing = of_one([])
    assert (missing.by_cause(), missing.unexplained) == ({Cause.NO_BARS: 375}, 375)
    assert of_one([600]).by_cause() == {Cause.UNEXPLAINED: 374}
    gap = of_one([], silences=[silence(600, 620)])
    assert gap.by_cause() == {Cause.NO_BARS: 355, Cause.OUTAGE: 20}


def test_a_liquid_stock_may_miss_one_minute_and_no_more() -> None:
    one = range(600, 601)
    assert of_one(but(one)).by_cause() == {Cause.NO_TRADE: 1}
    two = of_one(but(range(600, 602)))
    (hole,) = two.holes()
    assert (hole.symbol, f"{hole.since:%H:%M}", hole.minutes, hole.cause) == (
        *("NSE:SBIN", "10:00", 2, Cause.UNEXPLAINED),
    )


def test_two_sources_that_both_lack_it_agree_that_nothing_was_traded() -> None:
    assert of_one(but(range(600, 603)), sources=2).by_cause() == {Cause.NO_TRADE: 3}
    # But not for so long: a liquid stock that nobody has for ten minutes was halted, or is lost.
    assert of_one(but(range(600, 610)), sources=2).by_cause() == {Cause.UNEXPLAINED: 10}
    every_third = [minute for minute in range(OPENS, CLOSES, 3) if not 600 <= minute < 640]
    alone, both = (of_one(every_third, sources=number).by_cause() for number in (1, 2))
    assert alone == {Cause.NO_TRADE: 375 - len(every_third) - 44, Cause.UNEXPLAINED: 44}
    assert both == {Cause.NO_TRADE: 375 - len(every_third)}
    # After the last bar nobody says anything more.
    tail = of_one(but(range(900, CLOSES)), sources=2)
    assert tail.by_cause() == {Cause.UNEXPLAINED: 30}


def test_who_hardly_trades_may_be_silent_for_long() -> None:
    seldom = list(range(OPENS, CLOSES, 30))
    assert of_one(seldom).by_cause() == {Cause.NO_TRADE: 375 - len(seldom)}
    # But a file that ends at noon is no silence of this kind.
    every_other = range(OPENS, 720, 2)
    ends_early = of_one(every_other)
    assert ends_early.by_cause()[Cause.UNEXPLAINED] == CLOSES - 720


def test_a_lost_afternoon_does_not_make_other_silences_usual() -> None:
    missing = of_one(but(range(580, 585), range(720, CLOSES)))
    assert missing.by_cause() == {Cause.UNEXPLAINED: 5 + CLOSES - 720}


def test_an_outage_of_the_feed_explains_what_nobody_else_has() -> None:
    gap = silence(600, 620)
    missing = of_one(but(range(600, 630)), silences=[gap])
    assert missing.by_cause() == {Cause.OUTAGE: 20, Cause.UNEXPLAINED: 10}
    # A minute that the gap only touches counts, too.
    touched = Silence(gap.since_ns + 30 * 10**9, gap.since_ns + 70 * 10**9)
    assert of_one(but(range(600, 602)), silences=[touched]).by_cause() == {Cause.OUTAGE: 2}
    others = silence(600, 620, frozenset({1}))
    assert Cause.OUTAGE not in of_one(but(range(600, 630)), silences=[others]).by_cause()
    agreed = of_one(but(range(600, 603)), sources=2, silences=[gap])
    assert agreed.by_cause() == {Cause.NO_TRADE: 3}


def test_a_holiday_lacks_its_usual_minutes_and_a_weekend_none() -> None:
    assert of_one([], HOLIDAY).by_cause() == {Cause.HOLIDAY: 375}
    weekend = of_one([], date(2026, 6, 6))
    assert (weekend.by_cause(), weekend.expected[0, 0]) == ({}, 0)


def test_a_short_saturday_is_not_compared_with_a_usual_day() -> None:
    saturday = date(2024, 3, 2)
    opens = calendar().expected_minutes("NSE", saturday)
    there = ((opens - midnight_ns(saturday)) // MINUTE_NS).tolist()
    assert 0 < len(there) < 375
    assert of_one(there, saturday).by_cause() == {}


def test_a_muhurat_session_is_short() -> None:
    missing = of_one(range(18 * 60, 19 * 60), MUHURAT)
    assert missing.expected[0, 0] == 60
    assert missing.by_cause() == {Cause.OUTSIDE_SESSION: 375}


def test_an_unlisted_instrument_lacks_nothing_else() -> None:
    expired = Watched("NFO:OLD", "NFO", listed_until=DAY)
    coming = Watched("NFO:NEW", "NFO", listed_from=date(2026, 6, 2))
    for each in (expired, coming):
        assert of_one([], watched=each).by_cause() == {Cause.NOT_LISTED: 375}
    assert of_one([], HOLIDAY, watched=expired).by_cause() == {Cause.HOLIDAY: 375}


def test_hours_that_differ_by_class_expect_what_is_common() -> None:
    day = date(2026, 8, 4)
    assert of_one([], day).expected[0, 0] == 360
    stock = Watched("NSE:SBIN", "NSE", "fo-stock")
    assert of_one([], day, watched=stock).expected[0, 0] == 360


def test_an_exchange_that_the_calendar_does_not_know_lacks_nothing() -> None:
    assert of_one([], watched=Watched("GLOBAL:SPX", "GLOBAL")).by_cause() == {}


def test_an_empty_day_is_judged_by_the_others() -> None:
    days = days_between(DAY, date(2026, 6, 2))
    seldom, busy = [(0, 700)], [(1, minute) for minute in but()]
    by_day: Mapping[date, list[tuple[int, int]]] = {days[0]: seldom + busy, days[1]: []}
    missing = explain([SBIN, TCS], days, lambda day: held(by_day[day], day), [], calendar())
    assert missing.by_symbol() == {
        "NSE:SBIN": {Cause.NO_TRADE: 374 + 375},
        "NSE:TCS": {Cause.NO_BARS: 375},
    }
    assert missing.by_day()[days[1]] == {Cause.NO_TRADE: 375, Cause.NO_BARS: 375}


@pytest.mark.parametrize(
    ("day", "there", "causes"),
    [
        # Muhurat in the evening, on a day that the calendar takes for a usual one.
        (date(2012, 11, 13), range(945, 1020), {Cause.UNVERIFIED_DAY: 375}),
        (date(2012, 11, 13), (), {Cause.UNVERIFIED_DAY: 375}),
        (date(2015, 12, 31), but(range(600, 840)), {Cause.UNVERIFIED_DAY: 240}),
        (date(2015, 12, 31), range(OPENS, CLOSES, 30), {Cause.NO_TRADE: 362}),
        (date(2016, 1, 1), but(range(600, 840)), {Cause.UNEXPLAINED: 240}),
        (date(2016, 1, 1), (), {Cause.NO_BARS: 375}),
        (date(2012, 11, 11), range(945, 1020), {}),  # a Sunday
    ],
)
def test_what_is_missing_of_a_day_of_uncertain_hours(
    day: date, there: Iterable[int], causes: dict[Cause, int]
) -> None:
    missing = of_one(there, day)
    assert missing.by_cause() == causes
    assert missing.unexplained == sum(n for cause, n in causes.items() if cause in UNEXPLAINED)


def test_nothing_is_missing_of_a_day_that_is_not_over() -> None:
    days = days_between(DAY, date(2026, 6, 2))
    missing = explain([SBIN], days, lambda day: held([], day), [], calendar(), over=DAY)
    assert missing.by_day() == {days[0]: {Cause.NO_BARS: 375}, days[1]: {}}


@pytest.mark.parametrize(
    ("time", "segments", "over"),
    [
        ("2026-06-02T16:00", ["NSE"], date(2026, 6, 2)),
        ("2026-06-02T15:29", ["NSE"], DAY),
        ("2026-06-02T18:00", ["NSE", "MCX"], DAY),
        ("2026-06-06T01:00", ["NSE"], date(2026, 6, 6)),
        ("2026-06-02T10:00", ["GLOBAL"], date(2026, 6, 2)),
    ],
)
def test_the_last_day_that_is_over(time: str, segments: list[str], over: date) -> None:
    at = datetime.fromisoformat(time).replace(tzinfo=IST)
    assert last_day_over(calendar(), segments, at) == over


minutes_of_the_day = st.lists(st.integers(OPENS - 10, CLOSES + 10), unique=True, max_size=80)


@given(
    bars=minutes_of_the_day,
    sources=st.sampled_from([1, 2]),
    gap=st.tuples(st.integers(500, 950), st.integers(500, 950)).map(
        lambda pair: (min(pair), max(pair))
    ),
    day=st.sampled_from([DAY, HOLIDAY, MUHURAT, date(2026, 6, 6)]),
)
def test_every_minute_is_there_or_has_one_cause(
    bars: list[int], sources: int, gap: tuple[int, int], day: date
) -> None:
    missing = of_one(bars, day, sources=sources, silences=[silence(*gap)])
    inside = {Cause.NO_TRADE, Cause.OUTAGE, *UNEXPLAINED}
    counts = missing.by_cause()
    expected, present = int(missing.expected[0, 0]), int(missing.present[0, 0])
    assert sum(counts.get(cause, 0) for cause in inside) == expected - present
    told = [
        int(hole.since.hour * 60 + hole.since.minute) + n
        for hole in missing.holes()
        for n in range(hole.minutes)
    ]
    assert len(told) == len(set(told)) == sum(counts.values())
    assert not set(told) & set(bars)


NIFTY = Watched("NSE:NIFTY 50", "INDICES")


def test_an_index_has_no_minute_without_a_trade() -> None:
    """Its bars have volume 0 at any time, which tells nothing of those that are missing."""

    def of_index(minutes: Iterable[int], watched: Watched, sources: int = 1) -> Missing:
        bars = [(0, minute) for minute in minutes]
        return explain(
            [watched],
            [DAY],
            lambda _: held(bars, DAY, sources, quiet=range(OPENS, CLOSES)),
            (),
            calendar(),
        )

    morning = but(range(600, 840))  # 10:00 to 13:59
    assert of_index(morning, NIFTY).by_cause() == {Cause.UNEXPLAINED: 240}
    assert of_index(morning, NIFTY, sources=2).by_cause() == {Cause.UNEXPLAINED: 240}
    assert of_index(but(range(600, 601)), NIFTY).by_cause() == {Cause.UNEXPLAINED: 1}
    assert of_index([], NIFTY).by_cause() == {Cause.NO_BARS: 375}
    # a contract that hardly trades may be silent for as long
    assert of_index(morning, SBIN).by_cause() == {Cause.NO_TRADE: 240}


def test_an_index_without_a_day_is_not_judged_by_its_other_days() -> None:
    days = days_between(DAY, date(2026, 6, 2))
    everything = range(OPENS, CLOSES)

    def held_of(day: date) -> Held:
        bars = [(0, minute) for minute in everything] if day == DAY else []
        return held(bars, day, quiet=everything)

    def found(watched: Watched) -> dict[Cause, int]:
        return explain([watched], days, held_of, (), calendar()).by_cause()

    assert found(NIFTY) == {Cause.NO_BARS: 375}
    assert found(SBIN) == {Cause.NO_TRADE: 375}
