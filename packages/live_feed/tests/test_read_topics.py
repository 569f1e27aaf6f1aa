"""Reading a run back beside others who write into the same topics."""

from __future__ import annotations

from confluent_kafka import Producer

from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof import mark_topics, read_back
from kite_live_feed.topics import Topics

SESSION = 1_795_000_000_000_000_000


def test_a_foreign_dead_letter_is_passed_over(
    mock_broker: MockBroker, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    mark = mark_topics(mock_kafka, mock_topics.names)
    ours = DeadLetter(
        raw=b"\x00",
        reason="DECODE_TRUNCATED",
        message="the frame ends inside a packet",
        contract="tick.v1",
        first_failure_ns=SESSION,
        unit="frame-tail",
        feed_session=SESSION,
        feed_seq=0,
    )
    producer = Producer({"bootstrap.servers": mock_broker.bootstrap})
    connects = {"__connect.errors.topic": b"orders"}
    producer.produce(mock_topics.dead, b"x", headers=list(connects.items()))
    producer.produce(mock_topics.dead, ours.raw, ours.key(), headers=ours.headers())
    producer.produce(mock_topics.dead, b"no headers at all")
    assert producer.flush(30) == 0
    back = read_back(mock_kafka, SingleObjectFraming(), mock_topics, mark, {SESSION: 1}, "feed")
    assert (back.dead, back.lost(), back.duplicated) == (1, 0, 0)
