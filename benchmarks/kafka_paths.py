"""Producing and reading ticks on a real Kafka, as ratios against the bytes alone, in one run.

    KAFKA_BOOTSTRAP=127.0.0.1:9092 python benchmarks/kafka_paths.py [ROUNDS]

``produce``: encode a batch, enqueue it and count each acknowledgement, against ``produce_batch``
of the same bytes made beforehand, with a counting callback. ``read``: columns by ``TickReader``
against ``consume()`` of the same topic. The two sides take turns; the median of the rounds' ratios
counts.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kafka_io.consumer import TickReader
from kafka_io.framing import SingleObjectFraming
from kafka_io.producer import Delivery, RecordProducer, producer_config
from kafka_io.settings import KafkaSettings
from kafka_io.testing import full_batch
from kafka_io.tick_codec import encode_ticks, warm_up

TICKS = 120_000
PARTITIONS = 6
IN_FLIGHT = 20_000


class Counting:
    """The least that a callback must do."""

    def __init__(self) -> None:
        self.outstanding = 0

    def report(self, error: KafkaError | None, message: Message) -> None:
        """One answer."""
        self.outstanding -= 1
        if error is not None:
            raise SystemExit(error.str())


def ours(settings: KafkaSettings, topic: str, rows: int) -> float:
    batch = full_batch(rows, instruments=rows)
    producer = RecordProducer(settings, ticks_topic=topic)
    producer.produce_ticks(batch, Delivery())
    producer.flush(30)
    start = time.perf_counter()
    for _ in range(TICKS // rows):
        producer.produce_ticks(batch, Delivery())
        producer.poll(0)
        while producer.in_flight > IN_FLIGHT:
            producer.poll(0.001)
    while producer.in_flight:
        producer.poll(0.01)
    seconds = time.perf_counter() - start
    producer.close()
    return TICKS // rows * rows / seconds


def ready_made(settings: KafkaSettings, topic: str, rows: int) -> float:
    batch = full_batch(rows, instruments=rows)
    values = encode_ticks(batch, SingleObjectFraming().prefix("tick", 1))
    keys = [b"%d" % token for token in batch.column("instrument_token").tolist()]
    producer, counting = Producer({**producer_config(settings), "log_level": 0}), Counting()
    producer.produce(topic, values[0], keys[0])
    producer.flush(30)
    start = time.perf_counter()
    for _ in range(TICKS // rows):
        messages: list[dict[str, object]] = [
            {"value": v, "key": k} for v, k in zip(values, keys, strict=True)
        ]
        counting.outstanding += producer.produce_batch(
            topic,
            messages,
            on_delivery=counting.report,
        )
        producer.poll(0)
        while counting.outstanding > IN_FLIGHT:
            producer.poll(0.001)
    while counting.outstanding:
        producer.poll(0.01)
    return TICKS // rows * rows / (time.perf_counter() - start)


def read_columns(settings: KafkaSettings, topic: str) -> float:
    count, start = 0, time.perf_counter()
    with TickReader(settings, topic, start="earliest", until_end=True, duplicates=None) as reader:
        for columns in reader:
            if not count:
                start = time.perf_counter()
            count += len(columns)
    return count / (time.perf_counter() - start)


def read_bytes(settings: KafkaSettings, topic: str, total: int) -> float:
    consumer = Consumer({**settings.client_config(), "group.id": "bench", "log_level": 0})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    first = consumer.consume(1, 30)
    count, start = len(first), time.perf_counter()
    while count < total:
        count += len([each.value() for each in consumer.consume(10_000, 0.05)])
    seconds = time.perf_counter() - start
    consumer.close()
    return count / seconds


def main() -> None:
    settings = KafkaSettings.from_env(os.environ)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    warm_up()
    for rows in (10, 30, 300):
        pairs = [
            (ours(settings, topic, rows), ready_made(settings, topic, rows)) for _ in range(rounds)
        ]
        report(f"produce, {rows} a batch", pairs)
    consumer = Consumer({**settings.client_config(), "group.id": "bench"})
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
        for number in range(PARTITIONS)
    ]
    consumer.close()
    report(
        "read",
        [
            (read_columns(settings, topic), read_bytes(settings, topic, sum(ends)))
            for _ in range(max(1, rounds // 2))
        ],
    )
    admin.delete_topics([topic])[topic].result(30)


def report(name: str, pairs: list[tuple[float, float]]) -> None:
    ratio = statistics.median(left / right for left, right in pairs)
    best = [max(side) / 1e3 for side in zip(*pairs, strict=True)]
    print(
        f"{name}: ratio {ratio:.2f} (best {best[0]:.0f} k/s against {best[1]:.0f} k/s)", flush=True
    )


if __name__ == "__main__":
    main()
