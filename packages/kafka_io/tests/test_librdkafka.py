"""The loops between arrays and librdkafka's messages, and the client around them."""

from __future__ import annotations

import ctypes
import gc
import os
import select
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_kafka_io.consumer import TickReader
from kite_kafka_io.librdkafka import library, loops, plain_client
from kite_kafka_io.librdkafka.library import LIBRARY, Library, Message
from kite_kafka_io.librdkafka.loops import GROUP_FIELDS, KEY_BYTES, WORDS, group_answers, lay_out
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import Broker, full_batch
from kite_runtime.errors import ConfigurationError

TOKENS = st.integers(min_value=0, max_value=2**63 - 1)
NOWHERE = KafkaSettings(bootstrap="127.0.0.1:9")


@given(records=st.lists(st.tuples(TOKENS, st.binary(max_size=40)), min_size=1, max_size=20))
def test_records_become_messages_with_their_token_as_key(
    records: list[tuple[int, bytes]],
) -> None:
    data = np.frombuffer(b"".join(value for _, value in records) + b"!", np.uint8)
    ends = np.cumsum([len(value) for _, value in records])
    tokens = np.array([token for token, _ in records], np.int64)
    messages = np.full((len(records), WORDS), -1, np.int64)
    keys = np.empty(len(records) * KEY_BYTES, np.uint8)
    lay_out(messages, keys, data, ends, tokens, 7)
    found = (Message * len(records)).from_buffer(messages.data)
    assert [
        (int(ctypes.string_at(each.key, each.key_len)), ctypes.string_at(each.payload, each.len))
        for each in found
    ] == records
    assert {(each.err, each.rkt, each.partition, each.opaque) for each in found} == {
        (0, None, 0, 7)
    }


@given(answers=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0, 0, -185, 10]))))
def test_answers_are_counted_by_neighbours(answers: list[tuple[int, int]]) -> None:
    messages = [Message(err=error, opaque=opaque) for opaque, error in answers]
    pointers = np.array([ctypes.addressof(each) for each in messages], np.int64)
    groups = np.empty((max(1, len(answers)), GROUP_FIELDS), np.int64)
    compiled = groups[: group_answers(pointers, len(answers), groups)].tolist()
    assert [(o, e) for o, e, count in compiled for _ in range(count)] == answers
    assert all(left[:2] != right[:2] for left, right in pairwise(compiled))
    plain = getattr(loops.group_answers, "py_func", loops.group_answers)
    assert groups[: plain(pointers, len(answers), groups)].tolist() == compiled


def test_numbers_at_addresses_without_machine_code() -> None:
    words = np.array([-2, 2**40 + 0xFE], np.int64)
    assert loops.int64_at(words.ctypes.data) == -2
    assert loops.int32_at(words.ctypes.data) == -2


def test_a_property_that_librdkafka_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the Kafka settings are refused: .*bogus"):
        RecordProducer(KafkaSettings(bootstrap="127.0.0.1:9", compression="bogus"))


def test_a_function_that_is_not_declared_is_named() -> None:
    with pytest.raises(AttributeError, match="rd_kafka_bogus is not declared"):
        LIBRARY.bogus  # noqa: B018


def test_an_answer_writes_to_the_descriptor(broker: Broker) -> None:
    read, write = os.pipe()
    producer, delivery = (
        RecordProducer(broker.settings, ticks_topic=broker.make_topic()),
        Delivery(),
    )
    producer.wake_by(write)
    producer.produce_ticks(full_batch(600), delivery)
    while not delivery.done:
        assert select.select([read], [], [], 30.0)[0], "nothing was written"
        os.read(read, 100)
        producer.poll(0)
    assert delivery.ok
    producer.close()
    os.close(read)
    os.close(write)


def test_a_producer_that_nobody_closed_leaves_no_thread() -> None:
    before = len(os.listdir("/proc/self/task"))
    producer = RecordProducer(NOWHERE)
    producer.produce_ticks(full_batch(10), Delivery())
    assert len(os.listdir("/proc/self/task")) > before
    del producer
    gc.collect()
    ended = threading.Event()
    for _ in range(100):
        if len(os.listdir("/proc/self/task")) <= before:
            return
        ended.wait(0.1)
    raise AssertionError("librdkafka's threads are still there")


@pytest.fixture()
def incomplete(monkeypatch: pytest.MonkeyPatch) -> Library:
    """The functions of a module that does not have one of them."""
    more = {**library._WAITING, "rd_kafka_hidden": (None, [])}
    monkeypatch.setattr(library, "_WAITING", more)
    found = Library()
    monkeypatch.setattr(plain_client, "LIBRARY", found)
    plain_client._warn.cache_clear()
    return found


def test_without_a_function_the_producer_is_slower_and_says_so_once(
    broker: Broker, incomplete: Library, caplog: pytest.LogCaptureFixture
) -> None:
    assert incomplete.missing == "rd_kafka_hidden"
    topic, batch, count = broker.make_topic(), full_batch(600), 0
    for _ in range(2):
        read, write = os.pipe()
        producer, delivery = RecordProducer(broker.settings, ticks_topic=topic), Delivery()
        producer.wake_by(write)
        assert producer.produce_ticks(batch, delivery) == 600
        producer.produce_record(topic, b"k", None, delivery, headers=[("a", b"1")])
        while not delivery.done:
            assert select.select([read], [], [], 30.0)[0], "nothing was written"
            os.read(read, 100)
            producer.poll(0)
        assert (delivery.ok, producer.counts.outstanding, producer.fatal) == (True, 0, None)
        producer.close()
        os.close(read)
        os.close(write)
    odd: list[object] = []
    with TickReader(
        broker.settings,
        topic,
        start="earliest",
        until_end=True,
        duplicates=None,
        on_malformed=lambda record, _: odd.append((record.key, record.headers)),
    ) as reader:
        for columns in reader:
            count += len(columns)
    assert (count, odd) == (1_200, [(b"k", [("a", b"1")])] * 2)
    warnings = [each for each in caplog.records if "rd_kafka_hidden" in each.getMessage()]
    assert len(warnings) == 1


def test_without_a_function_giving_up_and_refusals_are_the_same(incomplete: Library) -> None:
    producer, delivery = RecordProducer(NOWHERE), Delivery()
    producer.produce_ticks(full_batch(10), delivery)
    producer.close()
    assert delivery.done
    assert not delivery.ok
    with pytest.raises(ConfigurationError, match="the Kafka settings are refused: .*bogus"):
        RecordProducer(KafkaSettings(bootstrap="127.0.0.1:9", compression="bogus"))
