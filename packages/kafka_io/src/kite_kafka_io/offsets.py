"""Where a topic begins and ends now: for readers of exactly what is there, or of what comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from kite_kafka_io.client_log import ClientLog
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topic_check import check_topics, explain

_CALL_S: Final = 5.0
_PAUSE_S: Final = 0.1
_STARTING: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)
"""What a Kafka that has just started answers those who ask for a group."""
_PASSING: Final = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
)


def end_offsets(settings: KafkaSettings, topic: str, timeout_s: float = 10.0) -> dict[int, int]:
    """Partition → offset of the next record to be written; for ``from_offsets`` of a reader.

    A topic that was made a moment ago may have no leader yet: that is waited for. Raises
    BrokerUnreachable and UnknownTopic.
    """
    ends_s = time.monotonic() + timeout_s
    partitions = check_topics(settings, [topic], timeout_s)[topic]
    config = {**settings.client_config(), "group.id": "kafka-io-no-group"}
    consumer = Consumer(config, logger=ClientLog(logging.getLogger(__name__)))
    try:
        return {
            number: watermarks(consumer, TopicPartition(topic, number), settings, ends_s)[1]
            for number in range(partitions)
        }
    finally:
        consumer.close()


def watermarks(
    consumer: Consumer, place: TopicPartition, settings: KafkaSettings, ends_s: float
) -> tuple[int, int]:
    """First offset and the one after the last; tried until ``time.monotonic()`` is ``ends_s``.

    ``consumer`` must have nothing assigned yet. Raises BrokerUnreachable, UnknownTopic and
    NotAllowed.
    """
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=_CALL_S)
        except KafkaException as exc:
            error = exc.args[0]
            if time.monotonic() < ends_s and error.code() in _PASSING:
                consumer.poll(_PAUSE_S)
                continue
            raise explain(error, settings.bootstrap, place.topic) from exc


def committed_offsets(
    consumer: Consumer, places: Sequence[tuple[str, int]], timeout_s: float
) -> dict[tuple[str, int], int]:
    """Where the consumer's group left off, of those (topic, partition) where it ever was.

    Asked again while Kafka is still looking for the group. ``consumer`` must have nothing assigned
    yet. Raises KafkaException, also when that takes longer than ``timeout_s``.
    """
    ends_s = time.monotonic() + timeout_s
    asked = [TopicPartition(*place) for place in places]
    while True:
        left_s = max(_PAUSE_S, ends_s - time.monotonic())
        try:
            found = consumer.committed(asked, timeout=left_s)
        except KafkaException as exc:
            if exc.args[0].code() not in _STARTING or time.monotonic() >= ends_s:
                raise
            consumer.poll(_PAUSE_S)
            continue
        return {
            (each.topic, each.partition): each.offset
            for each in found
            if each.offset != OFFSET_INVALID
        }
