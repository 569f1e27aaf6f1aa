"""What triage makes of one record of a dead-letter topic (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Headers = list[tuple[str, bytes | None]]


class Dialect(StrEnum):
    """Whose headers a record carries."""

    KITE = "kite"
    """Ours, ``dlq.*``: the DeadLetter contract."""
    CONNECT = "connect"
    """Kafka Connect, ``__connect.errors.*``."""
    SPRING = "spring"
    """Spring for Apache Kafka, ``kafka_dlt-*``: numbers are big-endian binary."""
    STREAMS = "streams"
    """Kafka Streams (KIP-1034), ``__streams.errors.*``."""
    SHARE_GROUP = "share-group"
    """Share groups (KIP-1191), ``__dlq.errors.*``."""
    NONE = "none"
    """None that we know."""


class ReasonSource(StrEnum):
    """Where the reason of a record comes from."""

    HEADER = "header"
    DECODED = "decoded"
    """From decoding the bytes and holding them against the contracts again."""
    NONE = "none"
    """Neither said anything: UNCLASSIFIED."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the bytes turned out to be.

    ``form`` is ``record`` (Avro, with the contract that wrote it), ``packet`` or ``frame`` (Kite's
    wire, as tick records), ``json``, or ``text``. ``records`` are in JSON form.
    """

    form: str
    contract: str | None
    records: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedRecord:
    """One dead letter: the record as it lies in Kafka, and what is known of it.

    ``origin_*`` name where it came from, as its headers say. ``reason`` is always a code of
    ``contracts.reasons``; ``message`` is for a person, '' where nobody said anything.
    ``fingerprint`` is 16 hex digits, equal for failures of one cause.
    ``problems`` tell of headers that could not be read as they should.
    """

    topic: str
    partition: int
    offset: int
    ts_ns: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    dialect: Dialect
    reason: str
    reason_source: ReasonSource
    message: str
    error_path: str | None
    exception: str | None
    origin_topic: str | None
    origin_partition: int | None
    origin_offset: int | None
    feed_session: int | None
    feed_seq: int | None
    contract: str | None
    unit: str | None
    attempt: int
    first_failure_ns: int | None
    fingerprint: str
    problems: tuple[str, ...] = ()
