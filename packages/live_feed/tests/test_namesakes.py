"""Another bridge of the same name, known by its events."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer

from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.namesakes import FORGET_NS, Namesakes
from kite_live_feed.topics import Topics

OWN, OTHER, THIRD = 0x1000_0001, 0x2000_0001, 0x2000_0002
START_NS = 1_767_584_700_000_000_000
FRAMING = SingleObjectFraming()


class Stage:
    def __init__(self, kafka: KafkaSettings, topics: Topics) -> None:
        self.watch = Namesakes(kafka, topics.events, "kite", {OWN: 0}, START_NS)
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap})
        self._topic = topics.events
        self.watch.look(FRAMING)

    def send(self, kind: str, session: int | None, **other: Any) -> None:
        record = {
            "feed": "kite",
            "type": kind,
            "ts_ns": START_NS,
            "shard": 0,
            "tokens": [],
            "feed_session": session,
            "from_ns": None,
            "to_ns": None,
            "cause": None,
            "detail": None,
            "count": None,
            "gap_id": None,
        }
        self._producer.produce(self._topic, AvroCodec().encode("feed_event", record | other))
        assert self._producer.flush(30) == 0

    def problem(self, after_ns: int = 1) -> str | None:
        self.watch.look(FRAMING)
        return self.watch.problem(START_NS + after_ns)


@pytest.fixture()
def stage(mock_kafka: KafkaSettings, mock_topics: Topics) -> Stage:
    return Stage(mock_kafka, mock_topics)


def test_a_second_bridge_is_a_problem_until_it_ends(stage: Stage) -> None:
    stage.send("CONNECTED", OTHER)
    assert "another bridge publishes as kite" in str(stage.problem())
    stage.send("CONNECTED", THIRD)
    stage.send("DISCONNECTED", OTHER)
    assert stage.problem() is not None
    stage.send("GAP_OPENED", THIRD, cause="restart", from_ns=5)
    assert stage.problem() is None


def test_one_that_was_killed_is_forgotten(stage: Stage) -> None:
    stage.send("CONNECTED", OTHER)
    assert stage.problem() is not None
    assert stage.problem(FORGET_NS) is None
    stage.send("STALE", OTHER, ts_ns=START_NS + FORGET_NS)
    assert stage.problem(FORGET_NS) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"feed_session": OWN},
        {"feed_session": None},
        {"feed": "simulated.kite"},
        {"ts_ns": START_NS - 1},  # of an earlier run, whose journal is published now
    ],
    ids=str,
)
def test_events_that_are_no_other_bridges(stage: Stage, other: dict[str, Any]) -> None:
    stage.send("CONNECTED", OTHER, **other)
    assert stage.problem() is None


def test_who_may_not_read_events_or_has_none_sees_no_other(mock_kafka: KafkaSettings) -> None:
    watch = Namesakes(mock_kafka, "no-such-topic", "kite", {}, START_NS)
    watch.look(FRAMING)
    watch.look(FRAMING)
    assert watch.problem(START_NS) is None
