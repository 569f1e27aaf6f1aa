"""The bridge's loop: while its subscription changes, in a group, and while Kafka takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.subscriptions import Plan
from kite_contracts.tick_batch import TickMode
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.bridge import Bridge
from kite_live_feed.connections import BridgeParts
from kite_live_feed.journal import Journal
from kite_live_feed.options import GroupSetup
from kite_live_feed.rehearsal.demo import SESSION_OPTIONS
from kite_live_feed.topics import Topics
from kite_runtime.clock import SystemClock
from kite_simulator import SimulatorOptions, SimulatorServer

FIRST = {256265: TickMode.FULL}
SECOND = {265: TickMode.FULL}
DEADLINE_S = 60.0


def parts_of(kite: SimulatorServer, broker: MockBroker, shards: int = 0) -> BridgeParts:
    return BridgeParts(
        feed="apply",
        endpoint=kite.url,
        credentials=FixedCredentials("dummy", "dummy"),
        kafka=KafkaSettings(bootstrap=broker.bootstrap),
        framing=SingleObjectFraming(),
        topics=Topics(),
        session_options=SESSION_OPTIONS,
        clock=SystemClock(),
        group=GroupSetup(shards, "g") if shards else None,
    )


@contextmanager
def a_broker() -> Iterator[MockBroker]:
    with MockBroker() as broker:
        for name in Topics().names:
            broker.create_topic(name)
        yield broker


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_plan_with_fewer_connections_keeps_the_others_running(tmp_path: Path) -> None:
    async def play(broker: MockBroker) -> tuple[bool, int]:
        with Journal(tmp_path / "journal") as journal:
            async with SimulatorServer(SimulatorOptions(rate_per_s=200.0)) as kite:
                parts = parts_of(kite, broker)
                bridge, stop = Bridge(parts, journal, Plan((FIRST, SECOND))), asyncio.Event()
                running = asyncio.create_task(bridge.run(stop))
                async with asyncio.timeout(DEADLINE_S):
                    while kite.subscribed_tokens < 2 or bridge.counters.ticks_acked == 0:
                        await asyncio.sleep(0.01)
                    assert set(journal.writer.last_frames) == {0, 1}
                    await bridge.apply(Plan((FIRST,)))
                    assert set(journal.writer.last_frames) == {0}, "the next run asks for no gap"
                    seen = bridge.counters.frames_journaled
                    while not running.done() and bridge.counters.frames_journaled < seen + 20:
                        await asyncio.sleep(0.01)
                bridge.refresh()
                # Back again: what was not subscribed meanwhile was no silence.
                opened = bridge.counters.gaps_opened
                await bridge.apply(Plan((FIRST, SECOND)))
                await until(lambda: kite.subscribed_tokens == 2)
                assert bridge.counters.gaps_opened == opened
                await bridge.apply(Plan((FIRST,)))
                bridge.refresh()
                went_on, connected = not running.done(), bridge.counters.shards_connected
                stop.set()
                await running
            await bridge.drain(DEADLINE_S)
            return went_on, connected

    with a_broker() as broker:
        went_on, connected = asyncio.run(play(broker))
    assert went_on, "the bridge stopped when one of its connections was no longer needed"
    assert connected == 1


def test_a_bridge_of_a_group_carries_what_it_is_given_and_publishes_what_is_confirmed(
    tmp_path: Path,
) -> None:
    async def play(broker: MockBroker) -> None:
        with Journal(tmp_path / "journal") as journal:
            async with SimulatorServer(SimulatorOptions(rate_per_s=200.0)) as kite:
                parts = parts_of(kite, broker, shards=3)
                bridge = Bridge(parts, journal, Plan((FIRST, SECOND, {})))
                shards, stop = bridge.shards, asyncio.Event()
                assert shards is not None
                shards.known = True
                counters = bridge.counters
                running = asyncio.create_task(bridge.run(stop))
                await asyncio.sleep(0.2)
                assert kite.subscribed_tokens == 0, "nothing was given yet"
                await shards.take({1: 77, 2: None})
                await until(lambda: counters.ticks_acked and shards.acked_ns)
                assert kite.subscribed_tokens == 1
                assert set(shards.acked_ns) == {1}
                assert counters.gaps_closed == 1, "the gap that began at 77"

                shards.known = False
                assert "has not confirmed" in bridge.problems()[-1]
                await until(lambda: bridge.counters.in_flight == 0)
                acked, frames = counters.ticks_acked, counters.frames_journaled
                await until(lambda: counters.frames_journaled > frames + 20)
                assert counters.ticks_acked == acked, "received and journaled, not published"
                shards.known = True
                await until(lambda: counters.ticks_acked > acked + 20)

                begins = await shards.release({1}, taken=False)
                assert begins == {1: shards.acked_ns[1]}, "all of it was published first"
                assert kite.subscribed_tokens == 0
                bridge.refresh()
                assert (counters.group_shards, counters.group_size) == ((2,), 3)
                stop.set()
                await running
            assert await bridge.drain(DEADLINE_S) == 0
            assert shards.handed_over == {2: None}
            assert not counters.gaps_open

    with a_broker() as broker:
        asyncio.run(play(broker))


def test_an_acknowledgement_wakes_the_bridge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the look that it takes now and then in any case."""
    monkeypatch.setattr("kite_live_feed.bridge.POLL_INTERVAL_S", 3600.0)

    async def play(broker: MockBroker) -> None:
        with Journal(tmp_path / "journal") as journal:
            async with SimulatorServer(SimulatorOptions(rate_per_s=200.0, ticks=20)) as kite:
                bridge = Bridge(parts_of(kite, broker), journal, Plan((FIRST,)))
                stop = asyncio.Event()
                running = asyncio.create_task(bridge.run(stop))
                await until(lambda: kite.finished.is_set())
                await until(lambda: bridge.counters.ticks_acked >= 20 and bridge.settled)
                stop.set()
                await running
            assert await bridge.drain(DEADLINE_S) == 0

    with a_broker() as broker:
        asyncio.run(play(broker))


def test_a_pump_without_room_leaves_the_loop_to_the_connections(tmp_path: Path) -> None:
    """Kafka is away and the queue is full: frames still come in, and the pump does not spin."""
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns = 0
            await asyncio.sleep(0)

    async def play(broker: MockBroker) -> int:
        with Journal(tmp_path / "journal") as journal:
            async with SimulatorServer(SimulatorOptions(rate_per_s=2000.0)) as kite:
                away = KafkaSettings(bootstrap="127.0.0.1:9", max_in_flight=100)
                parts = replace(parts_of(kite, broker), kafka=away)
                bridge, stop = Bridge(parts, journal, Plan((FIRST,))), asyncio.Event()
                step = bridge._pump.step

                def counted() -> bool:
                    nonlocal turns
                    turns += 1
                    assert turns < 1000, "the loop has no turn"
                    return step()

                bridge._pump.step = counted  # type: ignore[method-assign]
                beating = asyncio.create_task(beat())
                running = asyncio.create_task(bridge.run(stop))
                await until(lambda: running.done() or bridge._pump.held_up)
                seen = bridge.counters.frames_journaled
                await until(lambda: running.done() or bridge.counters.frames_journaled > seen + 50)
                stop.set()
                await running
                beating.cancel()
            await bridge.drain(0.1)
            return bridge.counters.in_flight

    with a_broker() as broker:
        assert asyncio.run(play(broker)) >= 100
