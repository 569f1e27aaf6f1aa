"""Fixtures: the real Kafka of the local stack, and every broker that the contract tests run on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from kite_devstack.testing import kafka_bootstrap, make_topic  # noqa: F401
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import Broker

# The first example of a test may compile the loops; a time limit would only measure the machine.
hypothesis.settings.register_profile("kafka_io", deadline=None)
hypothesis.settings.load_profile("kafka_io")


@pytest.fixture(scope="session")
def mock_broker() -> Iterator[MockBroker]:
    with MockBroker() as broker:
        yield broker


@pytest.fixture(params=["mock", "kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """The same tests hold on librdkafka's mock and on the real Kafka."""
    if request.param == "mock":
        mock: MockBroker = request.getfixturevalue("mock_broker")

        def make() -> str:
            name = f"test-{uuid.uuid4().hex}"
            mock.create_topic(name)
            return name

        return Broker(KafkaSettings(bootstrap=mock.bootstrap), make)
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    make_real: Callable[[int], str] = request.getfixturevalue("make_topic")
    return Broker(KafkaSettings(bootstrap=bootstrap), lambda: make_real(4))
