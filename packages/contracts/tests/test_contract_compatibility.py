"""FULL_TRANSITIVE: every kind of break is caught, and what is no break passes."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pytest
from contract_records import (
    Schema,
    add_auction,
    avro_field,
    copied_schemas,
    draft,
    edited,
    records,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_contracts.breaks import Direction, Rule
from kite_contracts.compatibility import breaks, resolution_breaks, transitive_breaks
from kite_contracts.errors import SchemaError
from kite_contracts.store import Contract, packaged

TICK = packaged().contract("tick", 1)
EVENT = packaged().contract("feed_event", 1)
LETTER = packaged().contract("dead_letter", 1)
Edit = Callable[[Schema, Schema], None]


def drop(name: str) -> Edit:
    def edit(avro: Schema, schema: Schema) -> None:
        avro["fields"] = [one for one in avro["fields"] if one["name"] != name]
        del schema["properties"][name]
        schema["required"] = [one for one in schema["required"] if one != name]

    return edit


def drop_inner(avro: Schema, schema: Schema) -> None:
    trade = avro_field(avro, "trade")["type"][1]
    trade["fields"] = [one for one in trade["fields"] if one["name"] != "last_trade_time_ns"]
    del schema["properties"]["trade"]["properties"]["last_trade_time_ns"]


def rename(avro: Schema, schema: Schema) -> None:
    avro_field(avro, "feed_seq")["name"] = "sequence"
    schema["properties"]["sequence"] = schema["properties"].pop("feed_seq")
    schema["required"][schema["required"].index("feed_seq")] = "sequence"


def add_required(avro: Schema, schema: Schema) -> None:
    avro["fields"].append({"name": "lot_size", "type": "long", "doc": "."})
    schema["properties"]["lot_size"] = {"type": "integer", "minimum": 1, "maximum": 9}
    schema["required"].append("lot_size")


def add_required_with_default(avro: Schema, schema: Schema) -> None:
    # Avro could read old data by the default; the JSON Schema would turn old records away.
    add_required(avro, schema)
    avro["fields"][-1]["default"] = 1


def add_without_default(avro: Schema, schema: Schema) -> None:
    # The other way round: optional in JSON, but Avro has nothing to put there for old data.
    avro["fields"].append({"name": "lot", "type": ["null", "int"], "doc": "."})
    schema["properties"]["lot"] = {"type": ["integer", "null"], "minimum": 1, "maximum": 2}


def field_type(*path: str, to: Any) -> Edit:
    def edit(avro: Schema, _schema: Schema) -> None:
        avro_field(avro, *path)["type"] = to

    return edit


def attribute(*path: str, **changes: Any) -> Edit:
    def edit(avro: Schema, schema: Schema) -> None:
        field, node = avro_field(avro, *path), schema
        for name in path:
            node = node["properties"][name]
        for target in (field, node):
            target.update(changes)

    return edit


def in_json(name: str, **changes: Any) -> Edit:
    def edit(_avro: Schema, schema: Schema) -> None:
        schema["properties"][name].update(changes)

    return edit


def root(**changes: Any) -> Edit:
    def edit(avro: Schema, _schema: Schema) -> None:
        avro.update(changes)

    return edit


def nested_name(avro: Schema, _schema: Schema) -> None:
    avro_field(avro, "trade")["type"][1]["name"] = "Trading"


def nested_namespace(avro: Schema, _schema: Schema) -> None:
    avro_field(avro, "trade")["type"][1]["namespace"] = "kite.elsewhere"


def symbols(*wanted: str, **changes: Any) -> Edit:
    def edit(avro: Schema, schema: Schema) -> None:
        name = "mode" if avro["name"] == "Tick" else "type"
        avro_field(avro, name)["type"].update(symbols=list(wanted), **changes)
        schema["properties"][name]["enum"] = list(wanted)

    return edit


def null_at_ts_recv(avro: Schema, schema: Schema) -> None:
    avro_field(avro, "ts_recv_ns")["type"] = ["null", "long"]
    schema["properties"]["ts_recv_ns"]["type"] = ["integer", "null"]


def no_null_at_event(avro: Schema, schema: Schema) -> None:
    field = avro_field(avro, "ts_event_ns")
    field["type"] = "long"
    field["default"] = 0
    schema["properties"]["ts_event_ns"]["type"] = "integer"


def new_default(avro: Schema, _schema: Schema) -> None:
    avro_field(avro, "ts_event_ns").update(type=["long", "null"], default=0)


def bids_as_one_level(avro: Schema, schema: Schema) -> None:
    depth = avro_field(avro, "depth")["type"][1]
    depth["fields"][0]["type"] = depth["fields"][0]["type"]["items"]
    schema["properties"]["depth"]["properties"]["bids"] = {"$ref": "#/$defs/DepthLevel"}


def depth_levels(low: int, high: int) -> Edit:
    def edit(_avro: Schema, schema: Schema) -> None:
        for side in ("bids", "asks"):
            levels = schema["properties"]["depth"]["properties"][side]
            levels.update(minItems=low, maxItems=high)

    return edit


LONG_MICROS = {"type": "long", "logicalType": "timestamp-micros"}
BACK, FORTH, FULL = Direction.BACKWARD, Direction.FORWARD, Direction.FULL
BREAKS: list[Any] = [
    # removed field
    pytest.param(TICK, drop("last_price"), "/last_price", Rule.REMOVED_FIELD, FULL, id="removed"),
    pytest.param(TICK, drop("depth"), "/depth", Rule.REMOVED_FIELD, FULL, id="removed-group"),
    pytest.param(
        TICK, drop_inner, "/trade/last_trade_time_ns", Rule.REMOVED_FIELD, FULL, id="removed-inner"
    ),
    pytest.param(TICK, rename, "/feed_seq", Rule.REMOVED_FIELD, FULL, id="renamed-field"),
    # new required field
    pytest.param(
        TICK, add_required, "/lot_size", Rule.NEW_REQUIRED_FIELD, BACK, id="new-required"
    ),
    pytest.param(
        TICK, add_required_with_default, "/lot_size", Rule.NEW_REQUIRED_FIELD, BACK,
        id="new-required-json",
    ),
    pytest.param(
        TICK, add_without_default, "/lot", Rule.NEW_REQUIRED_FIELD, BACK, id="new-required-avro"
    ),
    # type
    pytest.param(
        TICK, field_type("trade", "volume_day", to="int"), "/trade/volume_day",
        Rule.CHANGED_TYPE, BACK, id="narrowed-type",
    ),
    pytest.param(
        TICK, field_type("price_scale", to="long"), "/price_scale", Rule.CHANGED_TYPE, FORTH,
        id="widened-type",
    ),
    pytest.param(
        TICK, field_type("last_price", to="string"), "/last_price", Rule.CHANGED_TYPE, FULL,
        id="other-type",
    ),
    pytest.param(
        TICK, bids_as_one_level, "/depth/bids", Rule.CHANGED_TYPE, FULL, id="array-to-record"
    ),
    # scale, unit, logical type: the bytes are the same, the meaning is not
    pytest.param(
        TICK, attribute("last_price", scale="4"), "/last_price", Rule.CHANGED_ATTRIBUTE, FULL,
        id="changed-scale",
    ),
    pytest.param(
        TICK, attribute("ohlc", "open", scale=None), "/ohlc/open", Rule.CHANGED_ATTRIBUTE, FULL,
        id="no-scale",
    ),
    pytest.param(
        TICK, attribute("ts_recv_ns", unit="us"), "/ts_recv_ns", Rule.CHANGED_ATTRIBUTE, FULL,
        id="changed-time-unit",
    ),
    pytest.param(
        TICK, in_json("ts_recv_ns", unit="us"), "/ts_recv_ns", Rule.CHANGED_ATTRIBUTE, FULL,
        id="changed-time-unit-json",
    ),
    pytest.param(
        TICK, field_type("ts_recv_ns", to=LONG_MICROS), "/ts_recv_ns", Rule.CHANGED_ATTRIBUTE,
        FULL, id="logical-type",
    ),
    # names
    pytest.param(
        TICK, root(namespace="kite.md"), "", Rule.CHANGED_NAME, FULL, id="renamed-namespace"
    ),
    pytest.param(TICK, root(name="Quote"), "", Rule.CHANGED_NAME, FULL, id="renamed-record"),
    pytest.param(TICK, nested_name, "/trade", Rule.CHANGED_NAME, FULL, id="renamed-group"),
    pytest.param(
        TICK, nested_namespace, "/trade", Rule.CHANGED_NAME, FULL, id="renamed-inner-namespace"
    ),
    # null and defaults
    pytest.param(
        TICK, null_at_ts_recv, "/ts_recv_ns", Rule.CHANGED_OPTIONALITY, FORTH, id="null-allowed"
    ),
    pytest.param(
        TICK, no_null_at_event, "/ts_event_ns", Rule.CHANGED_OPTIONALITY, BACK, id="null-forbidden"
    ),
    # enums
    pytest.param(
        TICK, symbols("ltp", "quote"), "/mode", Rule.REMOVED_SYMBOL, BACK, id="removed-symbol"
    ),
    pytest.param(
        TICK, symbols("ltp", "quote", "full", "deep"), "/mode", Rule.ADDED_SYMBOL, FORTH,
        id="added-symbol",
    ),
    pytest.param(
        EVENT, symbols("UNKNOWN", "CONNECTED", default="CONNECTED"), "/type",
        Rule.CHANGED_DEFAULT, FULL, id="enum-default",
    ),
    # values
    pytest.param(
        TICK, in_json("feed_seq", minimum=1), "/feed_seq", Rule.NARROWED, BACK, id="higher-minimum"
    ),
    pytest.param(
        TICK, in_json("last_price", maximum=10), "/last_price", Rule.NARROWED, BACK,
        id="lower-maximum",
    ),
    pytest.param(
        TICK, in_json("last_price", maximum=2**40), "/last_price", Rule.WIDENED, FORTH,
        id="higher-maximum",
    ),
    pytest.param(
        TICK, in_json("price_scale", enum=[2, 4]), "/price_scale", Rule.NARROWED, BACK,
        id="fewer-enum-values",
    ),
    pytest.param(
        TICK, in_json("price_scale", enum=[2, 3, 4, 7]), "/price_scale", Rule.WIDENED, FORTH,
        id="more-enum-values",
    ),
    pytest.param(TICK, depth_levels(0, 5), "/depth/bids", Rule.WIDENED, FORTH, id="min-items"),
    pytest.param(TICK, depth_levels(5, 20), "/depth/asks", Rule.WIDENED, FORTH, id="max-items"),
    pytest.param(TICK, depth_levels(6, 6), "/depth/asks", Rule.NARROWED, BACK, id="more-items"),
    pytest.param(
        EVENT, in_json("feed", minLength=5), "/feed", Rule.NARROWED, BACK, id="min-length"
    ),
    pytest.param(
        LETTER, in_json("contract", pattern="^tick"), "/contract", Rule.NARROWED, FULL, id="pattern"
    ),
    pytest.param(
        LETTER, in_json("unit", enum=["packet", "record"]), "/unit", Rule.NARROWED, BACK,
        id="fewer-texts",
    ),
    pytest.param(
        LETTER, in_json("message", enum=["x"]), "/message", Rule.NARROWED, BACK, id="text-to-enum"
    ),
    pytest.param(
        LETTER, in_json("raw", contentEncoding="base32"), "/raw", Rule.CHANGED_TYPE, FULL,
        id="encoding",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("contract", "edit", "path", "rule", "direction"), BREAKS)
def test_each_kind_of_break_is_caught(
    contract: Contract, edit: Edit, path: str, rule: Rule, direction: Direction
) -> None:
    found = breaks(contract, edited(contract, edit))
    assert (path, rule, direction) in {(one.path, one.rule, one.direction) for one in found}
    for one in found:
        assert one.message
        assert str(one).startswith(f"{one.path or '(root)'}: {one.rule}")


def test_a_union_in_another_order_is_no_contract() -> None:
    with pytest.raises(SchemaError, match='a union must be \\["null", one type\\]'):
        breaks(TICK, edited(TICK, new_default))


def no_change(_avro: Schema, _schema: Schema) -> None:
    pass


def better_words(avro: Schema, schema: Schema) -> None:
    avro_field(avro, "feed_seq")["doc"] = schema["properties"]["feed_seq"]["description"] = (
        "Better."
    )
    avro_field(avro, "feed_seq")["aliases"] = ["sequence"]


def more_event_types(avro: Schema, schema: Schema) -> None:
    types = [*avro_field(avro, "type")["type"]["symbols"], "PAUSED"]
    symbols(*types)(avro, schema)


def other_order(avro: Schema, _schema: Schema) -> None:
    avro["fields"].reverse()


def optional_field(avro: Schema, schema: Schema) -> None:
    avro["fields"].append({"name": "lot", "type": ["null", "int"], "default": None, "doc": "."})
    schema["properties"]["lot"] = {"type": ["integer", "null"], "minimum": 1, "maximum": 2}


@pytest.mark.parametrize(
    ("contract", "edit"),
    [
        pytest.param(TICK, no_change, id="no-change"),
        pytest.param(TICK, add_auction, id="added-optional-group"),
        pytest.param(TICK, optional_field, id="added-optional-field"),
        pytest.param(TICK, better_words, id="other-words"),
        pytest.param(EVENT, more_event_types, id="added-symbol-with-default"),
        pytest.param(EVENT, other_order, id="other-order"),
    ],
)
def test_what_is_no_break_passes(contract: Contract, edit: Edit) -> None:
    assert breaks(contract, edited(contract, edit)) == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_both_sides_of_a_compatible_change_read_each_other(data: st.DataObject) -> None:
    v2 = edited(TICK, add_auction)
    for writer, reader in ((TICK, v2), (v2, TICK)):
        record = data.draw(records(writer.json))
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, fastavro.parse_schema(writer.avro), record)
        stream.seek(0)
        read = fastavro.schemaless_reader(
            stream, fastavro.parse_schema(writer.avro), fastavro.parse_schema(reader.avro)
        )
        assert isinstance(read, dict)
        assert set(read) == {one["name"] for one in reader.avro["fields"]}
        assert read["last_price"] == record["last_price"]


@pytest.mark.parametrize(("contract", "edit", "path", "rule", "direction"), BREAKS)
def test_what_avro_refuses_our_own_rules_refuse_too(
    contract: Contract, edit: Edit, path: str, rule: Rule, direction: Direction
) -> None:
    after = edited(contract, edit)
    hurt = {one.direction for one in breaks(contract, after) if one.rule is not Rule.AVRO}
    for side, reader, writer in ((BACK, after, contract), (FORTH, contract, after)):
        if resolution_breaks(reader, writer, side):
            assert hurt & {side, FULL}, (path, rule, direction)


def test_avro_is_the_net_beneath_our_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    # Suppose that our own rules forgot new required fields: Avro still refuses.
    monkeypatch.setattr("kite_contracts.compatibility._structure", lambda _old, _new, _need: [])
    (found,) = breaks(TICK, edited(TICK, add_required))
    assert (found.rule, found.direction) == (Rule.AVRO, BACK)
    assert "lot_size" in found.message


def test_a_break_is_caught_against_every_earlier_version(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    assert transitive_breaks(draft(directory, "tick", add_auction), "tick") == []

    def forget_the_auction_and_more(avro: Schema, schema: Schema) -> None:
        drop("auction")(avro, schema)

    # v3 says what v1 said, so it follows v1 and breaks with v2.
    store = draft(directory, "tick", forget_the_auction_and_more, version=3)
    found = transitive_breaks(store, "tick")
    assert [(old.name, new.name, one.rule) for old, new, one in found] == [
        ("tick.v2", "tick.v3", Rule.REMOVED_FIELD)
    ]


def test_a_required_field_two_versions_later_breaks_with_the_first(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    draft(directory, "tick", add_auction)

    def require_the_auction(avro: Schema, schema: Schema) -> None:
        field = avro_field(avro, "auction")
        field["type"] = field["type"][1]
        del field["default"]
        schema["properties"]["auction"]["type"] = "object"
        schema["required"].append("auction")

    found = transitive_breaks(draft(directory, "tick", require_the_auction, version=3), "tick")
    assert ("tick.v1", Rule.NEW_REQUIRED_FIELD) in {(old.name, one.rule) for old, _, one in found}
    assert ("tick.v2", Rule.CHANGED_OPTIONALITY) in {(old.name, one.rule) for old, _, one in found}


@pytest.mark.parametrize(
    ("to", "what"),
    [
        ("double", "type 'double' is not supported"),
        ({"type": "map", "values": "long"}, "type 'map' is not supported"),
        ({"type": "fixed", "name": "F", "size": 4}, "type 'fixed' is not supported"),
        (["long", "null"], "a union must be"),
        (["null", "long", "string"], "a union must be"),
        ("kite.marketdata.Tick", "holds itself"),
    ],
)
def test_an_avro_type_that_contracts_do_not_use_is_an_error(to: Any, what: str) -> None:
    with pytest.raises(SchemaError, match=what) as caught:
        breaks(TICK, edited(TICK, field_type("last_price", to=to)))
    assert "tick.v2.avsc /last_price" in str(caught.value)


def no_such_symbol(avro: Schema, _schema: Schema) -> None:
    avro_field(avro, "mode")["type"]["default"] = "none"


@pytest.mark.parametrize(
    "edit", [field_type("last_price", to=7), field_type("last_price", to="Tck"), no_such_symbol]
)
def test_what_is_no_avro_schema_is_an_error(edit: Edit) -> None:
    with pytest.raises(SchemaError, match=r"tick\.v2\.avsc is no Avro schema"):
        breaks(TICK, edited(TICK, edit))


def test_what_apache_avro_cannot_parse_is_an_error() -> None:
    broken = copy.deepcopy(TICK.avro)
    broken["fields"].append(broken["fields"][0])
    contract = Contract("tick", 2, broken, TICK.json, b"", b"", 0)
    with pytest.raises(SchemaError, match=r"tick\.v2\.avsc is no Avro schema"):
        resolution_breaks(contract, TICK, BACK)
