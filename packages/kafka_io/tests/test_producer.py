"""The producer on the mock and on the real Kafka: order, answers, and every way to fail."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer

from kite_contracts.tick_batch import Verdict
from kite_kafka_io.consumer import RecordReader, TickReader
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.errors import (
    BrokerUnreachable,
    KafkaIoError,
    ProducerFatal,
    QueueFull,
    RecordTooLarge,
    UnknownTopic,
)
from kite_kafka_io.librdkafka.loops import group_answers, lay_out
from kite_kafka_io.producer import (
    HEADROOM_RECORDS,
    PART_ROWS,
    SINGLES_MAX_BYTES,
    Delivery,
    RecordProducer,
    producer_config,
    warm_up,
)
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import Broker, full_batch, same_rows
from kite_kafka_io.tick_loops import encode_rows
from kite_kafka_io.topics import check_topics, write_problems

LETTER = DeadLetter(
    raw=b"\x00\x06\x3a\x01\xff",
    reason="DECODE_UNKNOWN_PACKET",
    message="five bytes",
    contract="tick.v1",
    first_failure_ns=7,
    unit="packet",
)
NOWHERE = KafkaSettings(bootstrap="127.0.0.1:9")
WAIT_S = 30.0
_LOOPS: tuple[Any, ...] = (encode_rows, lay_out, group_answers)


def _wait(producer: RecordProducer, delivery: Delivery) -> None:
    for _ in range(600):
        if delivery.done:
            return
        producer.poll(0.05)
    raise AssertionError("no answer from Kafka")


def _poll_until_trouble(producer: RecordProducer) -> None:
    for _ in range(600):
        producer.poll(0.05)
        if producer.trouble is not None:
            return
    raise AssertionError("librdkafka does not complain")


def test_ticks_arrive_in_order_and_are_acknowledged(broker: Broker) -> None:
    topic = broker.make_topic()
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    deliveries = []
    for first in range(0, 3000, 100):
        batch = full_batch(100, first_seq=first)
        batch.verdict[0] = Verdict.TRUNCATED
        deliveries.append(Delivery())
        assert producer.produce_ticks(batch, deliveries[-1]) == 99
        producer.poll(0)
    assert producer.flush(WAIT_S) == 0
    assert all(delivery.ok for delivery in deliveries)
    counts = producer.counts
    assert (counts.enqueued, counts.acked, counts.failed) == (2970, 2970, 0)
    producer.close()
    last: dict[int, int] = {}
    with TickReader(broker.settings, topic, start="earliest", until_end=True) as reader:
        for columns in reader:
            for token, seq in zip(
                columns.column("instrument_token").tolist(),
                columns.column("feed_seq").tolist(),
                strict=True,
            ):
                assert seq > last.get(token, -1)
                last[token] = seq
    assert len(last) == 50


def test_a_batch_of_many_parts_is_one_delivery_in_one_order(broker: Broker) -> None:
    topic, size, delivery = broker.make_topic(), 2 * PART_ROWS + 3, Delivery()
    batch = full_batch(size)
    faulty = [0, PART_ROWS - 1, PART_ROWS, size - 1]
    batch.verdict[faulty] = Verdict.TRUNCATED
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    assert producer.produce_ticks(batch, delivery) == size - len(faulty)
    assert producer.flush(WAIT_S) == 0
    producer.close()
    assert delivery.ok
    seen: list[int] = []
    with TickReader(broker.settings, topic, start="earliest", until_end=True) as reader:
        for columns in reader:
            tokens, seqs = columns.column("instrument_token"), columns.column("feed_seq")
            for token in np.unique(tokens):
                assert (np.diff(seqs[tokens == token]) > 0).all()
            seen += seqs.tolist()
    assert sorted(seen) == sorted(set(range(size)) - set(faulty))


def test_all_ticks_of_an_instrument_are_in_one_partition_by_the_java_rule(broker: Broker) -> None:
    topic = broker.make_topic()
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    producer.produce_ticks(full_batch(200), Delivery())
    assert producer.flush(WAIT_S) == 0
    producer.close()
    with RecordReader(broker.settings, [topic], start="earliest", until_end=True) as reader:
        for record in reader:
            assert record.key is not None
            assert record.partition == (_murmur2(record.key) & 0x7FFFFFFF) % 4


def _murmur2(data: bytes) -> int:
    """Kafka's murmur2 (org.apache.kafka.common.utils.Utils), 32 bits."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if data[whole:]:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_what_was_acknowledged_is_what_is_read(broker: Broker) -> None:
    topic = broker.make_topic()
    batch = full_batch(40, instruments=1)
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    delivery = Delivery()
    producer.produce_ticks(batch, delivery)
    _wait(producer, delivery)
    producer.close()
    with TickReader(broker.settings, topic, start="earliest", until_end=True) as reader:
        columns = list(reader)
    assert len(columns) == 1
    assert same_rows(columns[0].batch, batch)


