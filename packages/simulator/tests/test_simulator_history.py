"""The simulator's candles: like the feed's market, within Kite's limits, the same by seed; and the
official client reads the same in them as ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from kiteconnect import KiteConnect  # type: ignore[import-untyped]
from kiteconnect import exceptions as official

from kite_broker_zerodha.errors import AuthRefused, InputRefused, KiteUnavailable
from kite_broker_zerodha.rest import Candles, KiteRest, Pace, Retries, spans
from kite_broker_zerodha.rest.limits import CallKind
from kite_contracts.sessions import SessionCalendar
from kite_runtime.clock import IST
from kite_simulator import (
    Account,
    Lost,
    Restated,
    RestFault,
    RestOptions,
    RestSimulator,
    ScriptError,
    parse_history_script,
)
from kite_simulator.history import History
from kite_simulator.market import Market

DAY = date(2026, 1, 5)
OPENS = datetime(2026, 1, 5, 9, 15, tzinfo=IST)
FRIDAY = datetime(2026, 1, 2, 9, 15, tzinfo=IST)
NIFTY, SBIN = 256265, 779521
MINUTE = timedelta(minutes=1)
CALENDAR = SessionCalendar.load()


class Clock:
    now = OPENS.replace(hour=18)

    def __call__(self) -> datetime:
        return self.now.astimezone(UTC)


@pytest.fixture()
def clock() -> Clock:
    return Clock()


@pytest.fixture()
def kite(clock: Clock) -> Iterator[RestSimulator]:
    account = Account("key", "secret", open_until_login=True)
    with RestSimulator(RestOptions(day=DAY), account, now=clock) as simulator:
        yield simulator


@pytest.fixture()
def rest(kite: RestSimulator) -> Iterator[KiteRest]:
    fast = Pace(dict.fromkeys(CallKind, 10_000.0))
    quick = Retries(attempts=3, first_s=0.01, cap_s=0.01)
    with KiteRest("key", "access", root=kite.root, pace=fast, retries=quick) as client:
        yield client


def rows(candles: Candles) -> list[list[int]]:
    names = ("ts_open_ns", "open", "high", "low", "close", "volume", "oi")
    table: list[list[int]] = np.stack([getattr(candles, name) for name in names], axis=1).tolist()
    return table


def ns(time: datetime) -> int:
    return int(time.timestamp()) * 10**9


def future_of(kite: RestSimulator, exchange: str) -> int:
    tokens = kite.service.master.tokens
    return next(t for key, t in sorted(tokens.items()) if key.startswith(exchange) and "FUT" in key)


@pytest.mark.parametrize("interval", ["minute", "15minute", "60minute", "day"])
@pytest.mark.parametrize("exchange", ["NSE", "NFO", "CDS"])
def test_the_official_client_reads_the_same(
    kite: RestSimulator, rest: KiteRest, interval: str, exchange: str
) -> None:
    token = SBIN if exchange == "NSE" else future_of(kite, exchange)
    since, until = FRIDAY.replace(hour=0, minute=0), OPENS + timedelta(days=1)
    ours = rest.historical(token, interval, since, until)
    oracle = KiteConnect("key", "access", root=kite.root)
    oracle.reqsession.trust_env = False
    theirs: list[dict[str, Any]] = oracle.historical_data(
        token, since.replace(tzinfo=None), until.replace(tzinfo=None), interval, oi=True
    )
    assert len(theirs) == len(ours) > 1
    assert ours.refused == ()
    assert [row[0] for row in rows(ours)] == [ns(each["date"]) for each in theirs]
    for row, each in zip(rows(ours), theirs, strict=True):
        prices = [Decimal(str(each[name])) for name in ("open", "high", "low", "close")]
        assert [Decimal(price).scaleb(-ours.price_scale) for price in row[1:5]] == prices
        assert row[5:] == [each["volume"], each["oi"]]


def test_a_day_agrees_with_the_feed_before_and_at_its_opening(rest: KiteRest) -> None:
    market = Market(seed=1)
    market.add([SBIN])
    first = int.from_bytes(market.packet(SBIN)[28:32], "big")
    close = int.from_bytes(market.packet(SBIN)[40:44], "big")
    bars = rest.historical(SBIN, "minute", FRIDAY, OPENS + MINUTE)
    assert bars.open[-1] == first
    assert bars.close[-2] == close
    assert len(bars) == 375 + 1


def test_minutes_are_those_of_the_session_and_of_the_seed_alone(rest: KiteRest) -> None:
    bars = rest.historical(SBIN, "minute", FRIDAY - timedelta(days=2), OPENS + timedelta(days=2))
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2), DAY]
    expected = np.concatenate([CALENDAR.expected_minutes("NSE", day) for day in days])
    assert bars.ts_open_ns.tolist() == expected.tolist()
    again = History(1).minutes(SBIN, FRIDAY, FRIDAY + 374 * MINUTE, OPENS)
    other = History(2).minutes(SBIN, FRIDAY, FRIDAY + 374 * MINUTE, OPENS)
    assert again[:, 1:5].tolist() == [row[1:5] for row in rows(bars) if row[0] in again[:, 0]]
    assert other[:, 4].tolist() != again[:, 4].tolist()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    flat = bars.volume == 0
    assert 0 < flat.sum() < 0.05 * len(bars)
    assert (bars.high[flat] == bars.low[flat]).all()
    assert (bars.close[np.flatnonzero(flat) - 1] == bars.open[flat]).all()


def test_the_running_minute_is_there_and_grows(rest: KiteRest, clock: Clock) -> None:
    clock.now = OPENS + 10 * MINUTE + timedelta(seconds=5)
    early = rows(rest.historical(SBIN, "minute", OPENS, OPENS + 60 * MINUTE))
    clock.now += timedelta(seconds=40)
    late = rows(rest.historical(SBIN, "minute", OPENS, OPENS + 60 * MINUTE))
    clock.now += MINUTE
    whole = rows(rest.historical(SBIN, "minute", OPENS, OPENS + 60 * MINUTE))
    assert len(early) == len(late) == 11
    assert len(whole) == 12
    assert early[:10] == late[:10] == whole[:10]
    assert early[10][5] < late[10][5] < whole[10][5]
    assert early[10][2] <= late[10][2] <= whole[10][2]


def test_longer_candles_are_made_of_the_minutes_that_were_asked_for(rest: KiteRest) -> None:
    hours = rest.historical(SBIN, "60minute", OPENS, OPENS + timedelta(hours=2, minutes=5))
    assert [row[0] for row in rows(hours)] == [ns(OPENS + timedelta(hours=n)) for n in range(3)]
    minutes = rest.historical(SBIN, "minute", OPENS, OPENS + timedelta(hours=2, minutes=5))
    assert hours.volume[0] == minutes.volume[:60].sum()
    assert hours.close[2] == minutes.close[-1]
    days = rest.historical(SBIN, "day", FRIDAY, OPENS + timedelta(days=1))
    assert [row[0] for row in rows(days)] == [ns(OPENS.replace(hour=0, minute=0))]


def test_the_end_is_not_included_and_kites_own_is(kite: RestSimulator, rest: KiteRest) -> None:
    ours = rest.historical(SBIN, "minute", OPENS, OPENS + 5 * MINUTE)
    oracle = KiteConnect("key", "access", root=kite.root)
    oracle.reqsession.trust_env = False
    theirs = oracle.historical_data(SBIN, "2026-01-05 09:15:00", "2026-01-05 09:20:00", "minute")
    assert (len(ours), len(theirs)) == (5, 6)


def test_lost_minutes_and_corporate_actions_show(kite: RestSimulator, rest: KiteRest) -> None:
    before = rows(rest.historical(SBIN, "minute", FRIDAY, OPENS + 10 * MINUTE))
    kite.service.history.change(
        lost=[Lost(SBIN, OPENS + 2 * MINUTE, OPENS + 5 * MINUTE)],
        restated=[Restated(SBIN, DAY, Fraction(1, 2))],
    )
    after = rows(rest.historical(SBIN, "minute", FRIDAY, OPENS + 10 * MINUTE))
    gone = {row[0] for row in before} - {row[0] for row in after}
    assert gone == {ns(OPENS + n * MINUTE) for n in (2, 3, 4)}
    assert after[375:] == [row for row in before[375:] if row[0] not in gone]
    for old, new in zip(before[:375], after[:375], strict=True):
        assert abs(new[4] * 2 - old[4]) <= 1
        assert new[5] == old[5] * 2
    kite.service.history.forget_changes()
    assert rows(rest.historical(SBIN, "minute", FRIDAY, OPENS + 10 * MINUTE)) == before


@pytest.mark.parametrize("interval", ["minute", "5minute", "30minute", "60minute", "day"])
def test_spans_are_what_kite_takes_and_not_a_day_more(rest: KiteRest, interval: str) -> None:
    since = datetime(2015, 1, 1, tzinfo=IST)
    pieces = spans(interval, since, since + timedelta(days=4500))
    assert pieces[0][0] == since
    assert pieces[-1][1] == since + timedelta(days=4500)
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    rest.historical(NIFTY, interval, *pieces[-1])
    longest = pieces[0][1] - pieces[0][0]
    with pytest.raises(InputRefused, match="exceeds max limit"):
        rest.historical(NIFTY, interval, since, since + longest + timedelta(days=1))


def test_what_kite_refuses(kite: RestSimulator, rest: KiteRest) -> None:
    with pytest.raises(InputRefused, match="invalid token"):
        rest.historical(1, "minute", OPENS, OPENS + MINUTE)
    with pytest.raises(InputRefused, match="no interval"):
        rest.historical(SBIN, "2minute", OPENS, OPENS + MINUTE)
    with pytest.raises(InputRefused, match="after"):
        rest.historical(SBIN, "minute", OPENS, OPENS - MINUTE)
    with pytest.raises(InputRefused, match="continuous"):
        rest.historical(SBIN, "day", OPENS, OPENS + MINUTE, continuous=True)
    with pytest.raises(ValueError, match="time zone"):
        rest.historical(SBIN, "minute", OPENS.replace(tzinfo=None), OPENS)
    oracle = KiteConnect("key", "access", root=kite.root)
    oracle.reqsession.trust_env = False
    for wrong in ("yesterday", ""):
        with pytest.raises(official.InputException, match="invalid from date"):
            oracle.historical_data(SBIN, wrong, "2026-01-05", "minute")


def test_faults_are_met_like_those_of_any_call(kite: RestSimulator, rest: KiteRest) -> None:
    for passing in (RestFault.TOO_MANY, RestFault.SERVER, RestFault.GATEWAY, RestFault.TRUNCATE):
        kite.service.fail_next(passing)
        assert len(rest.historical(SBIN, "minute", OPENS, OPENS + MINUTE)) == 1
    kite.service.fail_next(RestFault.HTML)
    with pytest.raises(KiteUnavailable):
        rest.historical(SBIN, "minute", OPENS, OPENS + MINUTE)
    kite.service.fail_next(RestFault.REFUSE)
    with pytest.raises(AuthRefused):
        rest.historical(SBIN, "minute", OPENS, OPENS + MINUTE)
    paths = {each.path for each in kite.service.served}
    assert paths == {f"/instruments/historical/{SBIN}/minute"}
    assert len(kite.service.served) == 4 * 2 + 2


def test_a_script_changes_the_history_from_the_beginning(clock: Clock) -> None:
    text = f"""
    lost {SBIN} 2026-01-05T09:17 2026-01-05T09:20   # three minutes
    restated {NIFTY} 2026-01-05 1/2; restated {SBIN} 2026-01-05 0.5
    """
    changes = parse_history_script(text)
    assert changes.restated[1] == Restated(SBIN, DAY, Fraction(1, 2))
    account = Account("key", open_until_login=True)
    options = RestOptions(day=DAY, history=changes)
    plain = History(1, lambda: CALENDAR).minutes(SBIN, FRIDAY, OPENS + 9 * MINUTE, clock())
    with (
        RestSimulator(options, account, now=clock) as kite,
        KiteRest("key", "access", root=kite.root) as rest,
    ):
        found = rest.historical(SBIN, "minute", FRIDAY, OPENS + 10 * MINUTE)
    assert len(found) == len(plain) - 3
    assert abs(found.close[0] * 2 - plain[0, 4]) <= 1
    assert found.close[-1] == plain[-1, 4]


@pytest.mark.parametrize(
    "line",
    [
        "lost",
        f"lost {SBIN} 2026-01-05T09:20 2026-01-05T09:17",
        f"lost {SBIN} yesterday 2026-01-05T09:17",
        f"restated {SBIN} 2026-01-05 1/0",
        f"restated {SBIN} 2026-01-05 -1",
        "restated INFY 2026-01-05 1/2",
        f"forgotten {SBIN} 2026-01-05 1/2",
    ],
)
def test_a_script_that_makes_no_sense_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_history_script(f"lost {SBIN} 2026-01-05T09:17 2026-01-05T09:20; {line}")
    assert repr(line) in str(caught.value)
