"""The schema registry: looks our schemas up, registers those that a program writes, and gives the
framing that names them.

confluent-kafka's registry client brings an HTTP client along; it is imported only where a registry
is configured, because that takes as long as everything else together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kite_contracts import schemas
from kite_contracts.topics import load_topics
from kite_kafka_io.errors import RegistryError, RegistryRefused, UnknownSchema
from kite_kafka_io.framing import ConfluentFraming, Framing, Schema, SingleObjectFraming
from kite_kafka_io.settings import NEVER, KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

Writes = Mapping[str, str]
"""Topic → the subject of what is written there."""

NOTHING: Final[Writes] = MappingProxyType({})
_TIMEOUT_S: Final = 5.0
_NOT_FOUND: Final = 404
_LASTING: Final = {
    401: "correct SCHEMA_REGISTRY_AUTH",
    403: "grant its user the right, or correct SCHEMA_REGISTRY_AUTH",
    404: "correct SCHEMA_REGISTRY_URL",
    409: "what is registered there is not compatible",
    422: "what is registered there is not compatible",
}
"""HTTP status → what to do where waiting does not help."""

Answer = TypeVar("Answer")


def open_framing(settings: KafkaSettings, writes: Writes = NOTHING) -> Framing:
    """The framing that ``settings`` ask for: the registry's where one is configured.

    It knows the released versions of all contracts that are in the registry. Those of ``writes``
    are registered when the first record is written. Raises RegistryError.
    """
    framing = writing_framing(settings, writes)
    if isinstance(framing, RegistryFraming):
        framing.look_up({topic.name: topic.subject for topic in load_topics() if topic.subject})
    return framing


def writing_framing(settings: KafkaSettings, writes: Writes) -> Framing:
    """The same for a program that reads nothing; the registry is asked by ``prepare`` only."""
    if settings.registry_url is None:
        return SingleObjectFraming()
    register = settings.registry_register != NEVER
    return RegistryFraming(registry_client(settings), writes, register=register)


def registry_client(settings: KafkaSettings) -> SchemaRegistryClient:
    """A client of the registry; ``mock://name`` is confluent-kafka's registry in memory."""
    from confluent_kafka.schema_registry import SchemaRegistryClient

    config: dict[str, object] = {
        "url": settings.registry_url,
        "timeout": _TIMEOUT_S,
        "max.retries": 1,
    }
    if settings.registry_auth is not None:
        config["basic.auth.user.info"] = settings.registry_auth
    if settings.registry_ca is not None:
        config["ssl.ca.location"] = str(settings.registry_ca)
    try:
        return SchemaRegistryClient.new_client(config)
    except (ValueError, OSError) as exc:
        raise RegistryRefused(f"the schema registry settings are refused: {exc}") from exc


class RegistryFraming(ConfluentFraming):
    """Our schemas by their numbers in the registry, each under ``<topic>-value``, as Connect and
    the consoles expect.

    Without ``register`` it only looks up; a key of the registry may have no other right.
    """

    def __init__(self, client: SchemaRegistryClient, writes: Writes, *, register: bool) -> None:
        super().__init__({}, lambda number: _fetch(client, number))
        self._client = client
        self._writes = writes
        self._register = register

    @property
    def known(self) -> bool:
        """Whether the newest version of each contract that is written has its number."""
        return all(self.has(subject, schemas.latest(subject)) for subject in self._writes.values())

    def prepare(self) -> None:
        """Get the numbers of what is written. Raises RegistryError."""
        for topic, subject in self._writes.items():
            self._prepare(topic, subject)

    def look_up(self, contracts: Writes) -> None:
        """Learn the numbers of these as far as the registry has them and shows them.

        Raises RegistryError.
        """
        for topic, subject in contracts.items():
            for version in schemas.versions(subject):
                try:
                    number = self._looked_up(f"{topic}-value", subject, version)
                except RegistryRefused as exc:
                    if exc.status != 403:
                        raise
                    number = None
                if number is not None:
                    self.learn(subject, version, number)

    def prefix(self, subject: str, version: int) -> bytes:
        """As in ``ConfluentFraming``; raises RegistryError too, if it has to ask."""
        if not self.has(subject, version):
            for topic, written in self._writes.items():
                if written == subject:
                    self._prepare(topic, subject)
        return super().prefix(subject, version)

    def _prepare(self, topic: str, subject: str) -> None:
        """Oldest version first: the registry compares each with those before."""
        name, versions = f"{topic}-value", schemas.versions(subject)
        found = {version: self._looked_up(name, subject, version) for version in versions}
        newest = versions[-1]
        if found[newest] is None and not self._register:
            raise RegistryRefused(
                f"{subject}.v{newest} is not in the schema registry under {name}, and "
                "SCHEMA_REGISTRY_REGISTER=never: let somebody register it"
            )
        register = found[newest] is None
        for version, number in found.items():
            if number is None and register:
                number = _registered(self._client, name, _schema(subject, version))
            if number is not None:
                self.learn(subject, version, number)

    def _looked_up(self, name: str, subject: str, version: int) -> int | None:
        schema = _schema(subject, version)
        try:
            found = _asked(name, lambda: self._client.lookup_schema(name, schema))
        except RegistryRefused as exc:
            if exc.status == _NOT_FOUND:
                return None
            raise
        return found.schema_id


def _registered(client: SchemaRegistryClient, name: str, schema: Any) -> int:
    return int(_asked(name, lambda: client.register_schema(name, schema)))


def _schema(subject: str, version: int) -> Any:
    from confluent_kafka.schema_registry import Schema as RegistrySchema

    return RegistrySchema(json.dumps(schemas.avro_schema(subject, version)), "AVRO")


def _asked(name: str, call: Callable[[], Answer]) -> Answer:
    from confluent_kafka.schema_registry import SchemaRegistryError

    try:
        return call()
    except SchemaRegistryError as exc:
        message = f"the schema registry refuses {name}: {exc.error_message}"
        status = exc.http_status_code
        if status in _LASTING:
            raise RegistryRefused(f"{message} (HTTP {status}); {_LASTING[status]}", status) from exc
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
