"""Order postbacks: published where a person wants it, otherwise counted, never logged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import Stage
from structlog.testing import capture_logs

from kite_broker_zerodha.session.events import TextMessage
from kite_broker_zerodha.session.orders import order_of
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed import intake
from kite_live_feed.options import JournalOptions
from kite_live_feed.pump import Pump
from kite_live_feed.topics import Topics

OPTIONS = JournalOptions(segment_bytes=1 << 20, max_bytes=1 << 24, sync="never")
ORDER = order_of(
    '{"type": "order", "data": {"order_id": "7", "user_id": "CANARYuser", "price": 1.5}}'
)
POSTBACK = TextMessage(2, "order", None, ORDER)
DEADLINE_S = 30.0


Published = tuple[bytes | None, Mapping[str, Any]]
"""Key and record."""


def published(stage: Stage, kafka: KafkaSettings, topics: Topics, orders: bool) -> list[Published]:
    journal = stage.journal
    pump = Pump(
        *(journal.reader, journal.cursor, kafka, SingleObjectFraming(), topics, stage.counters),
        clock=stage.clock,
        pace_s=0.0,
        orders=orders,
    )
    ends_s = time.monotonic() + DEADLINE_S
    while not pump.done(journal.writer.end):
        assert time.monotonic() < ends_s
        if not pump.step():
            pump.wait(0.01)
        pump.collect()
    pump.close()
    with RecordReader(kafka, [topics.orders], start="earliest", until_end=True) as records:
        return [(record.key, record.decode().record) for record in records]


@pytest.fixture()
def topics(mock_topics: Topics, mock_broker: MockBroker) -> Topics:
    made = replace(mock_topics, orders=f"{mock_topics.ticks}-orders")
    mock_broker.create_topic(made.orders)
    return made


def test_a_postback_is_published_and_never_logged(
    tmp_path: Path, mock_kafka: KafkaSettings, topics: Topics
) -> None:
    with Stage(tmp_path, OPTIONS) as stage, capture_logs() as logs:
        stage.intake.orders = True
        stage.connect()
        stage.intake.on_event(POSTBACK)
        found = published(stage, mock_kafka, topics, orders=True)
        assert stage.counters.text_messages == {"order": 1}
    assert ORDER is not None
    [(key, record)] = found
    assert key == b"7"
    assert record == {"feed": "test", "shard": 2, "ts_recv_ns": record["ts_recv_ns"], **ORDER}
    assert "CANARY" not in str(logs)


@pytest.mark.parametrize("journaled", [False, True])
def test_when_it_is_off_they_are_counted_only(
    journaled: bool, tmp_path: Path, mock_kafka: KafkaSettings, topics: Topics
) -> None:
    """Also those that an earlier run has journaled."""
    with Stage(tmp_path, OPTIONS) as stage, capture_logs() as logs:
        stage.intake.orders = journaled
        stage.connect()
        stage.intake.on_event(POSTBACK)
        assert published(stage, mock_kafka, topics, orders=False) == []
        assert stage.counters.text_messages == {"order": 1}
        assert stage.counters.events_journaled == 1 + journaled  # the connection, and perhaps it
    assert "CANARY" not in str(logs)


def test_a_flood_of_postbacks_does_not_fill_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "ORDERS_A_MINUTE", 5)
    with Stage(tmp_path, OPTIONS) as stage:
        stage.intake.orders = True
        for _ in range(20):
            stage.intake.on_event(POSTBACK)
        assert sum(len(chunk.events) for chunk in stage.chunks()) == 5
        assert stage.counters.text_messages == {"order": 20}
