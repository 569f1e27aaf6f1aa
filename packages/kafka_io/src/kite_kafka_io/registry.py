"""The schema registry: puts our schemas there and gives the framing that names them.

confluent-kafka's registry client brings an HTTP client along; it is imported only where a registry
is configured, because that takes as long as everything else together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kite_contracts import schemas
from kite_contracts.topics import TopicSpec, load_topics
from kite_kafka_io.errors import RegistryError, UnknownSchema
from kite_kafka_io.framing import ConfluentFraming, Framing, Schema, SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient


def open_framing(settings: KafkaSettings, topics: Iterable[TopicSpec] | None = None) -> Framing:
    """The framing that ``settings`` ask for: the registry's where one is configured.

    Every released version of each topic's contract is registered under ``<topic>-value``, oldest
    first, as Connect and the consoles expect. Raises RegistryError.
    """
    if settings.registry_url is None:
        return SingleObjectFraming()
    return register(registry_client(settings), load_topics() if topics is None else topics)


def registry_client(settings: KafkaSettings) -> SchemaRegistryClient:
    """A client of the registry; ``mock://name`` is confluent-kafka's registry in memory."""
    from confluent_kafka.schema_registry import SchemaRegistryClient

    config: dict[str, object] = {"url": settings.registry_url}
    if settings.registry_auth is not None:
        config["basic.auth.user.info"] = settings.registry_auth
    if settings.registry_ca is not None:
        config["ssl.ca.location"] = str(settings.registry_ca)
    try:
        return SchemaRegistryClient.new_client(config)
    except (ValueError, OSError) as exc:
        raise RegistryError(f"the schema registry settings are refused: {exc}") from exc


def register(client: SchemaRegistryClient, topics: Iterable[TopicSpec]) -> ConfluentFraming:
    """Register the contracts of ``topics`` (idempotent) and return the framing by their numbers.

    Raises RegistryError.
    """
    numbers: dict[tuple[str, int], int] = {}
    for topic in topics:
        if topic.subject is None:
            continue
        for version in schemas.versions(topic.subject):
            schema = json.dumps(schemas.avro_schema(topic.subject, version))
            number = _registered(client, f"{topic.name}-value", schema)
            numbers.setdefault((topic.subject, version), number)
    return ConfluentFraming(numbers, lambda number: _fetch(client, number))


def _registered(client: SchemaRegistryClient, subject: str, schema: str) -> int:
    from confluent_kafka.schema_registry import Schema as RegistrySchema
    from confluent_kafka.schema_registry import SchemaRegistryError

    try:
        return int(client.register_schema(subject, RegistrySchema(schema, "AVRO")))
    except SchemaRegistryError as exc:
        message = f"the schema registry refuses {subject}: {exc.error_message}"
        raise RegistryError(message) from exc
    except Exception as exc:  # the client lets its HTTP library's errors through, whichever it is
        raise RegistryError(f"the schema registry does not answer: {exc}") from exc


def _fetch(client: SchemaRegistryClient, number: int) -> Schema:
    from confluent_kafka.schema_registry import SchemaRegistryError

    try:
        found = client.get_schema(number)
    except SchemaRegistryError as exc:
        message = f"schema {number} is not in the registry: {exc.error_message}"
        raise UnknownSchema(message, offset=1) from exc
    except Exception as exc:  # as above
        raise RegistryError(f"the schema registry does not answer: {exc}") from exc
    if found.schema_type != "AVRO" or found.schema_str is None:
        raise UnknownSchema(f"schema {number} of the registry is no Avro schema", offset=1)
    schema: Schema = json.loads(found.schema_str)
    return schema
