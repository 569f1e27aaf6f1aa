"""The reference validator: one reason a rejection, and one validator a schema."""

from __future__ import annotations

from typing import Any

import pytest

from kite_contracts import validate
from kite_contracts.errors import SchemaError, UnknownContractError
from kite_contracts.examples import valid_examples
from kite_contracts.store import packaged
from kite_contracts.validate import explain, make_validator

TICK = valid_examples(packaged().directory, packaged().contract("tick", 1))[4]


def test_the_first_fault_in_the_order_of_the_schema_is_named() -> None:
    record = {**TICK, "feed_seq": -1, "price_scale": 3, "extra": 1}
    violation = explain("tick", 1, record)
    assert violation is not None
    assert str(violation) == "/feed_seq: -1 is less than the minimum of 0 [minimum]"


@pytest.mark.parametrize("value", [100.0, True, "100", None, [100]])
def test_an_integer_is_an_integer(value: Any) -> None:
    violation = explain("tick", 1, {**TICK, "last_price": value})
    assert violation is not None
    assert (violation.path, violation.keyword) == ("/last_price", "type")


@pytest.mark.parametrize("record", [None, [], "tick", 7])
def test_what_is_no_record_is_rejected_as_a_whole(record: Any) -> None:
    violation = explain("tick", 1, record)
    assert violation is not None
    assert (violation.path, violation.keyword) == ("", "type")
    assert str(violation).startswith("(record): ")


def test_a_message_has_a_limit() -> None:
    violation = explain("tick", 1, {**TICK, "mode": "x" * 10_000})
    assert violation is not None
    assert len(violation.message) == validate.MESSAGE_LENGTH_MAX


def test_the_pointer_escapes_what_a_pointer_must() -> None:
    validator = make_validator({"properties": {"a/b~c": {"type": "integer"}}})
    violation = validate.first_violation(validator, {"a/b~c": "x"})
    assert violation is not None
    assert violation.path == "/a~1b~0c"


def test_there_is_one_validator_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    explain("tick", 1, TICK)

    def fail(_schema: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(validate, "make_validator", fail)
    assert explain("tick", 1, TICK) is None


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownContractError):
        explain("quote", 1, {})
    with pytest.raises(SchemaError, match="is invalid"):
        make_validator({"type": "nonsense"})
