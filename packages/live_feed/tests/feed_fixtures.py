"""Fixtures of the bridge's tests, here and in the app: brokers with topics of their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from kite_devstack.testing import kafka_bootstrap, make_topic
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.topics import Topics

__all__ = [
    "kafka_bootstrap",
    "make_topic",
    "mock_broker",
    "mock_kafka",
    "mock_topics",
    "real_kafka",
    "real_topics",
]


@pytest.fixture(scope="session")
def mock_broker() -> Iterator[MockBroker]:
    """librdkafka's embedded broker with the bridge's topics, shared by the whole session."""
    with MockBroker() as broker:
        for name in (*Topics().names, Topics().bars):
            broker.create_topic(name)
        yield broker


@pytest.fixture()
def mock_kafka(mock_broker: MockBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap=mock_broker.bootstrap)


@pytest.fixture()
def mock_topics(mock_broker: MockBroker) -> Topics:
    """Topics of this test alone, on the mock broker."""
    mark = f"test-{uuid.uuid4().hex}"
    topics = Topics(f"{mark}-ticks", f"{mark}-dead", f"{mark}-events", f"{mark}-bars")
    for name in (*topics.names, topics.bars):
        mock_broker.create_topic(name)
    return topics


@pytest.fixture()
def real_kafka(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_bootstrap)


@pytest.fixture()
def real_topics(make_topic: Callable[[int], str]) -> Topics:
    """Topics of this test alone, on the real Kafka."""
    return Topics(make_topic(4), make_topic(2), make_topic(1), make_topic(2))
