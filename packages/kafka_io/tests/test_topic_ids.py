"""A topic that is deleted and made anew is told apart from the one before, and the lag is known."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kite_kafka_io.delivery import Delivery
from kite_kafka_io.errors import BrokerUnreachable, UnknownTopic
from kite_kafka_io.producer import RecordProducer
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topic_check import topic_ids


def wait_for(answers: dict[str, Future[None]]) -> None:
    for answer in answers.values():
        answer.result(timeout=30)


def known(settings: KafkaSettings, names: list[str]) -> dict[str, uuid.UUID]:
    """The ids, as soon as the broker has heard of what its controller confirmed."""
    for _ in range(600):
        with contextlib.suppress(UnknownTopic):
            return topic_ids(settings, names)
        threading.Event().wait(0.05)
    raise AssertionError(f"the broker never heard of {names}")


def test_the_same_name_made_anew_has_another_id(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    name, other = make_topic(), make_topic(2)
    before = topic_ids(settings, [name, other])
    assert before == topic_ids(settings, [name, other])
    assert len({*before.values(), uuid.UUID(int=0)}) == 3
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    wait_for(admin.delete_topics([name]))
    wait_for(admin.create_topics([NewTopic(name, 1, replication_factor=-1)]))
    after = known(settings, [name, other])
    assert after[name] != before[name]
    assert after[other] == before[other]


def test_a_missing_topic_and_a_missing_broker(kafka_bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    assert topic_ids(settings, []) == {}
    with pytest.raises(UnknownTopic, match="topic nowhere does not exist"):
        topic_ids(settings, ["nowhere"])
    with pytest.raises(BrokerUnreachable):
        topic_ids(KafkaSettings(bootstrap="127.0.0.1:9"), ["x"], timeout_s=0.3)


def test_the_lag_is_what_is_left_to_read(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    name = make_topic()
    producer, delivery = RecordProducer(settings), Delivery()
    for _ in range(600):
        producer.produce_record(name, None, b"x", delivery)
    assert producer.flush(30) == 0
    producer.close()
    with RawReader(settings, [name]) as reader:
        seen = 0
        while not reader.finished:
            seen += len(reader.read(1.0))
            assert seen + reader.lag() == 600 or not seen
        assert (seen, reader.lag()) == (600, 0)
