"""JSON Schema and Avro say the same: by structure, and by every record that one of them accepts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from contract_records import Record, Schema, avro_field, edited, records
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_contracts.examples import read_back, without_nulls
from kite_contracts.parity import differences
from kite_contracts.store import Contract, packaged
from kite_contracts.validate import explain

CONTRACTS = list(packaged())
TICK = packaged().contract("tick", 1)
NAMES = [one.name for one in CONTRACTS]


@pytest.mark.parametrize("contract", CONTRACTS, ids=NAMES)
def test_the_schemas_are_structurally_the_same(contract: Contract) -> None:
    assert differences(contract) == []


@pytest.mark.parametrize("contract", CONTRACTS, ids=NAMES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_the_json_schema_accepts_comes_back_from_avro(
    contract: Contract, data: st.DataObject
) -> None:
    record: Record = data.draw(records(contract.json))
    assert explain(contract.subject, contract.version, record) is None
    read = read_back(contract, record)
    assert without_nulls(read) == without_nulls(record)
    # What Avro hands out is a record of the contract too, nulls written out.
    assert explain(contract.subject, contract.version, read) is None


def _rename(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "feed_seq")["name"] = "sequence"


def _narrow_avro(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "trade", "volume_day")["type"] = "int"


def _text(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "last_price")["type"] = "string"


def _required_in_json(_avro: Schema, schema: Schema) -> None:
    schema["required"].append("depth")


def _optional_in_json(_avro: Schema, schema: Schema) -> None:
    schema["required"].remove("feed_seq")


def _not_null_in_json(_avro: Schema, schema: Schema) -> None:
    schema["properties"]["ts_event_ns"]["type"] = "integer"


def _no_default(avro: Schema, _json: Schema) -> None:
    del avro_field(avro, "ohlc")["default"]


def _symbols(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "mode")["type"]["symbols"].reverse()


def _unit(_avro: Schema, schema: Schema) -> None:
    schema["properties"]["ts_recv_ns"]["unit"] = "us"


def _scale(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "ohlc", "open")["scale"] = "other"


def _logical(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "ts_recv_ns")["type"] = {"type": "long", "logicalType": "timestamp-micros"}


def _scale_of_nothing(avro: Schema, schema: Schema) -> None:
    avro_field(avro, "last_price")["scale"] = "decimals"
    schema["properties"]["last_price"]["scale"] = "decimals"


def _wide(_avro: Schema, schema: Schema) -> None:
    schema["properties"]["feed_seq"]["maximum"] = 2**63


def _doc(avro: Schema, _json: Schema) -> None:
    avro_field(avro, "feed_seq")["doc"] = "Something else."


def _order(avro: Schema, _json: Schema) -> None:
    avro["fields"][0], avro["fields"][2] = avro["fields"][2], avro["fields"][0]


def _id(_avro: Schema, schema: Schema) -> None:
    schema["$id"] = "urn:kite:marketdata:tick:v1"


def _title(_avro: Schema, schema: Schema) -> None:
    schema["title"] = "Quote"


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (_rename, "/feed_seq is only in the JSON Schema"),
        (_narrow_avro, "/trade/volume_day allows integers that Avro's int cannot hold"),
        (_text, "/last_price is integer in JSON, but string in Avro"),
        (_required_in_json, "/depth must be required in JSON and without default"),
        (_optional_in_json, "/feed_seq must be required in JSON and without default"),
        (_not_null_in_json, "/ts_event_ns may be null in one schema only"),
        (_no_default, "/ohlc must be required in JSON and without default"),
        (_symbols, "/mode has other enum values"),
        (_unit, "/ts_recv_ns has the attributes"),
        (_scale, "/ohlc/open has the attributes"),
        (_logical, "/ts_recv_ns has the attributes"),
        (_scale_of_nothing, "/last_price has the scale 'decimals', which is no required integer"),
        (_wide, "/feed_seq allows integers that Avro's long cannot hold"),
        (_doc, "/feed_seq has no description, or another"),
        (_order, "the fields have different orders"),
        (_id, "the $id of the JSON Schema must be urn:kite:marketdata:tick:v2"),
        (_title, "the title of the JSON Schema"),
    ],
)
def test_each_kind_of_difference_is_found(
    edit: Callable[[Schema, Schema], None], what: str
) -> None:
    found = differences(edited(TICK, edit))
    assert any(one.startswith(what) for one in found), found


def test_bytes_are_base64_in_json_and_nothing_else() -> None:
    letter = packaged().contract("dead_letter", 1)

    def plain(_avro: Schema, schema: Schema) -> None:
        del schema["properties"]["raw"]["contentEncoding"]

    assert "/raw is string in JSON, but bytes in Avro" in differences(edited(letter, plain))


def test_reading_the_schemas_changes_nothing_in_them() -> None:
    before: Any = copy.deepcopy((TICK.avro, TICK.json))
    differences(TICK)
    explain("tick", 1, {})
    assert (TICK.avro, TICK.json) == before
