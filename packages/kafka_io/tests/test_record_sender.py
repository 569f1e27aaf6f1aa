"""Single records: all acknowledged, or one error that says why."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.record_sender import Message, send_records
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import Broker
from kite_runtime.testing.programs import import_path


def test_every_record_arrives_with_its_key_and_headers(broker: Broker) -> None:
    topic = broker.make_topic()
    sent: list[Message] = [(topic, b"a", b"1", [("reason", b"r")]), (topic, b"a", None, None)]
    sent += [(topic, b"%d" % number, b"v", None) for number in range(4_500)]
    heard: list[int] = []
    send_records(broker.settings, sent, heard.append)
    found: list[RawRecord] = []
    with RawReader(broker.settings, [topic]) as reader:
        while not reader.finished:
            found += reader.read(0.2)
    assert len(found) == len(sent)
    own = [(each.value, each.headers) for each in found if each.key == b"a"]
    assert own == [(b"1", [("reason", b"r")]), (None, [])]
    assert heard == sorted(heard)
    assert heard[-1] <= len(sent)


def test_what_kafka_refuses_is_counted_and_named(kafka_bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    messages: list[Message] = [("no-such-topic-here", b"k", b"v", None)] * 3
    with pytest.raises(KafkaIoError, match=r"Kafka refused 3 of 3 records \(_?UNKNOWN_TOPIC"):
        send_records(settings, messages)


def test_a_record_beyond_the_limit_is_not_taken(broker: Broker) -> None:
    large = bytes(broker.settings.message_max_bytes + 1)
    with pytest.raises(KafkaIoError, match="is not taken: .*[Mm]essage size too large"):
        send_records(broker.settings, [(broker.make_topic(), None, large, None)])


def test_a_broker_that_is_away_ends_the_wait() -> None:
    with socket.socket() as bound:  # bound, so that nobody else listens there
        bound.bind(("127.0.0.1", 0))
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(BrokerUnreachable, match=r"acknowledges nothing for 1 s \("):
            send_records(settings, [("t", b"k", b"v", None)], patience_s=1.0)


def test_it_loads_no_compiler() -> None:
    code = "import sys, kite_kafka_io.record_sender; print('numba' in sys.modules)"
    env = {"PYTHONPATH": import_path()}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout == b"False\n"
