"""Candles become exact integers, or are refused with a reason; nothing raises, nothing is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.rest import CandleFault, parse_candles

STAMP = "2017-12-15T09:15:00+0530"
GOOD: list[Any] = [STAMP, 1700.05, 1702, 1700.0, 1701.1, 120, 5]


def test_integers_and_floats_are_the_same_prices() -> None:
    candles = parse_candles([GOOD, GOOD[:6]])
    assert candles.ts_open_ns[0] == 1_513_309_500 * 10**9
    assert [candles.open[0], candles.high[0], candles.low[0], candles.close[0]] == [
        *(170005, 170200),
        *(170000, 170110),
    ]
    assert candles.volume.tolist() == [120, 120]
    assert candles.oi.tolist() == [5, -1]
    assert candles.number.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("candle", "reason"),
    [
        (None, CandleFault.NOT_A_CANDLE),
        ({}, CandleFault.NOT_A_CANDLE),
        (GOOD[:5], CandleFault.NOT_A_CANDLE),
        ([*GOOD, 1], CandleFault.NOT_A_CANDLE),
        (["2017-12-15T09:15:00", *GOOD[1:]], CandleFault.BAD_TIME),
        (["2017-12-15T25:15:00+0530", *GOOD[1:]], CandleFault.BAD_TIME),
        ([1513309500, *GOOD[1:]], CandleFault.BAD_TIME),
        ([STAMP, float("nan"), *GOOD[2:]], CandleFault.BAD_PRICE),
        ([STAMP, float("inf"), *GOOD[2:]], CandleFault.BAD_PRICE),
        ([STAMP, None, *GOOD[2:]], CandleFault.BAD_PRICE),
        ([STAMP, "1700", *GOOD[2:]], CandleFault.BAD_PRICE),
        ([STAMP, True, *GOOD[2:]], CandleFault.BAD_PRICE),
        ([STAMP, 10**400, *GOOD[2:]], CandleFault.BAD_PRICE),
        ([STAMP, 1e308, *GOOD[2:]], CandleFault.PRICE_OUT_OF_RANGE),
        ([STAMP, -0.05, *GOOD[2:]], CandleFault.NEGATIVE_PRICE),
        ([STAMP, 1700.055, *GOOD[2:]], CandleFault.PRICE_TOO_FINE),
        ([*GOOD[:5], -1, 5], CandleFault.BAD_VOLUME),
        ([*GOOD[:5], 1.5, 5], CandleFault.BAD_VOLUME),
        ([*GOOD[:5], float("nan"), 5], CandleFault.BAD_VOLUME),
        ([*GOOD[:5], 10**19, 5], CandleFault.BAD_VOLUME),
        ([*GOOD[:6], -2], CandleFault.BAD_OI),
        ([*GOOD[:6], None], CandleFault.BAD_OI),
    ],
)
def test_a_bad_candle_is_refused_and_its_neighbours_are_kept(
    candle: Any, reason: CandleFault
) -> None:
    candles = parse_candles([GOOD, candle, GOOD])
    assert candles.number.tolist() == [1, 3]
    (refused,) = candles.refused
    assert (refused.number, refused.reason) == (2, reason)
    assert refused.message
    assert json.dumps(candle).startswith(refused.raw)


def test_commodities_may_be_negative() -> None:
    candle = [STAMP, -37.5, 1, -38, 0, 5]
    assert parse_candles([candle], negative_prices=True).open.tolist() == [-3750]


@given(
    prices=st.lists(st.integers(0, 10**9), min_size=4, max_size=4),
    scale=st.sampled_from([2, 4]),
    minutes=st.integers(0, 60 * 24 * 365 * 40),
)
def test_every_decimal_of_the_scale_survives_json(
    prices: list[int], scale: int, minutes: int
) -> None:
    time = datetime(1995, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    text = [f"{price // 10**scale}.{price % 10**scale:0{scale}}" for price in prices]
    answer = f'["{time:%Y-%m-%dT%H:%M:%S%z}", {", ".join(text)}, 7]'
    candles = parse_candles([json.loads(answer)], scale)
    assert candles.refused == ()
    assert [candles.open, candles.high, candles.low, candles.close] == prices
    assert candles.ts_open_ns.tolist() == [int(time.timestamp()) * 10**9]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(STAMP),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(st.lists(anything | st.tuples(st.just(STAMP), *[anything] * 5).map(list), max_size=6))
def test_nothing_that_json_can_hold_raises(rows: list[Any]) -> None:
    candles = parse_candles(rows)
    assert len(candles) + len(candles.refused) == len(rows)
    assert sorted([*candles.number, *(each.number for each in candles.refused)]) == list(
        range(1, len(rows) + 1)
    )
