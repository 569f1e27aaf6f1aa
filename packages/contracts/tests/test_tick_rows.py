"""Rows of the tick batch and records of the contract, both ways."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from contract_records import Record, records, tick_rows
from hypothesis import given, settings

from kite_contracts.bounds import tick_bounds
from kite_contracts.errors import RecordError
from kite_contracts.examples import valid_examples
from kite_contracts.schemas import avro_schema, json_schema
from kite_contracts.shape import is_integer
from kite_contracts.store import packaged
from kite_contracts.tick_batch import (
    ABSENT,
    DEPTH,
    FIELD_COUNT,
    FIELDS,
    INDEX_CHANGE,
    LAST_PRICE,
    LAST_TRADE_TIME_NS,
    OHLC,
    OPEN_INTEREST,
    PRICE_SCALE,
    TRADE,
    TS_EVENT_NS,
    Group,
    TickBatch,
    TickMode,
    Verdict,
)
from kite_contracts.tick_rows import COLUMN_PATHS, fill_row, group_of, tick_record
from kite_contracts.validate import explain

LOW, HIGH = tick_bounds().low.tolist(), tick_bounds().high.tolist()
EXAMPLES = valid_examples(packaged().directory, packaged().contract("tick", 1))
FULL = EXAMPLES[4]


@settings(max_examples=300, deadline=None)
@given(row=tick_rows(LOW, HIGH))
def test_a_row_comes_back_from_its_record(row: tuple[list[int], Group, TickMode]) -> None:
    values, groups, mode = row
    batch = TickBatch(2)
    batch.values[0], batch.groups[0], batch.mode[0], batch.size = values, groups, mode, 1
    fill_row(batch, 1, tick_record(batch, 0))
    assert (batch.size, batch.mode[1], batch.groups[1]) == (2, mode, groups)
    for column in range(FIELD_COUNT):
        if group_of(column) in groups or group_of(column) == Group.NONE:
            assert batch.values[1, column] == values[column], FIELDS[column]
    assert tick_record(batch, 1) == tick_record(batch, 0)


@settings(max_examples=200, deadline=None)
@given(record=records(json_schema("tick", 1)))
def test_a_record_of_the_contract_has_a_row(record: Record) -> None:
    batch = TickBatch(1)
    fill_row(batch, 0, record)
    back = tick_record(batch, 0)
    assert explain("tick", 1, back) is None
    optional = {"ts_event_ns", "ohlc", "trade", "open_interest", "index_change", "depth"}
    for name in optional | set(record):
        want = copy.deepcopy(record.get(name))
        if name == "trade" and want is not None:
            want.setdefault("last_trade_time_ns", None)
        assert back[name] == want


def test_the_record_has_the_order_of_the_avro_schema() -> None:
    batch = TickBatch(1)
    fill_row(batch, 0, FULL)
    record = tick_record(batch, 0)
    assert list(record) == [one["name"] for one in avro_schema("tick", 1)["fields"]]
    assert list(record["depth"]["asks"][4]) == ["price", "quantity", "orders"]
    assert record == FULL
    assert all(is_integer(one) for one in record["trade"].values())


def test_the_columns_have_the_order_of_the_contract() -> None:
    named = {
        "/ts_event_ns": TS_EVENT_NS,
        "/price_scale": PRICE_SCALE,
        "/last_price": LAST_PRICE,
        "/ohlc/open": OHLC,
        "/trade/last_quantity": TRADE,
        "/trade/last_trade_time_ns": LAST_TRADE_TIME_NS,
        "/open_interest/oi": OPEN_INTEREST,
        "/index_change/change": INDEX_CHANGE,
        "/depth/bids/0/price": DEPTH,
    }
    assert {path: COLUMN_PATHS.index(path) for path in named} == named
    assert len(COLUMN_PATHS) == FIELD_COUNT
    assert COLUMN_PATHS[-1] == "/depth/asks/4/orders"
    for column, name in enumerate(FIELDS):
        tail = COLUMN_PATHS[column].split("/")
        assert name.split("_")[-1] == tail[-1].split("_")[-1]
    symbols = avro_schema("tick", 1)["fields"][1]["type"]["symbols"]
    assert [mode.name.lower() for mode in TickMode] == symbols


def test_absent_times_are_null() -> None:
    batch = TickBatch(1)
    batch.values[0], batch.groups[0], batch.size = ABSENT, Group.TRADE, 1
    record = tick_record(batch, 0)
    assert record["ts_event_ns"] is None
    assert record["trade"]["last_trade_time_ns"] is None
    # Nothing else may be absent: it is shown as the number it is, which the contract refuses.
    assert record["last_price"] == ABSENT


def test_a_row_out_of_bounds_can_be_explained_and_a_faulty_one_not() -> None:
    batch = TickBatch(2)
    fill_row(batch, 0, {**FULL, "price_scale": 3})
    batch.verdict[0] = 1 + PRICE_SCALE
    violation = explain("tick", 1, tick_record(batch, 0))
    assert violation is not None
    assert (violation.path, violation.keyword) == ("/price_scale", "enum")
    batch.verdict[0] = Verdict.TRUNCATED
    with pytest.raises(RecordError, match="holds no tick"):
        tick_record(batch, 0)
    with pytest.raises(IndexError):
        tick_record(batch, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "depth"},
        {"mode": None},
        {"last_price": 1.5},
        {"last_price": True},
        {"last_price": None},
        {"last_price": 2**63},
        {"ohlc": {"open": 1}},
        {"ohlc": 7},
        {"depth": {"bids": [], "asks": []}},
        {"trade": {**FULL["trade"], "last_trade_time_ns": "now"}},
    ],
)
def test_a_record_without_the_structure_has_no_row(change: dict[str, Any]) -> None:
    batch = TickBatch(1)
    before = batch.values.copy()
    with pytest.raises(RecordError, match="no place in a tick row"):
        fill_row(batch, 0, {**FULL, **change})
    assert batch.size == 0
    assert np.array_equal(batch.values, before)


def test_the_batch_gives_columns_by_name_and_wants_room() -> None:
    batch = TickBatch(2)
    fill_row(batch, 0, FULL)
    assert len(batch) == 1
    assert batch.column("last_price").tolist() == [FULL["last_price"]]
    with pytest.raises(KeyError):
        batch.column("change")
    with pytest.raises(ValueError, match="capacity"):
        TickBatch(0)
