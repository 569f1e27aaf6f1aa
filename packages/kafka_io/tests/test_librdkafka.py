"""The loops between arrays and librdkafka's messages, and the client around them."""

from __future__ import annotations

import ctypes
import gc
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from kite_kafka_io.delivery import Delivery
from kite_kafka_io.librdkafka import loops, memory
from kite_kafka_io.librdkafka.consumer_client import ConsumerClient
from kite_kafka_io.librdkafka.library import LIBRARY, Message
from kite_kafka_io.librdkafka.loops import GROUP_FIELDS, KEY_BYTES, WORDS, group_answers, lay_out
from kite_kafka_io.producer import RecordProducer
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
    assert memory.int64_at(words.ctypes.data) == -2
    assert memory.int32_at(words.ctypes.data) == -2
    assert memory.byte_at(words.ctypes.data + 8) == 0xFE


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


READS_AND_FORGETS = f"""
import sys
from {ConsumerClient.__module__} import ConsumerClient
client = ConsumerClient({{"bootstrap.servers": sys.argv[1], "group.id": "none"}})
client.assign({{(sys.argv[2], 0): 0}})
while not len(client.read(5, 1.0)):
    pass
del client
kept = ConsumerClient({{"bootstrap.servers": sys.argv[1], "group.id": "none"}})
kept.assign({{(sys.argv[2], 0): 0}})
while not len(kept.read(5, 1.0)):
    pass
print("read")
"""


def test_a_consumer_that_nobody_closed_gives_its_messages_back(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    """Else librdkafka would wait for them for ever, when it is forgotten and at the end."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    for _ in range(20):
        producer.produce(topic, b"value")
    producer.flush()
    done = subprocess.run(
        [sys.executable, "-c", READS_AND_FORGETS, kafka_bootstrap, topic],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr


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
