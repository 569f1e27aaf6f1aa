"""Questions about many golden bars at once, on the real Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal

import pytest
from bar_samples import DAY, SBIN, TCS, at, calendar, rising, rules, source, when
from masters import Row, day
from masters import snapshot as dump

from kite_bars_store.bars import BarStore, BarSurvey, Surveyed, Verdict
from kite_bars_store.database import Connection, connect, snapshot
from kite_bars_store.errors import DatabaseRefused
from kite_bars_store.instruments import InstrumentStore

SPAN = when(-555), when(2_000)


@pytest.fixture()
def survey(connection: Connection) -> BarSurvey:
    """Two instruments; TCS differs at three minutes by 4, 0 and 40 bps."""
    store = BarStore(connection, rules(), calendar())
    kite, vendor = rising(10), rising(10)
    for minute, more in ((2, 4), (5, 40)):
        first, high, low, close, volume = vendor[minute]
        vendor[minute] = (first, high + more, low, close, volume)
    vendor[7] = (*vendor[7][:4], 2 * kite[7][4])
    store.merge([source("kite", kite, TCS), source("vendor", vendor, TCS)])
    store.merge([source("kite", rising(3), SBIN)])
    return BarSurvey(connection)


def names(found: Sequence[Surveyed]) -> list[str]:
    return [each.name for each in found]


def test_who_has_bars(survey: BarSurvey) -> None:
    assert survey.names() == ["NSE:SBIN", "NSE:TCS"]
    assert names(survey.instruments(*SPAN)) == ["NSE:SBIN", "NSE:TCS"]
    assert names(survey.instruments(when(5), when(9))) == ["NSE:TCS"]
    assert names(survey.instruments(*SPAN, ["NSE:SBIN", "NSE:X"])) == ["NSE:SBIN"]
    assert names(survey.instruments(*SPAN, observed=True)) == ["NSE:SBIN", "NSE:TCS"]
    assert survey.instruments(when(100), when(200)) == []


def test_every_bar_judged(survey: BarSurvey) -> None:
    found = survey.instruments(*SPAN)
    bars = survey.judged(found[::-1], *SPAN)  # in any order of the instruments
    tcs = bars["instrument"] == 0
    verdicts = Counter(Verdict(code) for code in bars["verdict"][tcs].tolist())
    assert verdicts == {Verdict.AGREED: 7, Verdict.CONFLICT_BROKER_WON: 2, Verdict(2): 1}
    assert sorted(bars["ts_open"][~tcs].tolist()) == [at(0), at(1), at(2)]
    assert set(bars["traded"].tolist()) == {1}


def test_sizes_of_conflicts_and_the_largest(survey: BarSurvey) -> None:
    found = survey.instruments(*SPAN)
    assert survey.conflict_sizes(found, *SPAN, [1, 10, 50], [100, 5_000]) == [(0, 3, 1), (3, 0, 1)]
    assert survey.conflict_sizes(found[:1], *SPAN, [1], [1]) == []
    first, second = survey.largest_conflicts(found, *SPAN, limit=9)
    assert (first.ts_open, first.instrument, first.won.source, first.other.source) == (
        *(when(5), 1, "kite", "vendor"),
    )
    assert (first.other.high - first.won.high, first.tick) == (40, Decimal("0.05"))
    assert 39 < first.price_bps < 40
    assert [second.price_bps, second.volume_bps] == [0, 5_000]
    assert survey.largest_conflicts(found, *SPAN, limit=1) == [first]


def test_a_derived_interval_is_not_surveyed(connection: Connection) -> None:
    with pytest.raises(ValueError, match="m5 is derived"):
        BarSurvey(connection, "m5")


def test_months_that_have_bars(survey: BarSurvey, connection: Connection) -> None:
    store = BarStore(connection, rules(), calendar())
    assert store.months() == [("m1", DAY.replace(day=1))]
    assert store.months("d1") == []


def test_many_histories_and_who_has_futures(connection: Connection) -> None:
    store = InstrumentStore(connection)
    future = Row("SBIN26AUGFUT", 1, name="SBIN", instrument_type="FUT", expiry=day(5))
    stock = Row("SBIN", 2, exchange="NSE", name="STATE BANK", instrument_type="EQ")
    option = Row("TCS26AUG4000CE", 3, name="TCS", expiry=day(9))
    store.record(dump(0, [future, stock, option], ("NFO", "NSE")))
    store.record(dump(2, [stock, option], ("NFO", "NSE")))
    keys = [("NFO", "SBIN26AUGFUT"), ("NSE", "SBIN"), ("NSE", "NOBODY")]
    found = store.histories(keys)
    assert [(key, each.valid_from, each.valid_to) for key in keys[:2] for each in found[key]] == [
        (keys[0], day(0), day(2)),
        (keys[1], day(0), None),
    ]
    assert keys[2] not in found
    assert store.with_futures(day(1), day(4)) == {"SBIN"}
    (known,) = store.futures("NFO", "SBIN")
    assert (known.tradingsymbol, known.expiry, known.valid_to) == ("SBIN26AUGFUT", day(5), day(2))
    assert store.futures("NFO", "TCS") == store.futures("BFO", "SBIN") == []
    assert store.with_futures(day(2), day(4)) == set()
    assert store.with_futures(day(-9), day(-1)) == set()


def test_reads_of_one_moment(survey: BarSurvey, connection: Connection, migrated_dsn: str) -> None:
    found = survey.instruments(*SPAN)
    with snapshot(connection, "reading twice"):
        before = survey.judged(found, *SPAN)["ts_open"]
        with closing(connect(migrated_dsn, application_name="another")) as other:
            BarStore(other, rules(), calendar()).drop_projection()
        assert len(survey.judged(found, *SPAN)["ts_open"]) == len(before) == 13
        with pytest.raises(DatabaseRefused):
            BarStore(connection, rules(), calendar()).rebuild()
    assert len(survey.judged(found, *SPAN)["ts_open"]) == 0
