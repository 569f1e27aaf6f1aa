"""A topic that is deleted and recreated is told apart from the one before, and the lag is known."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError, NotAllowed, UnknownTopic
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import explain, topic_ids
from kite_runtime.errors import ConfigurationError


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


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (None, UnknownTopic, "topic t does not exist at k:1; create it with make up"),
        (KafkaError._UNKNOWN_TOPIC, UnknownTopic, "topic t does not exist at k:1"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAllowed, "k:1 refuses topic t to this user"),
        (KafkaError._AUTHENTICATION, NotAllowed, "correct KAFKA_SASL_USERNAME"),
        (KafkaError._TRANSPORT, BrokerUnreachable, "no Kafka broker answers for t at k:1"),
    ],
)
def test_what_kafka_answers_is_explained(
    code: int | None, kind: type[KafkaIoError], text: str
) -> None:
    error = explain(None if code is None else KafkaError(code), "k:1", "t")
    assert type(error) is kind
    assert text in str(error)
    assert ("make up" in str(error)) is (kind is UnknownTopic)


def test_a_group_that_is_refused_is_a_matter_of_settings() -> None:
    refused = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    error = explain(refused, "k:1", group="g")
    assert "refuses group g to this user" in str(error)
    assert isinstance(error, ConfigurationError)
