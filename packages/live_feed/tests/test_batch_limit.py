"""A topic that takes smaller batches than librdkafka makes: the ticks get there all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bridge_cases import Stage, frame

from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.options import JournalOptions
from kite_live_feed.proof import mark_topics, read_back
from kite_live_feed.pump import PRODUCER_RETRY_S, Pump
from kite_live_feed.topics import Topics

FRAMES, PACKETS = 400, 50
OPTIONS = JournalOptions(segment_bytes=1 << 20, max_bytes=1 << 24, sync="never")
FRAMING = SingleObjectFraming()
DEADLINE_S = 60.0


@pytest.mark.parametrize(("limit", "restarts"), [(262_144, 2), (65_536, 4)])
def test_a_backlog_catches_up_with_batches_that_the_topic_takes(
    tmp_path: Path,
    real_kafka: KafkaSettings,
    make_topic: Callable[..., str],
    limit: int,
    restarts: int,
) -> None:
    kafka = replace(real_kafka, compression="none")
    config = {"max.message.bytes": str(limit)}
    topics = Topics(make_topic(1, config), make_topic(1), make_topic(1), make_topic(1))
    mark = mark_topics(kafka, topics.names)
    with Stage(tmp_path, OPTIONS) as stage:
        stage.connect()
        for number in range(FRAMES):
            stage.receive(frame(PACKETS, first_price=1 + PACKETS * number))
        journal = stage.journal
        pump = Pump(
            *(journal.reader, journal.cursor, kafka, FRAMING, topics, stage.counters),
            clock=stage.clock,
            pace_s=0.0,
        )
        ends_s = time.monotonic() + DEADLINE_S
        while not pump.done(journal.writer.end):
            assert time.monotonic() < ends_s, "the pump does not get there"
            if not pump.step():
                pump.wait(0.01)
                stage.clock.ns += int(PRODUCER_RETRY_S * 1e9)
            pump.collect()
        pump.close()
        sessions = dict(stage.counters.session_packets)
    back = read_back(kafka, FRAMING, topics, mark, sessions, "test")
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
    assert back.ticks >= FRAMES * PACKETS
    assert 1 <= stage.counters.producer_restarts <= restarts
