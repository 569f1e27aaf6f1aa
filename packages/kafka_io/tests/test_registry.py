"""What is asked of a schema registry: with which rights, when, and what its refusals mean."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from registry_server import AUTH, Registry, schema_registry

from kite_contracts import schemas
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import RegistryError, RegistryRefused, UnknownSchema
from kite_kafka_io.framing import SingleObjectFraming, number_prefix
from kite_kafka_io.registry import open_framing, writing_framing
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import EXIT_CONFIGURATION, EXIT_TRY_LATER, exit_code_of

WRITES = {"ticks": "tick", "feed.events": "feed_event"}


@pytest.fixture()
def registry() -> Iterator[Registry]:
    with schema_registry() as served:
        yield served


def settings(registry: Registry, register: str = "") -> KafkaSettings:
    return KafkaSettings.from_env(
        {
            "KAFKA_BOOTSTRAP": "127.0.0.1:9",
            "SCHEMA_REGISTRY_URL": registry.url,
            "SCHEMA_REGISTRY_AUTH": AUTH,
            "SCHEMA_REGISTRY_REGISTER": register,
        }
    )


def test_only_what_is_written_is_registered_and_not_before_it_is_needed(
    registry: Registry,
) -> None:
    framing = writing_framing(settings(registry), WRITES)
    assert registry.asked == []
    assert not framing.known
    framing.prepare()
    assert framing.known
    assert set(registry.subjects) == {"ticks-value", "feed.events-value"}
    assert framing.prefix("tick", 1) == number_prefix(registry.subjects["ticks-value"][0])
    asked = len(registry.asked)
    writing_framing(settings(registry), WRITES).prepare()
    assert all("/versions" not in each for each in registry.asked[asked:])  # looked up, not again


def test_a_reader_registers_nothing(registry: Registry) -> None:
    number = registry.put("ticks-value", schemas.avro_schema("tick", 1))
    framing = open_framing(settings(registry))
    assert framing.prefix("tick", 1) == number_prefix(number)
    assert set(registry.subjects) == {"ticks-value"}
    with pytest.raises(UnknownSchema, match=r"bar\.v1"):
        framing.prefix("bar", 1)
    # What others register later is recognised by what it is.
    later = registry.put("bars-value", schemas.avro_schema("bar", 1))
    writer = framing.writer(number_prefix(later))
    assert (writer.subject, writer.version) == ("bar", 1)
    assert framing.prefix("bar", 1) == number_prefix(later)
    newer = copy.deepcopy(schemas.avro_schema("bar", 1))
    newer["fields"].append({"name": "venue", "type": "string", "default": ""})
    assert framing.writer(number_prefix(registry.put("bars-value", newer))).subject is None


def test_a_record_is_encoded_when_its_topic_is_written_first(registry: Registry) -> None:
    registry.hidden = ("feed.events-value", "bars-value")
    framing = open_framing(settings(registry), {"repaired": "tick"})
    assert registry.subjects == {}
    assert framing.prefix("tick", 1)
    assert set(registry.subjects) == {"repaired-value"}
    with pytest.raises(UnknownSchema):
        AvroCodec(framing).encode("bar", {})


def test_a_key_that_may_only_look_up_is_enough(registry: Registry) -> None:
    registry.may_register = False
    for topic, subject in WRITES.items():
        registry.put(f"{topic}-value", schemas.avro_schema(subject, schemas.latest(subject)))
    framing = writing_framing(settings(registry, "never"), WRITES)
    framing.prepare()
    assert framing.known
    writing_framing(settings(registry), WRITES).prepare()  # nothing is missing: not registered
    del registry.subjects["ticks-value"]
    with pytest.raises(RegistryRefused, match=r"tick\.v1 is not in.*REGISTER=never") as caught:
        writing_framing(settings(registry, "never"), WRITES).prepare()
    assert exit_code_of(caught.value) == EXIT_CONFIGURATION
    with pytest.raises(RegistryRefused, match="ticks-value.*403.*right") as caught:
        writing_framing(settings(registry), WRITES).prepare()
    assert "CANARY" not in str(caught.value)


def test_a_refusal_is_told_from_an_absence(registry: Registry) -> None:
    registry.locked = True
    for call in (
        writing_framing(settings(registry), WRITES).prepare,
        lambda: open_framing(settings(registry)),
    ):
        with pytest.raises(RegistryRefused, match="401.*SCHEMA_REGISTRY_AUTH") as caught:
            call()
        assert exit_code_of(caught.value) == EXIT_CONFIGURATION
    registry.locked, registry.away = False, True
    framing = writing_framing(settings(registry), WRITES)
    with pytest.raises(RegistryError) as away:
        framing.prepare()
    assert exit_code_of(away.value) == EXIT_TRY_LATER
    registry.away = False
    framing.prepare()
    assert framing.known


def test_without_a_registry_all_is_known() -> None:
    framing = writing_framing(KafkaSettings(bootstrap="x:1"), WRITES)
    assert isinstance(framing, SingleObjectFraming)
    framing.prepare()
    assert framing.known
