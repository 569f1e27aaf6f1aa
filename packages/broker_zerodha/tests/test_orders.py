"""What is passed on of an order postback, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.session.events import TextMessage
from kite_broker_zerodha.session.orders import NUMBERS, PRICES, TEXTS, order_of
from kite_contracts.validate import explain

POSTBACK = {
    "user_id": "AB1234",
    "order_id": "250804000000017",
    "status": "COMPLETE",
    "instrument_token": 779521,
    "quantity": 1,
    "price": 470.05,
    "average_price": 470,
    "trigger_price": 0.0,
    "checksum": "CANARYchecksum",
    "access_token": "CANARYtoken",
    "meta": {"public_token": "CANARYmeta"},
    "guid": "CANARYguid",
}


def message(**changes: Any) -> str:
    return json.dumps({"type": "order", "data": POSTBACK | changes})


def test_a_postback_keeps_its_contract_and_no_secret() -> None:
    order = order_of(message())
    assert order is not None
    assert (order["order_id"], order["instrument_token"]) == ("250804000000017", 779521)
    assert [order[name] for name in PRICES] == ["470.05", "0", "470"]
    assert set(order) == {*TEXTS, *NUMBERS, *PRICES}
    assert "CANARY" not in json.dumps(order)
    assert (
        explain("order_update", 1, {"feed": "kite", "shard": 0, "ts_recv_ns": 1, **order}) is None
    )
    assert "AB1234" not in repr(TextMessage(0, "order", None, order))


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("quantity", True, None),
        ("quantity", -1, None),
        ("quantity", 2**63, None),
        ("quantity", "1", None),
        ("price", "470.05", None),
        ("price", 1e300, None),
        ("price", -0.05, "-0.05"),
        ("price", 0.1 + 0.2, None),
        ("order_id", 5, None),
        ("status_message", "a\nb\x1b[0m", "a b [0m"),
        ("tag", "x" * 400, "x" * 300),
    ],
)
def test_what_is_of_another_kind_counts_as_absent(name: str, value: object, taken: object) -> None:
    order = order_of(message(**{name: value}))
    assert order is not None
    assert order[name] == taken


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_value_keeps_the_contract(value: object) -> None:
    order = order_of(message(price=value, quantity=value, order_id=value, tag=value))
    assert order is not None
    assert (
        explain("order_update", 1, {"feed": "kite", "shard": 0, "ts_recv_ns": 1, **order}) is None
    )


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"type": "order"}', '{"type": "order", "data": "x"}', "[" * 5000]
)
def test_what_is_no_postback_is_none(text: str) -> None:
    assert order_of(text) is None
