"""librdkafka's broker for tests, in this process: enough for a demo where there is no Kafka.

Real TCP on the loopback interface, so other processes can connect. It keeps at most 5 MiB or
100,000 messages a partition and drops older ones without a word, has no admin calls and forgets
everything when it is closed: no evidence of durability.
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaException, Producer

from kite_kafka_io.client import ClientLog
from kite_kafka_io.errors import BrokerUnreachable

_START_TIMEOUT_S: Final = 10.0


class MockBroker:
    """Runs from construction until ``close``; a topic appears, with four partitions, when it is
    first asked for by name, for instance by ``create_topic``.

    ``bootstrap`` is its ``host:port``. The mock cluster belongs to a producer, which is kept here.
    """

    def __init__(self) -> None:
        config = {
            "bootstrap.servers": "mock",
            "test.mock.num.brokers": 1,
            "test.mock.broker.rtt": 0,
        }
        self._producer: Producer | None = Producer(config, logger=ClientLog())
        try:
            brokers = self._producer.list_topics(timeout=_START_TIMEOUT_S).brokers
        except KafkaException as exc:
            raise BrokerUnreachable("the mock broker did not start") from exc
        self.bootstrap = ",".join(f"{each.host}:{each.port}" for each in brokers.values())

    def create_topic(self, name: str) -> None:
        """Make a topic of four partitions; one that exists stays as it is."""
        if self._producer is None:
            raise BrokerUnreachable("the mock broker is closed")
        try:
            self._producer.list_topics(name, timeout=_START_TIMEOUT_S)
        except KafkaException as exc:
            raise BrokerUnreachable("the mock broker does not answer") from exc

    def close(self) -> None:
        """Stop; everything in it is gone."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.close()
            self._producer = None

    def __enter__(self) -> MockBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
