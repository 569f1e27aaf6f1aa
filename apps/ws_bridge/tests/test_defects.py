"""A defect ends ``run`` and ``replay`` with what it raised, and Kafka and the pipe are left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bridge_cases import Stage, frame

from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.bridge import Waker
from kite_live_feed.connections import BridgeParts
from kite_live_feed.counters import Counters
from kite_live_feed.journal import Journal
from kite_live_feed.journal.layout import list_segments
from kite_live_feed.pump import Pump
from kite_live_feed.rehearsal.demo import SESSION_OPTIONS
from kite_live_feed.topics import Topics
from kite_runtime.clock import SystemClock
from kite_simulator import SimulatorOptions, SimulatorServer
from kite_ws_bridge.commands import replay
from kite_ws_bridge.service import serve
from kite_ws_bridge.subscription_watch import SubscriptionWatch


@pytest.fixture()
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was closed; a pump's step, meanwhile, is a defect."""
    names: list[str] = []

    def step(self: Pump) -> bool:
        self._open(gapless=True).close()  # there is something to leave
        raise RuntimeError("a defect")

    def watch(kind: type[Pump] | type[Waker]) -> None:
        close = kind.close

        def noted(self: object) -> None:
            names.append(kind.__name__)
            close(self)  # type: ignore[arg-type]

        monkeypatch.setattr(kind, "close", noted)

    monkeypatch.setattr(Pump, "step", step)
    watch(Pump)
    watch(Waker)
    return names


def test_a_bridge_with_a_defect_leaves_kafka_and_its_pipe(
    closed: list[str], tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    (tmp_path / "tokens.csv").write_text("instrument_token\n408065\n")
    watch = SubscriptionWatch(tmp_path / "tokens.csv", ())

    async def play() -> None:
        with Journal(tmp_path / "journal") as journal:
            async with SimulatorServer(SimulatorOptions()) as kite:
                parts = BridgeParts(
                    feed="defect",
                    endpoint=kite.url,
                    credentials=FixedCredentials("dummy", "dummy"),
                    kafka=mock_kafka,
                    framing=SingleObjectFraming(),
                    topics=mock_topics,
                    session_options=SESSION_OPTIONS,
                    clock=SystemClock(),
                )
                await serve(parts, journal, watch, watch.load(), 0, 60.0)

    with pytest.raises(RuntimeError, match="a defect"):
        asyncio.run(play())
    assert closed == ["Pump", "Waker"]


def test_a_replay_with_a_defect_leaves_kafka(
    closed: list[str], tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    with Stage(tmp_path) as stage:
        stage.connect()
        stage.receive(frame(2))
    files = [segment.path for segment in list_segments(tmp_path / "journal")]
    with pytest.raises(RuntimeError, match="a defect"):
        replay._publish(files, 0.0, mock_kafka, SingleObjectFraming(), mock_topics, Counters())
    assert closed == ["Pump"]
