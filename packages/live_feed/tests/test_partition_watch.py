"""The topic of ticks is deleted, comes back with another number of partitions, and is repaired."""

from __future__ import annotations

import threading
import uuid

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.partition_watch import PartitionWatch

WAIT_S = 30


class Stage:
    """A topic that is made and deleted; ``told`` is what was reported."""

    def __init__(self, kafka: KafkaSettings, known: int | None) -> None:
        self.name = f"test-{uuid.uuid4().hex}"
        self.told: list[str] = []
        self.watch = PartitionWatch(kafka, self.name, known, self.told.append)
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    def make(self, partitions: int) -> None:
        self._admin.create_topics([NewTopic(self.name, partitions, 1)])[self.name].result(WAIT_S)
        self.look_until(partitions)

    def delete(self) -> None:
        self._admin.delete_topics([self.name])[self.name].result(WAIT_S)
        self.look_until(f"topic {self.name} does not exist")

    def look_until(self, wanted: int | str) -> None:
        """The broker hears of a change a moment after its controller."""
        for _ in range(600):
            found = self.watch.look()
            if found == wanted or (isinstance(wanted, str) and wanted in str(found)):
                self.watch.judge(found)
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"{wanted} was never found")


def test_a_topic_that_came_back_smaller_is_reported_once_and_is_a_problem(
    real_kafka: KafkaSettings,
) -> None:
    stage = Stage(real_kafka, 4)
    stage.make(4)
    assert (stage.watch.problem, stage.told) == (None, [])
    stage.delete()
    assert "does not exist" in str(stage.watch.problem)
    stage.make(1)
    stage.look_until(1)
    assert stage.told == [f"topic {stage.name} had 4 partitions and has 1"]
    assert "had 4 partitions when this bridge started and has 1" in str(stage.watch.problem)
    stage.delete()
    stage.make(4)
    assert stage.watch.problem is None
    assert stage.told[1:] == [f"topic {stage.name} had 1 partitions and has 4"]
    stage.delete()


def test_the_first_number_counts_where_kafka_was_away_at_the_start(
    real_kafka: KafkaSettings,
) -> None:
    stage = Stage(real_kafka, None)
    stage.make(2)
    assert (stage.watch.problem, stage.told) == (None, [])
    stage.delete()
    stage.make(3)
    assert stage.told == [f"topic {stage.name} had 2 partitions and has 3"]
    stage.delete()
    away = PartitionWatch(KafkaSettings(bootstrap="127.0.0.1:9"), "x", 1, stage.told.append)
    with pytest.raises(BrokerUnreachable):
        away.look()


def test_no_client_makes_a_topic_by_asking_for_it(real_kafka: KafkaSettings) -> None:
    """Also where the broker would: the request says that it must not."""
    producer, delivery = RecordProducer(real_kafka, gapless=False), Delivery()
    assert real_kafka.client_config()["allow.auto.create.topics"] is False
    name = f"test-{uuid.uuid4().hex}"
    producer.produce_record(name, b"k", b"v", delivery)
    producer.flush(WAIT_S)
    assert delivery.error is not None
    producer.close()
    assert name not in AdminClient({"bootstrap.servers": real_kafka.bootstrap}).list_topics().topics
