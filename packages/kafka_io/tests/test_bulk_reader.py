"""The bulk reader on the real Kafka: what ``RawReader`` gives, whatever lies there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from test_raw_reader import send, send_with_header_name

from kite_kafka_io.bulk_reader import BulkReader
from kite_kafka_io.errors import ReadError
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.source import Place
from kite_kafka_io.spans import Span, find_ranges
from kite_runtime.errors import ConfigurationError

MakeTopic = Callable[..., str]
WAIT_S = 30.0


@pytest.fixture()
def settings(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_bootstrap)


def bounds(settings: KafkaSettings, topics: list[str], span: Span) -> dict[Place, tuple[int, int]]:
    found = find_ranges(settings, topics, span)
    return {place: (first, end) for place, (first, end) in found.items() if end is not None}


def in_bulk(
    settings: KafkaSettings, ranges: dict[Place, tuple[int, int]], span: Span | None = None
) -> list[RawRecord]:
    found: list[RawRecord] = []
    with BulkReader(settings, ranges, span=span) as reader:
        while not reader.finished:
            batch = reader.read(0.2)
            found += [reader.record(batch, row) for row in range(len(batch))]
    return found


def one_by_one(settings: KafkaSettings, topics: list[str], span: Span | None) -> list[RawRecord]:
    found: list[RawRecord] = []
    with RawReader(settings, topics, span=span) as reader:
        while not reader.finished:
            found += reader.read(0.2)
    return found


def in_order(found: list[RawRecord]) -> list[RawRecord]:
    return sorted(found, key=lambda each: each[:3])


def fill_with_everything(settings: KafkaSettings, topic: str, source: random.Random) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap, "compression.type": "lz4"})
    headers: list[list[tuple[str, Any]]] = [
        *([], [("n", None)], [("n", b"")], [("", b"x")], [("n", b"1"), ("n", b"2")]),
        [("ключ", "значение".encode()), ("z\0z", b"\0\xff" * 9)],
        [(f"h{number}", source.randbytes(number % 40)) for number in range(3_000)],
        [("large", source.randbytes(200_000))],
    ]
    for number in range(1_200):
        size = source.choice((0, 1, 7, 8, 44, 184, 5_000))
        value = source.choice((None, source.randbytes(size)))
        key = source.choice((None, b"", b"k", source.randbytes(9)))
        chosen = source.choice(headers[:6]) if number % 100 else source.choice(headers)
        partition, ms = source.randrange(3), source.choice((1_000, 2_000, 3_000))
        producer.produce(topic, value, key, partition, timestamp=ms, headers=chosen)
        if number % 400 == 0:
            producer.produce(topic, source.randbytes(900_000), partition=0)
            producer.flush(WAIT_S)
    assert producer.flush(WAIT_S) == 0
    producer.close()


def fill_with_transactions(settings: KafkaSettings, topic: str) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap, "transactional.id": topic})
    producer.init_transactions(WAIT_S)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number, partition=0)
        producer.flush(WAIT_S)
        if number % 2:
            producer.abort_transaction(WAIT_S)
        else:
            producer.commit_transaction(WAIT_S)
    producer.close()


def test_both_readers_give_the_same(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    topic, other = make_topic(3), make_topic(2)
    fill_with_transactions(settings, topic)
    fill_with_everything(settings, topic, random.Random(5))
    for name in (b"caf\xe9", b"\xff", b"good"):
        send_with_header_name(settings.bootstrap, topic, name)
    send(settings, other, (0, 5_000, b"x"), (1, 6_000, None))
    fill_with_transactions(settings, topic)
    wanted = one_by_one(settings, [topic, other], None)
    assert len(wanted) == 1_214
    assert sum(bool(each.problems) for each in wanted) == 2
    found = in_bulk(settings, bounds(settings, [topic, other], Span()))
    assert in_order(found) == in_order(wanted)
    for partition in range(3):
        offsets = [each.offset for each in found if each[:2] == (topic, partition)]
        assert offsets == sorted(offsets)


@pytest.mark.parametrize(
    "span",
    [
        Span(from_offset=3, until_offset=250),
        Span(partitions=frozenset([1])),
        Span(from_ns=1_999_999_999, until_ns=2_000_000_001),
        Span(from_ns=2_000_000_001),
        Span(until_ns=2_000_000_000),
        Span(from_offset=9_999),
    ],
)
def test_spans(settings: KafkaSettings, make_topic: MakeTopic, span: Span) -> None:
    topic = make_topic(2)
    send(settings, topic, *[(n % 2, 1_000 + n % 3 * 1_000, b"%d" % n) for n in range(600)])
    found = in_bulk(settings, bounds(settings, [topic], span), span)
    assert in_order(found) == in_order(one_by_one(settings, [topic], span))


def test_what_comes_later_is_left(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    send(settings, topic, (0, 1, b"a"), (0, 2, b"b"))
    ranges = bounds(settings, [topic], Span())
    send(settings, topic, (0, 3, b"late"))
    assert [each.value for each in in_bulk(settings, ranges)] == [b"a", b"b"]


def test_offsets_that_are_gone(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    send(settings, topic, *[(0, 1, b"%d" % n) for n in range(10)])
    ranges = bounds(settings, [topic], Span())
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    for done in admin.delete_records([TopicPartition(topic, 0, 5)]).values():
        done.result(WAIT_S)
    with pytest.raises(ReadError, match=f"reading {topic} failed: .*out of range"):
        in_bulk(settings, ranges)


def test_nobody_answers() -> None:
    nobody = KafkaSettings(bootstrap="127.0.0.1:9")
    with BulkReader(nobody, {("ticks.dlq", 0): (0, 1)}) as reader:
        ends_s = time.monotonic() + WAIT_S
        while reader.trouble is None and time.monotonic() < ends_s:
            assert len(reader.read(0.2)) == 0
        assert not reader.finished
        assert "127.0.0.1:9" in (reader.trouble or "")


def test_settings_that_are_refused() -> None:
    strange = KafkaSettings(bootstrap="127.0.0.1:9", security_protocol="NONE")
    with pytest.raises(ConfigurationError, match=r"refused: .*security\.protocol"):
        BulkReader(strange, {("ticks.dlq", 0): (0, 1)})
