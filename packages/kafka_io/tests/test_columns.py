"""Columns in numpy, Arrow and pandas: exact values, missing ones, times."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given

from kite_contracts import schemas
from kite_contracts.tick_batch import ABSENT, FIELDS, TickBatch
from kite_contracts.tick_rows import COLUMN_PATHS
from kite_kafka_io.columns import PRICE_FIELDS, TIME_FIELDS, TickColumns
from kite_kafka_io.testing import NOW_NS, batches, full_batch


def _columns(batch: TickBatch) -> TickColumns:
    places = np.arange(batch.size)
    return TickColumns(batch, "ticks", places % 3, places + 100)


def _properties(schema: Any, path: str) -> dict[str, str]:
    """Name of each leaf field below ``schema`` by path -> its scale or unit."""
    found = {}
    for field in schema["fields"]:
        kind, here = field["type"], f"{path}/{field['name']}"
        kind = next((k for k in kind if k != "null"), kind) if isinstance(kind, list) else kind
        if isinstance(kind, dict) and kind.get("type") == "array":
            items = kind["items"] if isinstance(kind["items"], dict) else _DEPTH[kind["items"]]
            _DEPTH[items["name"]] = items
            for level in range(5):
                found.update(_properties(items, f"{here}/{level}"))
        elif isinstance(kind, dict) and kind.get("type") == "record":
            found.update(_properties(kind, here))
        else:
            found[here] = str(field.get("scale", "")) + str(field.get("unit", ""))
    return found


_DEPTH: dict[str, Any] = {}


def test_prices_and_times_are_those_that_the_contract_says() -> None:
    marks = _properties(schemas.avro_schema("tick", 1), "")
    names = dict(zip(COLUMN_PATHS, FIELDS, strict=True))
    assert {names[path] for path, mark in marks.items() if mark == "price_scale"} == PRICE_FIELDS
    assert {names[path] for path, mark in marks.items() if mark == "ns"} == set(TIME_FIELDS)


@given(batches())
def test_scaled_values_are_exact_in_all_three(batch: TickBatch) -> None:
    columns = _columns(batch)
    numbers, arrow, frame = columns.to_numpy(), columns.to_arrow(), columns.to_pandas()
    for name in FIELDS:
        expected = [
            value if there else None
            for value, there in zip(
                columns.column(name).tolist(), columns.present(name).tolist(), strict=True
            )
        ]
        assert [v if v != ABSENT else None for v in numbers[name].tolist()] == expected
        if name in TIME_FIELDS:
            stored = arrow.column(name[:-3])
            assert stored.type == pa.timestamp("ns", "UTC")
            assert stored.cast(pa.int64()).to_pylist() == expected
        else:
            assert arrow.column(name).to_pylist() == expected
            assert [None if v is pd.NA else int(v) for v in frame[name]] == expected
    assert frame["mode"].tolist() == [("ltp", "quote", "full")[mode] for mode in numbers["mode"]]
    assert frame["offset"].tolist() == list(range(100, 100 + batch.size))


def _priced(scale: int, price: int) -> TickColumns:
    batch = full_batch(2)
    batch.values[:, 5], batch.values[:, 6] = scale, price
    batch.groups[1] = 0
    return _columns(batch)


@pytest.mark.parametrize(
    ("scale", "price", "text"),
    [
        (2, 123_45, "123.45"),
        (4, -1, "-0.0001"),
        (7, 831_250_000, "83.1250000"),
        (2, 2**31 - 1, "21474836.47"),
        (2, -(2**31), "-21474836.48"),
    ],
)
def test_decimal_and_float_prices(scale: int, price: int, text: str) -> None:
    columns = _priced(scale, price)
    exact = columns.to_arrow("decimal").column("last_price")
    assert exact.type == pa.decimal128(38, 7)
    assert exact.to_pylist() == [Decimal(text)] * 2
    assert columns.to_pandas("decimal")["last_price"].tolist() == [Decimal(text)] * 2
    assert columns.to_arrow("float").column("last_price").to_pylist() == [float(text)] * 2
    assert columns.price(0) == Decimal(text)
    for prices in ("scaled", "decimal", "float"):
        stored = columns.to_arrow(prices)
        assert stored.column("close").null_count == 1
        assert stored.column("bid_0_price").is_null().to_pylist() == [False, True]
    assert columns.price(1, "close") is None
    with pytest.raises(KeyError):
        columns.price(0, "last_quantity")


def test_a_price_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit 64 bits"):
        _priced(2, 2**62).to_arrow("decimal")
    with pytest.raises(ValueError, match="price_scale"):
        _priced(9, 1).to_arrow("decimal")


def test_times_are_aware_and_exact() -> None:
    frame = _columns(full_batch(3)).to_pandas()
    assert str(frame["ts_event"].dtype) == "datetime64[ns, UTC]"
    assert frame["ts_event"].iloc[0].value == NOW_NS
    assert frame["ts_recv"].iloc[0].utcoffset() == dt.timedelta(0)


def test_an_empty_selection_has_columns() -> None:
    batch = full_batch(1)
    batch.size = 0
    assert _columns(batch).to_pandas().empty
