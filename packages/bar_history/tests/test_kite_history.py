"""The source ``kite`` against the simulator: whole bars alone, exact, and nothing lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from kite_bar_history.kite_history import KiteHistory
from kite_bar_history.protocol import Reading, RefusedLine, Window
from kite_bar_history.summary import RunSummary
from kite_bar_history.universe import Listed
from kite_bars_store.bars import (
    NO_OI,
    BarInstrument,
)
from kite_bars_store.bars.sql import nanoseconds
from kite_broker_zerodha.errors import AuthRefused, KiteUnavailable
from kite_broker_zerodha.rest import Candles, KiteRest, Pace, Retries
from kite_broker_zerodha.rest.limits import CallKind
from kite_contracts.sessions import SessionCalendar
from kite_runtime.clock import IST
from kite_simulator import Account, RestFault, RestOptions, RestSimulator

OPENS = datetime(2026, 1, 5, 9, 15, tzinfo=IST)
MIDNIGHT = OPENS.replace(hour=0, minute=0)
EVENING = OPENS.replace(hour=18)
MINUTE = timedelta(minutes=1)
SBIN = Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE", 779521)
INFY = Listed(BarInstrument("NSE", "INFY", 2, 5), "NSE", 408065)


class Clock:
    now = EVENING

    def __call__(self) -> datetime:
        return self.now.astimezone(UTC)


@pytest.fixture()
def clock() -> Clock:
    return Clock()


@pytest.fixture()
def simulator(clock: Clock) -> Iterator[RestSimulator]:
    account = Account("key", open_until_login=True)
    with RestSimulator(RestOptions(day=date(2026, 1, 5)), account, now=clock) as kite:
        yield kite


@pytest.fixture()
def source(
    simulator: RestSimulator, clock: Clock, calendar: SessionCalendar
) -> Iterator[KiteHistory]:
    pace = Pace(dict.fromkeys(CallKind, 10_000.0))
    retries = Retries(attempts=2, first_s=0.01, cap_s=0.01)
    with KiteRest("key", "access", root=simulator.root, pace=pace, retries=retries) as kite:
        yield KiteHistory(kite, calendar, now=clock)


def future(simulator: RestSimulator) -> Listed:
    name, token = next(
        (name, token)
        for name, token in simulator.service.master.tokens.items()
        if name.startswith("NFO:NIFTY") and name.endswith("FUT")
    )
    return Listed(BarInstrument("NFO", name.partition(":")[2], 2, 5), "NFO", token)


def test_a_window_of_several_instruments(source: KiteHistory, simulator: RestSimulator) -> None:
    window = Window([SBIN, INFY, future(simulator)], "m1", OPENS, OPENS + 10 * MINUTE)
    (bars,) = source.read(window).bars
    assert (bars.source, bars.interval, bars.purpose) == ("kite", "m1", "history")
    assert bars.bars.instrument.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert (bars.bars.oi[:20] == NO_OI).all()
    assert (bars.bars.oi[20:] > 0).all()
    assert bars.parameters["tokens"]["NSE:SBIN"] == 779521
    assert bars.parameters["from"] == "2026-01-05T09:15:00+05:30"
    assert bars.parameters["to"] == "2026-01-05T09:25:00+05:30"
    assert source.calls == 3


@pytest.mark.parametrize(
    ("seconds_after_0925", "bars"), [(0, 9), (9, 9), (10, 10), (59, 10), (69, 10), (70, 11)]
)
def test_the_running_bar_is_dropped_until_it_has_settled(
    source: KiteHistory, clock: Clock, seconds_after_0925: int, bars: int
) -> None:
    clock.now = OPENS + 10 * MINUTE + timedelta(seconds=seconds_after_0925)
    (found,) = source.read(Window([SBIN], "m1", MIDNIGHT, EVENING)).bars
    assert len(found.bars) == bars


@pytest.mark.parametrize(("hour", "days"), [(9, 2), (15, 2), (18, 3)])
def test_the_bar_of_a_day_is_whole_after_its_close(
    source: KiteHistory, clock: Clock, hour: int, days: int
) -> None:
    clock.now = OPENS.replace(hour=hour, minute=20)
    since = MIDNIGHT - timedelta(days=4)
    (found,) = source.read(Window([SBIN], "d1", since, MIDNIGHT + timedelta(days=1))).bars
    assert len(found.bars) == days
    last = MIDNIGHT if days == 3 else MIDNIGHT - timedelta(days=3)
    assert found.bars.ts_open_ns[-1] == int(last.timestamp()) * 10**9


def test_the_future_is_not_asked_for(source: KiteHistory, simulator: RestSimulator) -> None:
    tomorrow = MIDNIGHT + timedelta(days=1)
    assert source.read(Window([SBIN], "m1", tomorrow, tomorrow + timedelta(days=1))).bars == ()
    assert source.read(Window([SBIN], "m1", MIDNIGHT - timedelta(days=2), MIDNIGHT)).bars == ()
    assert len(simulator.service.served) == 1


def test_an_instrument_that_cannot_be_had_does_not_stop_the_others(source: KiteHistory) -> None:
    nobody = Listed(BarInstrument("NSE", "NOBODY"), "NSE", 12345 << 8 | 1)
    unknown = Listed(BarInstrument("NSE", "UNKNOWN"), "NSE", None)
    reading = source.read(Window([unknown, nobody, SBIN], "m1", OPENS, OPENS + MINUTE))
    (bars,) = reading.bars
    assert [each.tradingsymbol for each in bars.instruments] == ["SBIN"]
    assert [each.reason for each in reading.refused] == ["NO_TOKEN", "REQUEST_REFUSED"]
    assert "NSE:UNKNOWN" in reading.refused[0].message
    assert "NSE:NOBODY" in reading.refused[1].message


def test_a_dead_login_does(source: KiteHistory, simulator: RestSimulator) -> None:
    simulator.service.fail_next(RestFault.REFUSE)
    with pytest.raises(AuthRefused):
        source.read(Window([SBIN], "m1", OPENS, OPENS + MINUTE))


def test_a_candle_that_is_none_is_kept_as_a_line_to_mend(
    source: KiteHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        ["2026-01-05T09:15:00+0530", 100, 101.5, 99, 100.05, 7],
        ["2026-01-05T09:16:00+0530", float("nan"), 101.5, 99, 100.05, 7],
        ["2026-01-05T09:17:00+0530", None],
    ]

    def answer(self: object, data: object) -> dict[str, object]:
        return {"candles": rows}

    monkeypatch.setattr("kite_broker_zerodha.rest.client._Client._format_historical", answer)
    reading = source.read(Window([SBIN], "m1", OPENS, OPENS + 5 * MINUTE))
    (bars,) = reading.bars
    assert bars.bars.close.tolist() == [10005]
    assert bars.rows_refused == 2
    assert [(each.line, each.reason) for each in reading.refused] == [
        (2, "BAD_PRICE"),
        (3, "NOT_A_CANDLE"),
    ]
    assert isinstance(reading.refused[0], RefusedLine)
    assert reading.refused[0].raw == "NSE,SBIN,2026-01-05T09:16:00+0530,nan,101.5,99,100.05,7"


class Answers:
    """A client that answers with these bars, whatever it is asked for."""

    def __init__(self, *opens: datetime) -> None:
        self._opens = opens

    def historical(self, *_: object, **__: object) -> Candles:
        times = np.array([nanoseconds(each) for each in self._opens], np.int64)
        hundred = np.full(len(times), 100, np.int64)
        oi = np.full(len(times), NO_OI, np.int64)
        number = np.arange(1, len(times) + 1)
        return Candles(times, hundred, hundred, hundred, hundred, hundred, oi, number, 2)


def test_days_that_were_not_asked_for_are_left_out_and_counted(calendar: SessionCalendar) -> None:
    day = [OPENS + MINUTE * at for at in range(375)]
    both = [*(each - timedelta(3) for each in day), *day]
    history = KiteHistory(Answers(*both), calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    reading = history.read(Window([SBIN], "m1", MIDNIGHT, MIDNIGHT + timedelta(1)))
    (bars,) = reading.bars
    assert len(bars.bars) == 375
    assert reading.not_asked == 375
    assert bars.bars.ts_open_ns.min() == nanoseconds(OPENS)


def test_wider_bars_than_asked_for_are_refused(calendar: SessionCalendar) -> None:
    wide = [OPENS + MINUTE * at for at in range(0, 375, 5)]
    history = KiteHistory(Answers(*wide), calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    reading = history.read(Window([SBIN, INFY], "m1", MIDNIGHT, MIDNIGHT + timedelta(1)))
    assert reading.bars == ()
    assert [each.reason for each in reading.refused] == ["WRONG_INTERVAL"] * 2
    assert "NSE:SBIN" in reading.refused[0].message
    assert "bars of 5 minutes" in reading.refused[0].message


class Broken(Answers):
    """Has no answer for these tokens, whatever is tried."""

    def __init__(self, *tokens: int) -> None:
        super().__init__(OPENS, OPENS + MINUTE)
        self.broken = set(tokens)
        self.asked: list[int] = []

    def historical(self, token: int, *_: object, **__: object) -> Candles:  # type: ignore[override]
        self.asked.append(token)
        if token in self.broken:
            raise KiteUnavailable("Kite answers with HTTP 502")
        return super().historical()


DAY = Window([SBIN, INFY], "m1", MIDNIGHT, MIDNIGHT + timedelta(1))


def names_of(reading: Reading) -> list[str]:
    return [each.tradingsymbol for bars in reading.bars for each in bars.instruments]


def test_an_instrument_without_an_answer_is_put_aside_and_named(calendar: SessionCalendar) -> None:
    kite = Broken(779521)
    history = KiteHistory(kite, calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    for _ in range(2):
        reading = history.read(DAY)
        assert names_of(reading) == ["INFY"]
        assert [each.reason for each in reading.refused] == ["NO_ANSWER"]
        assert reading.refused[0].message == (
            "NSE:SBIN is put aside, others go on: Kite answers with HTTP 502"
        )
    assert kite.asked == [779521, 408065, 408065]  # once is enough, with all its retries


def neighbours(count: int) -> list[Listed]:
    names = [replace(SBIN.instrument, tradingsymbol=f"S{number}") for number in range(count)]
    return [replace(SBIN, instrument=each, token=at) for at, each in enumerate(names, 1)]


def test_neighbours_without_an_answer_are_put_aside_too(calendar: SessionCalendar) -> None:
    listed = neighbours(7)
    kite = Broken(2, 3, 4, 5)
    history = KiteHistory(kite, calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    reading = history.read(replace(DAY, listed=listed))
    assert names_of(reading) == ["S0", "S5", "S6"]
    assert len(reading.refused) == 4


def test_five_in_a_row_mean_that_kite_is_away(calendar: SessionCalendar) -> None:
    kite = Broken(*range(1, 9))
    history = KiteHistory(kite, calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    with pytest.raises(KiteUnavailable):
        history.read(replace(DAY, listed=neighbours(8)))
    assert kite.asked == [1, 2, 3, 4, 5]


def test_a_row_of_neighbours_does_not_stop_the_others(calendar: SessionCalendar) -> None:
    kite = Broken(*range(2, 14))
    history = KiteHistory(kite, calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    reading = history.read(replace(DAY, listed=neighbours(15)))
    assert names_of(reading) == ["S0", "S13", "S14"]
    assert len(reading.refused) == 12
    assert kite.asked.count(1) == 1 + 12 // 5  # it answers still, so Kite is not away


def test_one_that_fails_after_others_is_put_aside_too(calendar: SessionCalendar) -> None:
    kite = Broken(408065)
    history = KiteHistory(kite, calendar, now=lambda: EVENING)  # type: ignore[arg-type]
    assert names_of(history.read(DAY)) == ["SBIN"]
    assert names_of(history.read(DAY)) == ["SBIN"]


@pytest.mark.parametrize(
    ("read", "refused", "code"),
    [({}, 1, 75), ({"kite": 5}, 1, 3), ({"vendor": 5}, 1, 3), ({"kite": 5}, 0, 0)],
)
def test_try_later_is_said_only_where_nothing_was_possible(
    read: dict[str, int], refused: int, code: int
) -> None:
    summary = RunSummary(read=Counter(read), refused=Counter({"NO_ANSWER": refused}))
    assert summary.exit_code == code
