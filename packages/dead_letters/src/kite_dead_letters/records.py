"""What triage makes of one record of a dead-letter topic (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from kite_kafka_io.raw_reader import RawRecord


class Dialect(StrEnum):
    """Whose headers a record carries."""

    KITE = "kite"
    """Ours, ``dlq.*``: the DeadLetter contract."""
    CONNECT = "connect"
    """Kafka Connect, ``__connect.errors.*``."""
    SPRING = "spring"
    """Spring for Apache Kafka, ``kafka_dlt-*``, and ``kafka_*`` beside ``retry_topic-*`` on retry
    topics: numbers are big-endian binary."""
    STREAMS = "streams"
    """Kafka Streams (KIP-1034), ``__streams.errors.*``."""
    SHARE_GROUP = "share-group"
    """Share groups (KIP-1191), ``__dlq.errors.*``."""
    CLOUD_STREAM = "spring-cloud-stream"
    """Spring Cloud Stream, and services that use its names: ``x-original-*``, ``x-exception-*``."""
    SMALLRYE = "smallrye"
    """SmallRye Reactive Messaging (Quarkus), ``dead-letter-*``."""
    WATERMILL = "watermill"
    """Watermill's poison queue, ``*_poisoned``."""
    MASSTRANSIT = "masstransit"
    """MassTransit, ``MT-Fault-*``."""
    NSERVICEBUS = "nservicebus"
    """NServiceBus, ``NServiceBus.ExceptionInfo.*``."""
    NONE = "none"
    """None that we know."""


class ReasonSource(StrEnum):
    """Where the reason of a record comes from."""

    HEADER = "header"
    """A header gives it: our code, or an exception whose class has one meaning."""
    DECODED = "decoded"
    """The bytes were decoded and held against the contracts again."""
    NONE = "none"
    """Neither gives a reason: UNCLASSIFIED."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the bytes turned out to be.

    ``form`` is ``record`` (Avro), ``packet`` or ``frame`` (Kite's wire, each packet as a Tick
    record), ``json`` or ``text``. ``contract`` names what wrote them, such as ``tick.v1``.
    ``records`` are in JSON form, but for bytes, which ``json_lines.to_json`` turns into base64.
    """

    form: str
    contract: str | None
    records: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What the records of one kind of failure share, as their headers or bytes show.

    ``reason`` is always a code of ``kite_contracts.reasons``. ``component`` is who gave up: a
    connector, a consumer group. ``problems`` are headers that could not be read as they should.
    """

    dialect: str = Dialect.NONE
    reason: str = "UNCLASSIFIED"
    reason_source: ReasonSource = ReasonSource.NONE
    error_path: str | None = None
    exception: str | None = None
    component: str | None = None
    origin_topic: str | None = None
    origin_partition: int | None = None
    feed_session: int | None = None
    contract: str | None = None
    unit: str | None = None
    attempt: int = 1
    problems: tuple[str, ...] = ()
    other_headers: tuple[int, ...] = field(default=(), compare=False)
    """Positions of the headers that no field holds, or not wholly."""


class ClassifiedRecord(NamedTuple):
    """One dead letter: the record as it lies in Kafka (``raw``) and what is known of it.

    ``message`` is for a person, '' where there was none. ``fingerprint`` is 16 hex digits,
    equal for failures of one cause. ``origin_*`` name where it came from, by its headers.
    ``decoded`` is there only if classifying needed it: ``Classifier.decoded`` gives it always.
    """

    raw: RawRecord
    failure: Failure
    message: str
    fingerprint: str
    origin_offset: int | None
    feed_seq: int | None
    first_failure_ns: int | None
    decoded: Decoded | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with its headers."""
        return self.failure.problems + self.raw.problems
