"""The reference codec and both framings, indefinitelyy contract and the registry's own readers."""

from __future__ import annotations

import json
import uuid
from importlib.resources import files
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given
from hypothesis import strategies as st

from kite_contracts import schemas
from kite_contracts.tick_rows import tick_record
from kite_contracts.topics import load_topics
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord, RegistryError, UnknownSchema
from kite_kafka_io.framing import ConfluentFraming, SingleObjectFraming, number_prefix
from kite_kafka_io.registry import RegistryFraming, open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import full_batch, same_rows
from kite_kafka_io.tick_codec import decode_ticks, encode_ticks

BAR = {
    "instrument_token": 408065,
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "interval": "minute",
    "ts_open_ns": 1_795_000_000_000_000_000,
    "price_scale": 2,
    "open": 150_000,
    "high": 150_100,
    "low": 149_900,
    "close": 150_050,
    "volume": 1200,
    "oi": None,
    "source": "kite",
    "is_final": True,
}


@pytest.fixture()
def client() -> SchemaRegistryClient:
    return SchemaRegistryClient.new_client({"url": f"mock://{uuid.uuid4().hex}"})


def _bar() -> dict[str, Any]:
    symbols = next(
        field["type"]["symbols"]
        for field in schemas.avro_schema("bar", 2)["fields"]
        if field["name"] == "interval"
    )
    return {**BAR, "interval": symbols[0], "version": 1, "complete": None, "ticks": None}


def test_single_object_encoding_is_marker_fingerprint_record() -> None:
    value = AvroCodec().encode("bar", _bar())
    assert value[:2] == b"\xc3\x01"
    assert int.from_bytes(value[2:10], "little") == schemas.fingerprint("bar", 2)
    decoded = AvroCodec().decode(value)
    assert (decoded.subject, decoded.version, decoded.record) == ("bar", 2, _bar())


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"", MalformedRecord),
        (b"\xc3\x01\x00", MalformedRecord),
        (b'{"a": 1}' * 3, MalformedRecord),
        (b"\xc3\x01" + b"\x00" * 20, UnknownSchema),
    ],
)
def test_foreign_bytes_are_told_apart(value: bytes, error: type[MalformedRecord]) -> None:
    with pytest.raises(MalformedRecord) as caught:
        AvroCodec().decode(value)
    assert type(caught.value) is error


def test_a_record_that_does_not_fit_is_refused() -> None:
    for wrong in ({**_bar(), "volume": "many"}, {**_bar(), "extra": 1}, {}):
        with pytest.raises(MalformedRecord, match=r"bar\.v2"):
            AvroCodec().encode("bar", wrong)


@given(st.sampled_from(schemas.subjects()), st.binary(max_size=200))
def test_any_bytes_are_a_record_or_malformed(subject: str, noise: bytes) -> None:
    value = schemas.single_object_prefix(subject, 1) + noise
    offset = -1
    try:
        assert AvroCodec().decode(value).subject == subject
    except MalformedRecord as exc:
        offset = exc.offset
    assert -1 <= offset <= len(value)


def written(client: SchemaRegistryClient) -> RegistryFraming:
    """The framing of a program that writes every topic."""
    contracts = {topic.name: topic.subject for topic in load_topics() if topic.subject}
    framing = RegistryFraming(client, contracts, register=True)
    framing.prepare()
    return framing


def test_confluents_own_deserializer_reads_ticks(client: SchemaRegistryClient) -> None:
    framing = written(client)
    batch = full_batch(10)
    prefix = framing.prefix("tick", 1)
    values = encode_ticks(batch, prefix)
    read = AvroDeserializer(client)
    context = SerializationContext("ticks", MessageField.VALUE)
    assert [read(value, context) for value in values] == [tick_record(batch, i) for i in range(10)]
    assert [AvroCodec(framing).decode(value).record for value in values] == [
        tick_record(batch, i) for i in range(10)
    ]
    assert same_rows(decode_ticks(values, prefix).batch, batch)


def test_schemas_are_registered_once_under_the_topic_names(client: SchemaRegistryClient) -> None:
    first, again = written(client), written(client)
    assert first.prefix("bar", 1) == again.prefix("bar", 1)
    wanted = {f"{topic.name}-value" for topic in load_topics() if topic.subject}
    assert wanted <= set(client.get_subjects())
    stored = client.get_latest_version("ticks-value").schema
    assert json.loads(str(stored.schema_str)) == schemas.avro_schema("tick", 1)


def test_a_newer_version_from_the_registry_reads_as_ours(client: SchemaRegistryClient) -> None:
    framing = written(client)
    newer = json.loads(json.dumps(schemas.avro_schema("bar", 2)))
    newer["fields"].append({"name": "trades", "type": ["null", "long"], "default": None})
    number = client.register_schema("bars-value", Schema(json.dumps(newer), "AVRO"))
    value = number_prefix(number) + AvroCodec().encode("bar", _bar())[10:] + b"\x02\x0a"
    decoded = AvroCodec(framing).decode(value)
    assert (decoded.subject, decoded.record) == ("bar", _bar())


def test_unknown_numbers_and_missing_framing(client: SchemaRegistryClient) -> None:
    framing = written(client)
    with pytest.raises(UnknownSchema, match="9999"):
        framing.writer(number_prefix(9999))
    with pytest.raises(MalformedRecord, match="no Confluent framing"):
        framing.writer(AvroCodec().encode("bar", _bar()))
    with pytest.raises(UnknownSchema, match=r"tick\.v7"):
        framing.prefix("tick", 7)
    with pytest.raises(UnknownSchema):
        SingleObjectFraming().prefix("tick", 7)


def test_the_settings_choose_the_framing() -> None:
    plain = KafkaSettings(bootstrap="127.0.0.1:1")
    assert isinstance(open_framing(plain), SingleObjectFraming)
    mock = KafkaSettings(bootstrap="127.0.0.1:1", registry_url="mock://chosen")
    assert isinstance(open_framing(mock), ConfluentFraming)
    away = KafkaSettings(bootstrap="127.0.0.1:1", registry_url="http://127.0.0.1:9")
    with pytest.raises(RegistryError, match="schema registry does not answer"):
        open_framing(away)


def test_the_package_is_typed() -> None:
    assert (files("kite_kafka_io") / "py.typed").is_file()
