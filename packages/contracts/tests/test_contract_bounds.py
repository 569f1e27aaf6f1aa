"""The compiled bounds: the same verdict as ``jsonschema`` on every row, and no rule left out."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from contract_records import Schema, tick_rows
from hypothesis import example, given, settings

from kite_contracts.bounds import check_row, compile_bounds, tick_bounds
from kite_contracts.errors import SchemaError, UnknownContractError
from kite_contracts.schemas import json_schema
from kite_contracts.tick_batch import (
    ABSENT,
    DEPTH,
    FIELD_COUNT,
    FIELDS,
    LAST_TRADE_TIME_NS,
    PRICE_SCALE,
    TS_EVENT_NS,
    Group,
    TickBatch,
    TickMode,
)
from kite_contracts.tick_rows import COLUMN_PATHS, tick_record
from kite_contracts.validate import explain
from kite_runtime.compiled import compiled

BOUNDS = tick_bounds()
LOW, HIGH = BOUNDS.low.tolist(), BOUNDS.high.tolist()


def verdict(values: Any, groups: int) -> int:
    row = np.array(values, np.int64)
    return int(check_row(row, groups, BOUNDS.low, BOUNDS.high, BOUNDS.masks, BOUNDS.optional))


def in_bounds() -> list[int]:
    return list(LOW)


@settings(max_examples=1000, deadline=None)
@given(row=tick_rows(LOW, HIGH))
@example(row=(LOW, Group(31), TickMode.FULL))
@example(row=(HIGH, Group(31), TickMode.FULL))
@example(row=([ABSENT] * FIELD_COUNT, Group(31), TickMode.LTP))
def test_the_bounds_and_jsonschema_agree_on_every_row(
    row: tuple[list[int], Group, TickMode],
) -> None:
    values, groups, mode = row
    batch = TickBatch(1)
    batch.values[0], batch.groups[0], batch.mode[0], batch.size = values, groups, mode, 1
    column = verdict(values, groups)
    violation = explain("tick", 1, tick_record(batch, 0))
    if column == 0:
        assert violation is None
    else:
        # Not only the same answer: the same field.
        assert violation is not None
        assert violation.path == COLUMN_PATHS[column - 1]


@pytest.mark.parametrize("column", range(FIELD_COUNT), ids=FIELDS)
def test_every_column_is_checked_at_both_ends(column: int) -> None:
    for edge, beyond in ((LOW[column], LOW[column] - 1), (HIGH[column], HIGH[column] + 1)):
        values = in_bounds()
        values[column] = edge
        assert verdict(values, 31) == 0
        if -(2**63) <= beyond < 2**63:
            values[column] = beyond
            assert verdict(values, 31) == column + 1


def test_a_group_counts_only_where_the_row_has_it() -> None:
    values = in_bounds()
    values[DEPTH] = 2**40
    assert verdict(values, Group.OHLC | Group.TRADE | Group.OPEN_INTEREST | Group.INDEX) == 0
    assert verdict(values, Group.DEPTH) == DEPTH + 1


def test_only_two_columns_may_be_absent() -> None:
    for column in range(FIELD_COUNT):
        values = in_bounds()
        values[column] = ABSENT
        allowed = column in (TS_EVENT_NS, LAST_TRADE_TIME_NS)
        assert verdict(values, 31) == (0 if allowed else column + 1)


def test_the_price_scale_is_an_enum() -> None:
    allowed = []
    for scale in range(-3, 80):
        values = in_bounds()
        values[PRICE_SCALE] = scale
        if verdict(values, 0) == 0:
            allowed.append(scale)
    assert allowed == [2, 4, 7]
    assert int(BOUNDS.masks[PRICE_SCALE]) == 0b100101


def test_the_limits_are_those_of_the_wire() -> None:
    by_name = {name: (LOW[i], HIGH[i]) for i, name in enumerate(FIELDS)}
    assert by_name["instrument_token"] == (1, 2**32 - 1)
    assert by_name["last_price"] == (-(2**31), 2**31 - 1)
    assert by_name["volume_day"] == (0, 2**32 - 1)
    assert by_name["ask_4_orders"] == (0, 2**16 - 1)
    assert by_name["ts_event_ns"][0] == 315_513_000 * 10**9


def test_the_check_can_be_called_from_a_compiled_loop() -> None:
    @compiled
    def first_fault(values: Any, low: Any, high: Any, masks: Any, optional: Any) -> int:
        for row in range(values.shape[0]):
            if check_row(values[row], 31, low, high, masks, optional) != 0:
                return row
        return -1

    rows = np.array([LOW, HIGH, [ABSENT] * FIELD_COUNT], np.int64)
    arrays = (BOUNDS.low, BOUNDS.high, BOUNDS.masks, BOUNDS.optional)
    assert first_fault(rows, *arrays) == 2
    assert first_fault(rows[:2], *arrays) == -1


def test_an_unknown_version_is_an_error() -> None:
    with pytest.raises(UnknownContractError):
        tick_bounds(99)


def changed(path: str, **keywords: Any) -> Schema:
    schema = copy.deepcopy(json_schema("tick", 1))
    node = schema
    for step in path.split("/")[1:]:
        node = node["properties"][step]
    for key, value in keywords.items():
        if value is None:
            node.pop(key)
        else:
            node[key] = value
    return schema


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        (changed("/last_price", multipleOf=5), "'multipleOf' is not supported"),
        (changed("/last_price", exclusiveMinimum=0), "'exclusiveMinimum' is not supported"),
        (changed("/last_price", **{"not": {"enum": [0]}}), "'not' is not supported"),
        (changed("/last_price", **{"if": {"minimum": 0}}), "'if' is not supported"),
        (changed("/ohlc", minProperties=4), "'minProperties' is not supported"),
        (changed("", allOf=[{"required": ["depth"]}]), "'allOf' is not supported"),
        (changed("", dependentRequired={"depth": ["ohlc"]}), "'dependentRequired' is not supp"),
        (changed("", patternProperties={"x": {}}), "'patternProperties' is not supported"),
        (changed("", additionalProperties=True), "needs 'additionalProperties': false"),
        (changed("/depth/bids", uniqueItems=True), "'uniqueItems' is not supported"),
        (changed("/depth/bids", minItems=4), "needs exactly 5 items"),
        (changed("/depth/bids", maxItems=None), "needs exactly 5 items"),
        (changed("/depth/bids", items={"$ref": "#/$defs/Nothing"}), "must name one definition"),
        (changed("/depth/bids", items={"$ref": "other.json"}), "'\\$ref' must stand alone"),
        (changed("/depth/bids", items=True), "an object that describes the value"),
        (changed("/last_price", maximum=None), "needs 'minimum' and 'maximum'"),
        (changed("/last_price", maximum=10.5), "needs 'minimum' and 'maximum'"),
        (changed("/last_price", maximum=-(2**40)), "needs 'minimum' and 'maximum'"),
        (changed("/last_price", maximum=2**63), "inside 64 bits"),
        (changed("/last_price", minimum=ABSENT), "inside 64 bits"),
        (changed("/last_price", type="number"), "type 'number' is not supported"),
        (changed("/last_price", type=None), "type None is not supported"),
        (changed("/last_price", type="boolean", minimum=None, maximum=None), "must be an integer"),
        (changed("/price_scale", enum=[2, 70]), "enum values must lie within 64"),
        (changed("/price_scale", enum=[2, "4"]), "'enum' must list values of type integer"),
        (changed("/price_scale", enum=[]), "'enum' must list values"),
        (changed("/price_scale", minimum=0), "'enum' and a range together"),
        (changed("/ts_event_ns", minimum=None, maximum=None, enum=[1]), "where null is allowed"),
        (changed("/last_price", type=["integer", "null"]), "required and not null"),
        (changed("/ts_event_ns", type="integer"), "optional and nullable"),
        (changed("/depth", type="object"), "optional and nullable"),
        (changed("", required=["depth"]), "optional and nullable|required and not null"),
        (changed("", required=["nothing"]), "which is no property"),
        (changed("/mode", enum=["ltp", "full", "quote"]), "needs the enum ltp, quote, full"),
        (changed("/ohlc", properties={}), "an object needs 'properties'"),
    ],
)
def test_what_bounds_cannot_say_is_an_error_at_compile_time(schema: Schema, what: str) -> None:
    with pytest.raises(SchemaError, match=what) as caught:
        compile_bounds(schema, "draft")
    assert str(caught.value).startswith("draft ")


def test_a_new_field_needs_a_column_first() -> None:
    schema = changed("")
    schema["properties"]["auction"] = {"type": "integer", "minimum": 0, "maximum": 1}
    with pytest.raises(SchemaError, match="/auction: has no column in the tick batch"):
        compile_bounds(schema, "draft")
    del schema["properties"]["auction"], schema["properties"]["feed_seq"]
    schema["required"].remove("feed_seq")
    with pytest.raises(SchemaError, match="/feed_seq: is missing"):
        compile_bounds(schema, "draft")
