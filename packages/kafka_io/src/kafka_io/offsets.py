"""Where a topic ends now: for readers that must read exactly what comes from here on."""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kafka_io.client_log import ClientLog
from kafka_io.errors import BrokerUnreachable
from kafka_io.settings import KafkaSettings
from kafka_io.topic_check import check_topics


def end_offsets(settings: KafkaSettings, topic: str, timeout_s: float = 5.0) -> dict[int, int]:
    """Partition → offset of the next record to be written; for ``from_offsets`` of a reader.

    Raises BrokerUnreachable and UnknownTopic.
    """
    partitions = check_topics(settings, [topic], timeout_s)[topic]
    config = {**settings.client_config(), "group.id": "kafka-io-no-group"}
    consumer = Consumer(config, logger=ClientLog(logging.getLogger(__name__)))
    try:
        return {
            number: consumer.get_watermark_offsets(
                TopicPartition(topic, number), timeout=timeout_s
            )[1]
            for number in range(partitions)
        }
    except KafkaException as exc:
        raise BrokerUnreachable(f"no Kafka broker answers at {settings.bootstrap}") from exc
    finally:
        consumer.close()
