"""Kafka refuses records for their time: the clock is named, and nothing is sent again and again."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

from bridge_cases import Stage
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports unsaid
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.options import JournalOptions
from kite_live_feed.proof import mark_topics, read_back
from kite_live_feed.pump import CLOCK_RETRY_S, Pump
from kite_live_feed.topics import Topics

OPTIONS = JournalOptions(segment_bytes=1 << 20, max_bytes=1 << 24, sync="never")
FRAMING = SingleObjectFraming()
DEADLINE_S = 30.0
EXCHANGE_S = 1_796_097_600
LIMIT = "message.timestamp.before.max.ms"
"""What comes from a clock behind Kafka's; with 1 it is every record. ``after`` is its mirror."""


def index_frame() -> bytes:
    """One packet of NIFTY 50 in full mode, of 2026-12-01 09:30 IST."""
    prices = (2_500_000, 2_510_000, 2_490_000, 2_495_000, 2_500_000, 0)
    packet = struct.pack(">7Ii", 256265, *prices, EXCHANGE_S)
    return struct.pack(">HH", 1, len(packet)) + packet


def let_any_time(bootstrap: str, topic: str) -> None:
    entry = ConfigEntry(LIMIT, str(2**62), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(timeout=DEADLINE_S)


def test_a_wrong_clock_is_named_with_both_times_and_no_tick_is_lost(
    tmp_path: Path, real_kafka: KafkaSettings, make_topic: Callable[..., str]
) -> None:
    strict = make_topic(1, {LIMIT: "0", "message.timestamp.type": "CreateTime"})
    topics = Topics(strict, make_topic(1), make_topic(1), make_topic(1))
    mark = mark_topics(real_kafka, topics.names)
    with Stage(tmp_path, OPTIONS) as stage:
        stage.connect()
        stage.receive(index_frame())
        journal = stage.journal
        pump = Pump(
            *(journal.reader, journal.cursor, real_kafka, FRAMING, topics, stage.counters),
            clock=stage.clock,
            pace_s=0.0,
        )

        def work(done: Callable[[], bool]) -> None:
            ends_s = time.monotonic() + DEADLINE_S
            while not done():
                assert time.monotonic() < ends_s
                if not pump.step():
                    pump.wait(0.01)
                pump.collect()

        work(lambda: pump.clock_problem is not None)
        problem = str(pump.clock_problem)
        assert "this host's clock shows" in problem
        assert re.search(r"clock shows 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", problem), problem
        assert "the exchange's time is 2026-12-01T04:00:00+00:00" in problem
        assert stage.counters.producer_restarts == 1
        for _ in range(50):  # no restart before its time
            assert not pump.step()
            pump.collect()
        assert stage.counters.producer_restarts == 1
        let_any_time(real_kafka.bootstrap, strict)
        stage.clock.ns += int(CLOCK_RETRY_S * 1e9)
        work(lambda: pump.done(journal.writer.end))
        assert pump.clock_problem is None
        pump.close()
        sessions = dict(stage.counters.session_packets)
    back = read_back(real_kafka, FRAMING, topics, mark, sessions, "test")
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
    assert stage.counters.producer_restarts <= 3
