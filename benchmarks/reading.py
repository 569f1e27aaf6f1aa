"""Reading ``ticks`` into columns, against plainly consuming the bytes of the same topic."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, TopicPartition

from benchmarks.bridge_way import UnjournaledBridge
from benchmarks.measure import Figure, NotMeasured, Spread, in_turns, ratios, say
from benchmarks.stage import PARTITIONS, full_frames, kafka_settings, topic
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.settings import KafkaSettings

TITLE = "Reading ticks"
TICKS = 200_000
PACKETS = 100
COLUMNS_MIN = 0.7


def run(rounds: int) -> list[Figure]:
    """The two in turns on one topic, which is written first."""
    settings = kafka_settings()
    frames = full_frames(PACKETS, 200)
    with topic(settings) as name:
        say(f"  writing {TICKS:,} ticks")
        writer = UnjournaledBridge(settings, name)  # numbers the ticks, so that none is a repeat
        for _ in range(TICKS // (PACKETS * len(frames))):
            writer.run(frames)
        writer.close()
        rates = in_turns(
            rounds,
            {
                "columns": lambda: read_columns(settings, name),
                "bytes": lambda: read_bytes(settings, name),
            },
        )
    return [
        Figure.of("ticks into columns, repeats looked for", "ticks/s", Spread.of(rates["columns"])),
        Figure.of("consume() alone", "ticks/s", Spread.of(rates["bytes"])),
        Figure.of(
            "ticks into columns against consume()",
            "x",
            ratios(rates["columns"], rates["bytes"]),
            COLUMNS_MIN,
        ),
    ]


def read_columns(settings: KafkaSettings, name: str) -> float:
    """Ticks a second from the first batch on; joining and looking for the ends is not counted."""
    count, started_s = 0, 0.0
    with TickReader(settings, name, start="earliest", until_end=True) as reader:
        for columns in reader:
            started_s = started_s or time.perf_counter()
            count += len(columns)
    if count != TICKS:
        raise NotMeasured(f"{count:,} ticks were read of {TICKS:,}")
    return count / (time.perf_counter() - started_s)


def read_bytes(settings: KafkaSettings, name: str) -> float:
    """The same with ``consume()`` and nothing else, with the reader's own fetch settings."""
    consumer = Consumer(
        {
            **settings.client_config(),
            "group.id": "bench",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 32 * 1024,
            "fetch.queue.backoff.ms": 10,
            "log_level": 0,
        }
    )
    places = [TopicPartition(name, number, 0) for number in range(PARTITIONS)]
    total = sum(consumer.get_watermark_offsets(each, timeout=30)[1] for each in places)
    consumer.assign(places)
    count = len(consumer.consume(1, 30))
    started_s = time.perf_counter()
    while count < total:
        count += len([each.value() for each in consumer.consume(min(1_000, total - count), 1.0)])
    seconds = time.perf_counter() - started_s
    consumer.close()
    return count / seconds
