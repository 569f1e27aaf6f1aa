"""The bridge while its subscription changes: fewer connections are no reason to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from broker_zerodha.session.clock import SystemClock
from broker_zerodha.session.credentials import FixedCredentials
from broker_zerodha.simulator import SimulatorOptions, SimulatorServer
from broker_zerodha.subscriptions import Plan
from contracts.tick_batch import TickMode
from kafka_io.framing import SingleObjectFraming
from kafka_io.mock_broker import MockBroker
from kafka_io.settings import KafkaSettings
from ws_bridge.bridge import Bridge
from ws_bridge.bridge_parts import BridgeParts
from ws_bridge.demo import SESSION_OPTIONS
from ws_bridge.journal import Journal
from ws_bridge.topics import Topics

FIRST = {256265: TickMode.FULL}
SECOND = {265: TickMode.FULL}
DEADLINE_S = 60.0


def test_a_plan_with_fewer_connections_keeps_the_others_running(tmp_path: Path) -> None:
    async def play(broker: MockBroker) -> tuple[bool, int]:
        with Journal(tmp_path / "journal") as journal:
            async with SimulatorServer(SimulatorOptions(rate_per_s=200.0)) as kite:
                parts = BridgeParts(
                    feed="apply",
                    endpoint=kite.url,
                    credentials=FixedCredentials("dummy", "dummy"),
                    kafka=KafkaSettings(bootstrap=broker.bootstrap),
                    framing=SingleObjectFraming(),
                    topics=Topics(),
                    session_options=SESSION_OPTIONS,
                    clock=SystemClock(),
                )
                bridge, stop = Bridge(parts, journal, Plan((FIRST, SECOND))), asyncio.Event()
                running = asyncio.create_task(bridge.run(stop))
                async with asyncio.timeout(DEADLINE_S):
                    while kite.subscribed_tokens < 2 or bridge.counters.ticks_acked == 0:
                        await asyncio.sleep(0.01)
                    await bridge.apply(Plan((FIRST,)))
                    seen = bridge.counters.frames_journaled
                    while not running.done() and bridge.counters.frames_journaled < seen + 20:
                        await asyncio.sleep(0.01)
                bridge.refresh()
                went_on, connected = not running.done(), bridge.counters.shards_connected
                stop.set()
                await running
            await bridge.drain(DEADLINE_S)
            return went_on, connected

    with MockBroker() as broker:
        for name in Topics().names:
            broker.create_topic(name)
        went_on, connected = asyncio.run(play(broker))
    assert went_on, "the bridge stopped when one of its connections was no longer needed"
    assert connected == 1
