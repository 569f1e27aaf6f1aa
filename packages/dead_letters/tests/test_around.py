"""The records around one, where Kafka is slow or refuses; ``show``'s tests ask a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from kite_dead_letters import stored
from kite_dead_letters.stored import Around, read_around
from kite_kafka_io.errors import NotAllowed
from kite_kafka_io.raw_reader import RawRecord
from kite_kafka_io.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap="kafka:9092")
TOPIC = "ticks.dlq"
ID = UUID(int=7)
NEXT = RawRecord(TOPIC, 0, 4, 1, None, b"x", [])


class Reader:
    """One batch, for which it takes longer than there is time."""

    def __init__(self, last: bool) -> None:
        self.finished = False
        self._last = last

    def read(self, timeout_s: float) -> list[RawRecord]:
        time.sleep(2 * stored.ANSWER_S)
        self.finished = self._last
        return [NEXT]


def read(monkeypatch: pytest.MonkeyPatch, *, last: bool) -> Around:
    @contextmanager
    def reader(*_: object, **__: object) -> Iterator[Reader]:
        yield Reader(last)

    monkeypatch.setattr(stored, "ANSWER_S", 0.01)
    monkeypatch.setattr(stored, "topic_ids", lambda *_: {TOPIC: ID})
    monkeypatch.setattr(stored, "find_ranges", lambda *_, **__: {(TOPIC, 0): (0, 5)})
    monkeypatch.setattr(stored, "RawReader", reader)
    return read_around(KAFKA, TOPIC, ID, 0, 3)


def test_a_last_answer_that_comes_late_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, last=True) == Around([NEXT])


def test_it_does_not_wait_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, last=False)
    assert found == Around(problem="Kafka at kafka:9092 does not answer")


def test_a_refusal_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    why = f"Kafka at kafka:9092 refuses topic {TOPIC} to this user"

    def refuse(*_: object) -> dict[str, UUID]:
        raise NotAllowed(why)

    monkeypatch.setattr(stored, "topic_ids", refuse)
    assert read_around(KAFKA, TOPIC, ID, 0, 3) == Around(problem=why)
