"""Asking Kafka while it is still starting: again, and no longer than the caller has time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.group import GroupMember
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import committed_offsets, watermarks

PLACES = [("t", 0), ("t", 1)]


class Starting:
    """A consumer whose Kafka answers with these errors first."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        self.asked += 1
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return [TopicPartition("t", 0, 7, "a note"), TopicPartition("t", 1, OFFSET_INVALID)]


def test_it_is_asked_again() -> None:
    consumer: Any = Starting(
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    )
    assert committed_offsets(consumer, PLACES, 5.0) == {("t", 0): 7}
    assert consumer.asked == 4


def test_not_for_ever() -> None:
    consumer: Any = Starting(*[KafkaError.NOT_COORDINATOR] * 5)
    with pytest.raises(KafkaException):
        committed_offsets(consumer, PLACES, 0.0)
    assert len(consumer.codes) == 4


def test_other_errors_are_told_at_once() -> None:
    consumer: Any = Starting(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        committed_offsets(consumer, PLACES, 5.0)
    assert consumer.asked == 1


def test_the_notes_of_a_group_are_asked_for_again() -> None:
    settings: Any = KafkaSettings(bootstrap="127.0.0.1:9")
    membership: Any = None
    member = GroupMember(settings, "t", "g", membership)
    member.close()
    starting: Any = Starting(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    member._consumer = starting
    assert member.notes([0, 1]) == {0: "a note"}
    assert starting.asked == 3


class Slow:
    """A consumer whose Kafka has no leader yet, and takes all the time that a call is given."""

    def __init__(self) -> None:
        self.given_s: list[float] = []

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self.given_s.append(timeout)
        time.sleep(timeout)
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))

    def poll(self, timeout: float) -> None:
        pass


def test_one_call_takes_no_longer_than_there_is_time() -> None:
    consumer: Any = Slow()
    settings = KafkaSettings(bootstrap="127.0.0.1:9")
    with pytest.raises(BrokerUnreachable):
        watermarks(consumer, TopicPartition("t", 0), settings, time.monotonic() + 0.3)
    assert sum(consumer.given_s) < 1.0
