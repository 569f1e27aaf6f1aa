"""Between a classified record and the row that Postgres keeps; and its neighbours in Kafka."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from kite_bars_store.failures import NO_TOPIC_ID, FailureRecord
from kite_dead_letters.records import ClassifiedRecord
from kite_kafka_io.errors import KafkaIoError, UnknownTopic
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.redrives import ATTEMPT
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Span, find_ranges
from kite_kafka_io.topics import topic_ids

_ATTEMPT_DIGITS_MAX: Final = 9


def to_store(found: ClassifiedRecord, topic_id: UUID = NO_TOPIC_ID) -> FailureRecord:
    """The record with all that is known of it.

    A redriven record that failed again has its attempt, whoever dead-lettered it.
    """
    raw, failure = found.raw, found.failure
    return FailureRecord(
        topic=raw.topic,
        topic_id=topic_id,
        partition=raw.partition,
        offset=raw.offset,
        ts_ns=raw.ts_ns,
        key=raw.key,
        value=raw.value,
        headers=[(name.encode(errors="surrogateescape"), content) for name, content in raw.headers],
        dialect=failure.dialect,
        reason=failure.reason,
        reason_source=failure.reason_source,
        message=found.message,
        fingerprint=found.fingerprint,
        error_path=failure.error_path,
        exception=failure.exception,
        component=failure.component,
        origin_topic=failure.origin_topic,
        origin_partition=failure.origin_partition,
        origin_offset=found.origin_offset,
        feed_session=failure.feed_session,
        feed_seq=found.feed_seq,
        contract=failure.contract,
        unit=failure.unit,
        attempt=max(failure.attempt, _redriven_attempt(raw)),
        first_failure_ns=found.first_failure_ns,
        problems=found.problems,
    )


def to_raw(stored: FailureRecord) -> RawRecord:
    """The record as it lay in Kafka, to be looked at again."""
    return RawRecord(
        topic=stored.topic,
        partition=stored.partition,
        offset=stored.offset,
        ts_ns=stored.ts_ns,
        key=stored.key,
        value=stored.value,
        headers=[(name.decode(errors="surrogateescape"), value) for name, value in stored.headers],
    )


def without_content(stored: FailureRecord, why: str) -> FailureRecord:
    """What is left to store of a record that Postgres does not take: where it lies, and why."""
    return FailureRecord(
        topic=stored.topic,
        topic_id=stored.topic_id,
        partition=stored.partition,
        offset=stored.offset,
        ts_ns=stored.ts_ns,
        key=None,
        value=None,
        headers=[],
        dialect=stored.dialect,
        reason=stored.reason,
        reason_source=stored.reason_source,
        message="the record is in Kafka only: Postgres does not take it",
        fingerprint=stored.fingerprint,
        problems=(why,),
    )


def _redriven_attempt(raw: RawRecord) -> int:
    for name, content in raw.headers:
        if name == ATTEMPT and content and content.isdigit():
            return int(content) if len(content) <= _ATTEMPT_DIGITS_MAX else 0
    return 0


NEIGHBOURS: Final = 5
"""Offsets to either side; in a compacted topic, or among transactions, fewer may be records."""
ANSWER_S: Final = 5.0
_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Around:
    """``records`` in the order of the topic, without the one asked about.

    ``problem`` is why there are none to be had: half a sentence, or None.
    """

    records: list[RawRecord] = field(default_factory=list)
    problem: str | None = None


def read_around(
    kafka: KafkaSettings | None, topic: str, topic_id: UUID, partition: int, offset: int
) -> Around:
    """The neighbours of a record that was stored under this place and topic id. Never raises."""
    if kafka is None:
        return Around(problem="KAFKA_BOOTSTRAP names no broker")
    span = Span(
        partitions=frozenset([partition]),
        from_offset=max(0, offset - NEIGHBOURS),
        until_offset=offset + NEIGHBOURS + 1,
    )
    try:
        # First, because its wait is bounded where no broker answers.
        known = topic_ids(kafka, [topic], ANSWER_S).get(topic, NO_TOPIC_ID)
        if NO_TOPIC_ID not in (known, topic_id) and known != topic_id:
            return Around(problem=f"topic {topic} was deleted and recreated since")
        ranges = find_ranges(kafka, [topic], span, timeout_s=ANSWER_S)
        found: list[RawRecord] = []
        ends_s = time.monotonic() + ANSWER_S
        with RawReader(kafka, [topic], ranges=ranges) as reader:
            while not reader.finished:
                if time.monotonic() > ends_s:
                    return Around(problem=f"Kafka at {kafka.bootstrap} does not answer")
                found += reader.read(_WAIT_S)
    except UnknownTopic:
        return Around(problem=f"topic {topic} is no longer at {kafka.bootstrap}")
    except KafkaIoError as error:
        return Around(problem=str(error))
    return Around([each for each in found if each.offset != offset])
