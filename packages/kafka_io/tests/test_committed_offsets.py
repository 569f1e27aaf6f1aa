"""Asking for a group's progress while Kafka is still looking for the group."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from kite_kafka_io.topics import committed_offsets

PLACES = [("t", 0), ("t", 1)]


class Starting:
    """A consumer whose Kafka answers with these errors first."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.polled = 0

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return [TopicPartition("t", 0, 7), TopicPartition("t", 1, OFFSET_INVALID)]

    def poll(self, timeout: float) -> None:
        self.polled += 1


def test_it_is_asked_again() -> None:
    consumer: Any = Starting(
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    )
    assert committed_offsets(consumer, PLACES, 5.0) == {("t", 0): 7}
    assert consumer.polled == 3


def test_not_for_ever() -> None:
    consumer: Any = Starting(*[KafkaError.NOT_COORDINATOR] * 5)
    with pytest.raises(KafkaException):
        committed_offsets(consumer, PLACES, 0.0)
    assert len(consumer.codes) == 4


def test_other_errors_are_told_at_once() -> None:
    consumer: Any = Starting(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        committed_offsets(consumer, PLACES, 5.0)
    assert consumer.polled == 0
