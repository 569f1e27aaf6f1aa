"""The records around one in its topic, as Kafka has them now."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from kite_bars_store.failures import NO_TOPIC_ID
from kite_kafka_io.errors import KafkaIoError, UnknownTopic
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Span, find_ranges
from kite_kafka_io.topic_check import topic_ids

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
        # First, because it waits no longer than it is told where no broker answers.
        known = topic_ids(kafka, [topic], ANSWER_S).get(topic, NO_TOPIC_ID)
        if NO_TOPIC_ID not in (known, topic_id) and known != topic_id:
            return Around(problem=f"topic {topic} was deleted and made anew since")
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