def test_a_dead_letter_keeps_its_bytes_key_and_headers(broker: Broker) -> None:
    topic = broker.make_topic()
    producer = RecordProducer(broker.settings, dead_topic=topic)
    delivery = Delivery()
    producer.produce_dead(LETTER, delivery)
    producer.produce_record(topic, b"k", b"v", delivery)
    assert producer.flush(WAIT_S) == 0
    assert delivery.ok
    producer.close()
    with RecordReader(broker.settings, [topic], start="earliest", until_end=True) as reader:
        records = sorted(reader, key=lambda record: len(record.headers))
    assert records[1].dead_letter() == LETTER
    assert records[1].key == b"408065"
    assert (records[0].key, records[0].value, records[0].headers) == (b"k", b"v", [])


def test_a_missing_ticks_topic_makes_the_producer_fatal(kafka_bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    producer = RecordProducer(settings, ticks_topic="test-missing-topic")
    delivery = Delivery()
    assert producer.produce_ticks(full_batch(10), delivery) == 10
    _wait(producer, delivery)
    assert delivery.error is not None
    assert not delivery.ok
    assert producer.fatal is not None
    assert "test-missing-topic" in producer.fatal
    with pytest.raises(ProducerFatal):
        producer.produce_ticks(full_batch(1), Delivery())
    assert producer.counts.failed == 10
    producer.close()


def test_a_missing_dead_letter_topic_leaves_the_ticks_alone(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    topic, settings = make_topic(1), KafkaSettings(bootstrap=kafka_bootstrap)
    producer = RecordProducer(settings, ticks_topic=topic, dead_topic="test-missing-dead-topic")
    lost, ticks = Delivery(), Delivery()
    producer.produce_dead(LETTER, lost)
    _wait(producer, lost)
    assert lost.error is not None
    with pytest.raises(UnknownTopic, match="test-missing-dead-topic"):
        producer.produce_dead(LETTER, Delivery())
    assert producer.fatal is None
    producer.produce_ticks(full_batch(10), ticks)
    assert producer.flush(WAIT_S) == 0
    assert ticks.ok
    producer.close()


def test_without_a_broker_ticks_wait_and_close_gives_them_up() -> None:
    producer = RecordProducer(NOWHERE)
    delivery = Delivery()
    producer.produce_ticks(full_batch(100), delivery)
    _poll_until_trouble(producer)
    assert producer.fatal is None
    assert (producer.in_flight, producer.flush(0.1), delivery.done) == (100, 100, False)
    producer.close()
    assert delivery.done
    assert delivery.error is not None
    assert producer.fatal is None
    with pytest.raises(ProducerFatal, match="closed"):
        producer.produce_ticks(full_batch(1), Delivery())
    producer.close()


@pytest.fixture()
def frozen_broker() -> Iterator[tuple[str, Callable[[], None]]]:
    """A mock broker in a process of its own, and what freezes it with requests in flight."""
    program = (
        "import sys\n"
        "from kite_kafka_io.mock_broker import MockBroker\n"
        "with MockBroker() as broker:\n"
        "    broker.create_topic('ticks')\n"
        "    print(broker.bootstrap, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as child:
        assert child.stdout is not None
        bootstrap = child.stdout.readline().strip()

        def freeze() -> None:
            child.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)  # until then it may go on to answer

        yield bootstrap, freeze
        child.kill()


def _with_ticks_in_flight(bootstrap: str, freeze: Callable[[], None]) -> RecordProducer:
    producer = RecordProducer(KafkaSettings(bootstrap=bootstrap))
    producer.produce_ticks(full_batch(10), Delivery())
    assert producer.flush(WAIT_S) == 0
    freeze()
    return producer


def test_a_broker_that_hangs_does_not_hold_up_close(
    frozen_broker: tuple[str, Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    producer, delivery = _with_ticks_in_flight(*frozen_broker), Delivery()
    producer.produce_ticks(full_batch(1000), delivery)
    assert producer.flush(0.5) == 1000
    producer.close()
    assert delivery.done
    assert delivery.error is not None
    assert producer.counts.failed == 1000
    assert producer.fatal is None
    assert caplog.records == []


def test_a_closed_producer_does_nothing_more() -> None:
    producer, delivery = RecordProducer(NOWHERE), Delivery()
    producer.produce_ticks(full_batch(10), delivery)
    producer.close()
    producer.close()
    assert (producer.poll(0.0), producer.flush(WAIT_S)) == (0, 0)
    for call in (
        lambda: producer.produce_ticks(full_batch(1), delivery),
        lambda: producer.produce_dead(LETTER, delivery),
        lambda: producer.wake_by(1),
    ):
        with pytest.raises(ProducerFatal, match="closed"):
            call()


def test_a_fatal_error_of_librdkafka_is_no_exception_of_poll(
    frozen_broker: tuple[str, Callable[[], None]],
) -> None:
    producer, delivery = _with_ticks_in_flight(*frozen_broker), Delivery()
    producer.produce_ticks(full_batch(1000), delivery)
    assert producer.flush(0.5) == 1000
    producer._client.purge()  # what was sent and is given up is a gap: fatal by our settings
    while not delivery.done:
        producer.poll(0.1)
    assert producer.fatal is not None
    with pytest.raises(ProducerFatal):
        producer.produce_dead(LETTER, Delivery())
    producer.close()


def test_the_queue_is_bounded_and_takes_all_or_nothing() -> None:
    settings = dataclasses.replace(NOWHERE, max_in_flight=1000)
    producer = RecordProducer(settings)
    assert producer.capacity_left == 1000
    producer.produce_ticks(full_batch(400), Delivery())
    assert producer.capacity_left == 600
    chunk = full_batch(65_535)
    producer.produce_ticks(chunk, Delivery())
    assert producer.capacity_left == 0
    producer.produce_ticks(chunk, Delivery())
    before, delivery = producer.in_flight, Delivery()
    with pytest.raises(QueueFull, match="wait for Kafka"):
        producer.produce_ticks(chunk, delivery)
    assert before <= 1000 + HEADROOM_RECORDS
    assert (producer.in_flight, delivery.outstanding, producer.fatal) == (before, 0, None)
    producer.close()


def test_dead_letters_are_bounded_by_their_bytes() -> None:
    producer = RecordProducer(NOWHERE)
    large = dataclasses.replace(LETTER, raw=bytes(900_000), unit="frame-tail")
    deliveries = [Delivery() for _ in range(SINGLES_MAX_BYTES // 901_000)]
    for delivery in deliveries:
        producer.produce_dead(large, delivery)
    with pytest.raises(QueueFull, match="bytes of single records"):
        producer.produce_dead(large, Delivery())
    assert producer.capacity_left == 0
    assert producer.produce_ticks(full_batch(1000), Delivery()) == 1000
    producer.close()
    assert all(delivery.done for delivery in deliveries)


def test_a_record_that_is_too_large_is_told_and_harms_nobody() -> None:
    producer = RecordProducer(NOWHERE)
    huge = dataclasses.replace(LETTER, raw=bytes(1_100_000), unit="frame-tail")
    delivery = Delivery()
    with pytest.raises(RecordTooLarge, match="too large for ticks.dlq"):
        producer.produce_dead(huge, delivery)
    assert (delivery.outstanding, producer.in_flight, producer.fatal) == (0, 0, None)
    producer.close()


def test_a_batch_that_librdkafka_takes_in_part_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cannot happen by our bounds; if it did, the ticks after the refused one are out of order."""
    settings = dataclasses.replace(NOWHERE, max_in_flight=1000)
    small = {"queue.buffering.max.messages": 10}
    monkeypatch.setattr(
        "kite_kafka_io.producer.producer_config", lambda s, **_: {**producer_config(s), **small}
    )
    producer = RecordProducer(settings)
    delivery = Delivery()
    with pytest.raises(ProducerFatal, match="10 records are not taken.*[Qq]ueue full"):
        producer.produce_ticks(full_batch(20), delivery)
    assert producer.fatal is not None
    assert delivery.outstanding == 10
    producer.close()
    assert delivery.done


def test_publishing_again_after_a_failure_is_seen_once(broker: Broker) -> None:
    """The bridge's recovery: close, a new producer, again from the acknowledged position."""
    topic = broker.make_topic()
    first = RecordProducer(broker.settings, ticks_topic=topic)
    delivery = Delivery()
    first.produce_ticks(full_batch(300), delivery)
    _wait(first, delivery)
    first.close()
    second = RecordProducer(broker.settings, ticks_topic=topic)
    again = Delivery()
    second.produce_ticks(full_batch(500), again)
    assert second.flush(WAIT_S) == 0
    assert again.ok
    second.close()
    with TickReader(broker.settings, topic, start="earliest", until_end=True) as reader:
        seqs = np.concatenate([columns.column("feed_seq") for columns in reader])
        assert reader.duplicates is not None
        assert reader.duplicates.dropped == 300
    assert sorted(seqs.tolist()) == list(range(500))
    with TickReader(
        broker.settings, topic, start="earliest", until_end=True, duplicates=None
    ) as reader:
        assert sum(len(columns) for columns in reader) == 800


def test_warm_up_leaves_nothing_to_compile(broker: Broker) -> None:
    warm_up()
    known = [len(loop.signatures) for loop in _LOOPS]
    assert all(known)
    delivery, topic = Delivery(), broker.make_topic()
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    producer.produce_ticks(full_batch(10), delivery)
    _wait(producer, delivery)
    producer.close()
    assert [len(loop.signatures) for loop in _LOOPS] == known


def test_topics_are_checked(broker: Broker) -> None:
    topic = broker.make_topic()
    assert check_topics(broker.settings, [topic]) == {topic: 4}
    with pytest.raises(UnknownTopic, match="topic test-not-there does not exist at .*make up"):
        check_topics(broker.settings, [topic, "test-not-there"])


def test_what_cannot_be_written_to_is_said_by_topic(broker: Broker) -> None:
    topic = broker.make_topic()
    assert write_problems(broker.settings, [topic]) == {}


def test_a_missing_topic_cannot_be_written_to(kafka_bootstrap: str) -> None:
    found = write_problems(KafkaSettings(bootstrap=kafka_bootstrap), ["test-not-there"])
    assert list(found) == ["test-not-there"]
    assert "does not exist at" in found["test-not-there"]
    with pytest.raises(BrokerUnreachable):
        write_problems(NOWHERE, ["test-not-there"], 0.5)


def test_a_refusal_is_the_answer_for_one_record_of_an_ordinary_producer(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    small, large = make_topic(1, {"max.message.bytes": "10"}), make_topic(1)
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    for gapless in (False, True):
        producer = RecordProducer(settings, gapless=gapless)
        refused, taken = Delivery(), Delivery()
        producer.produce_record(small, None, b"x" * 100, refused)
        _wait(producer, refused)
        assert refused.unfit
        if gapless:
            assert producer.fatal is not None, "why there is the other kind"
        else:
            producer.produce_record(large, None, b"x" * 100, taken)
            assert producer.flush(WAIT_S) == 0
            assert (taken.ok, producer.fatal) == (True, None)
            with pytest.raises(ProducerFatal, match="order of ticks"):
                producer.produce_ticks(full_batch(1), Delivery())
        producer.close()


def test_an_unreachable_broker_is_one_sentence() -> None:
    with pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:9") as e:
        check_topics(NOWHERE, ["ticks"], 0.5)
    assert "\n" not in str(e.value)
    assert isinstance(e.value, KafkaIoError)


def test_librdkafka_speaks_through_the_logger_alone(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        producer = RecordProducer(NOWHERE)
        _poll_until_trouble(producer)
        producer.close()
    assert not any("experimental" in record.getMessage() for record in caplog.records)
    assert any(record.name == "kite_kafka_io" for record in caplog.records)
    assert capfd.readouterr().err == ""


def test_a_record_without_a_value_is_a_tombstone(broker: Broker) -> None:
    topic = broker.make_topic()
    delivery = Delivery()
    producer = RecordProducer(broker.settings)
    producer.produce_record(topic, b"NFO:M&M26AUGFUT", b"listed", delivery)
    producer.produce_record(topic, b"NFO:M&M26AUGFUT", None, delivery)
    _wait(producer, delivery)
    producer.close()
    assert delivery.ok
    reader = Consumer(
        {**broker.settings.client_config(), "group.id": topic, "auto.offset.reset": "earliest"}
    )
    reader.subscribe([topic])
    found: list[bytes | None] = []
    while len(found) < 2:
        message = reader.poll(WAIT_S)
        assert message is not None
        found.append(message.value())
    reader.close()
    assert found == [b"listed", None]
