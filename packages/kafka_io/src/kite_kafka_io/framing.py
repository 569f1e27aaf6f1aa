"""The bytes before an Avro record that name the schema that wrote it (pure).

Without a registry: Avro single-object encoding, ``C3 01`` and the fingerprint of the schema. With
one: the Confluent framing, ``00`` and the schema's number in the registry, big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from kite_contracts import schemas
from kite_contracts.errors import UnknownContractError
from kite_kafka_io.errors import MalformedRecord, UnknownSchema

Schema = dict[str, Any]

CONFLUENT_MARKER: Final = 0
CONFLUENT_PREFIX_BYTES: Final = 5
SINGLE_OBJECT_PREFIX_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Writer:
    """The schema that wrote a value, and how many bytes precede the record.

    ``subject`` and ``version`` are None for a schema of the registry that this release of the
    contracts does not hold.
    """

    schema: Schema
    header_bytes: int
    subject: str | None
    version: int | None


class Framing(Protocol):
    """One of the two framings."""

    @property
    def known(self) -> bool:
        """Whether the prefixes of what this program writes are known without asking anybody."""

    def prepare(self) -> None:
        """Ask for them, which may take seconds. Raises RegistryError."""

    def prefix(self, subject: str, version: int) -> bytes:
        """The bytes before a record of this schema. Raises UnknownSchema."""

    def writer(self, value: bytes) -> Writer:
        """Who wrote ``value``. Raises UnknownSchema, or MalformedRecord if it is not framed so."""


class SingleObjectFraming:
    """Avro single-object encoding: needs no registry and no headers."""

    known = True

    def prepare(self) -> None:
        """Nothing: a fingerprint is computed."""

    def prefix(self, subject: str, version: int) -> bytes:
        """``C3 01`` and the fingerprint, little-endian."""
        try:
            return schemas.single_object_prefix(subject, version)
        except UnknownContractError as exc:
            raise UnknownSchema(str(exc)) from exc

    def writer(self, value: bytes) -> Writer:
        """Look the fingerprint up among all released versions."""
        try:
            subject, version = schemas.by_fingerprint(value)
        except UnknownContractError as exc:
            if value[:2] == b"\xc3\x01" and len(value) >= SINGLE_OBJECT_PREFIX_BYTES:
                raise UnknownSchema(str(exc), offset=2) from exc
            raise MalformedRecord("the value is no Avro single object") from exc
        schema = schemas.avro_schema(subject, version)
        return Writer(schema, SINGLE_OBJECT_PREFIX_BYTES, subject, version)


class ConfluentFraming:
    """The registry's framing. ``numbers`` are our schemas there; ``fetch`` gets any other.

    ``fetch`` raises UnknownSchema for a number that the registry does not know.
    """

    def __init__(
        self, numbers: Mapping[tuple[str, int], int], fetch: Callable[[int], Schema]
    ) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self._fetch = fetch
        self._writers: dict[int, Writer] = {}
        for (subject, version), number in numbers.items():
            self.learn(subject, version, number)

    @property
    def known(self) -> bool:
        """See ``Framing``."""
        return True

    def prepare(self) -> None:
        """See ``Framing``."""

    def has(self, subject: str, version: int) -> bool:
        """Whether this schema's number is known."""
        return (subject, version) in self._numbers

    def learn(self, subject: str, version: int, number: int) -> None:
        """This schema has this number."""
        self._numbers.setdefault((subject, version), number)
        self._writers[number] = Writer(
            schemas.avro_schema(subject, version), CONFLUENT_PREFIX_BYTES, subject, version
        )

    def prefix(self, subject: str, version: int) -> bytes:
        """``00`` and the number of a schema that was registered."""
        number = self._numbers.get((subject, version))
        if number is None:
            raise UnknownSchema(f"{subject}.v{version} is not in the schema registry")
        return number_prefix(number)

    def writer(self, value: bytes) -> Writer:
        """Look the number up among our schemas, then in the registry."""
        if len(value) < CONFLUENT_PREFIX_BYTES or value[0] != CONFLUENT_MARKER:
            raise MalformedRecord("the value has no Confluent framing")
        number = int.from_bytes(value[1:CONFLUENT_PREFIX_BYTES], "big")
        known = self._writers.get(number)
        if known is None:
            schema = self._fetch(number)
            ours = _released_as(schema)
            if ours is not None:
                self.learn(*ours, number)
                return self._writers[number]
            known = self._writers[number] = Writer(schema, CONFLUENT_PREFIX_BYTES, None, None)
        return known


def _released_as(schema: Schema) -> tuple[str, int] | None:
    """Subject and version of the released contract that this schema is."""
    for subject in schemas.subjects():
        for version in schemas.versions(subject):
            if schemas.avro_schema(subject, version) == schema:
                return subject, version
    return None


def number_prefix(number: int) -> bytes:
    """The Confluent framing of a schema number."""
    return bytes([CONFLUENT_MARKER]) + number.to_bytes(4, "big")
