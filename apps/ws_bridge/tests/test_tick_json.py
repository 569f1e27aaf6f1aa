"""Ticks as JSON: prices exact, times in UTC, absent fields null."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_contracts.tick_batch import ABSENT, FIELDS, Group, TickBatch, TickMode, Verdict
from kite_ws_bridge.tick_json import fault_object, price_text, tick_object, time_text


@pytest.mark.parametrize(
    ("raw", "scale", "text"),
    [
        (256265, 2, "2562.65"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-3700, 2, "-37.00"),
        (-5, 2, "-0.05"),
        (833275000, 7, "83.3275000"),
        (833275, 4, "83.3275"),
        (2**31 - 1, 7, "214.7483647"),
        (-(2**31), 2, "-21474836.48"),
        (1_000_000_000, 2, "10000000.00"),
    ],
)
def test_prices_are_exact_decimals(raw: int, scale: int, text: str) -> None:
    assert price_text(raw, scale) == text


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([2, 4, 7]))
def test_no_price_loses_a_digit(raw: int, scale: int) -> None:
    text = price_text(raw, scale)
    assert "E" not in text
    assert Decimal(text) * 10**scale == raw
    assert len(text.partition(".")[2]) == scale


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_767_584_700_000_000_000, "2026-01-05T03:45:00Z"),
        (1_767_584_700_000_000_001, "2026-01-05T03:45:00.000000001Z"),
        (1_767_584_700_120_000_000, "2026-01-05T03:45:00.120000000Z"),
        ((2**32 - 1) * 10**9, "2106-02-07T06:28:15Z"),
        (None, None),
    ],
)
def test_times_are_iso_8601_in_utc(ns: int | None, text: str | None) -> None:
    assert time_text(ns) == text


@given(st.integers(0, 2**32 - 1))
def test_whole_seconds_read_back_as_what_they_were(seconds: int) -> None:
    text = time_text(seconds * 1_000_000_000)
    assert text is not None
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(seconds, UTC)


def row(mode: TickMode, groups: Group, **values: int) -> TickBatch:
    batch = TickBatch(1)
    batch.size = 1
    batch.values[:] = np.arange(1, len(FIELDS) + 1)
    batch.mode[0], batch.groups[0], batch.verdict[0] = mode, groups, Verdict.OK
    for name, value in {"price_scale": 2, **values}.items():
        batch.values[0, FIELDS.index(name)] = value
    return batch


NAMES = [
    "instrument_token",
    "mode",
    "last_price",
    "ts_event",
    "open",
    "high",
    "low",
    "close",
    "last_quantity",
    "average_price",
    "volume_day",
    "total_buy_quantity",
    "total_sell_quantity",
    "oi",
    "oi_day_high",
    "oi_day_low",
    "last_trade_time",
    "index_change",
    "bids",
    "asks",
]


@pytest.mark.parametrize("groups", [Group.NONE, Group.OHLC | Group.INDEX, Group(23)])
def test_every_tick_has_the_same_names(groups: Group) -> None:
    """A pipe can rely on each name; what the packet does not carry is null or an empty list."""
    assert sorted(tick_object(row(TickMode.LTP, groups), 0)) == sorted(NAMES)


def test_a_group_that_is_not_there_is_null_whatever_its_columns_hold() -> None:
    found = tick_object(row(TickMode.LTP, Group.NONE, ts_event_ns=ABSENT), 0)
    assert {name for name, value in found.items() if value is not None} == {
        "instrument_token",
        "mode",
        "last_price",
        "bids",
        "asks",
    }
    assert found["bids"] == found["asks"] == []


def test_a_row_out_of_bounds_names_field_and_value() -> None:
    batch = row(TickMode.FULL, Group.NONE, ts_event_ns=5)
    batch.verdict[0] = 1 + FIELDS.index("ts_event_ns")
    batch.start[0], batch.end[0] = 2, 4
    assert fault_object(batch, 0, b"\x00\x01\xab\xcd\xef") == {
        "reason": "SEMANTIC_RANGE",
        "field": "ts_event_ns",
        "value": 5,
        "instrument_token": 1,
        "raw": "abcd",
    }


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.TRUNCATED, "DECODE_TRUNCATED"),
        (Verdict.UNKNOWN_PACKET, "DECODE_UNKNOWN_PACKET"),
        (Verdict.TRAILING_BYTES, "DECODE_TRAILING_BYTES"),
    ],
)
def test_a_row_that_was_not_read_shows_no_field(verdict: Verdict, reason: str) -> None:
    batch = row(TickMode.LTP, Group.NONE)
    batch.verdict[0] = verdict
    batch.start[0], batch.end[0] = 0, 1
    assert fault_object(batch, 0, b"\xff") == {"reason": reason, "raw": "ff"}
