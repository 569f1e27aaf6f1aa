"""The bridge as a process under faults: nothing lost, duplicated or reordered; gaps have bounds."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import live_stage as stage
import pytest

from kite_contracts.topics import load_topics
from kite_devstack import topics as devstack_topics
from kite_devstack.kafka import KafkaServer, private_kafka
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof import Mark, mark_topics
from kite_live_feed.topics import Topics
from kite_simulator import SimulatorOptions, SimulatorServer

TICKS = 12_000
RATE = 3_000.0
KILLS = 4


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real Kafka that these tests may kill."""
    server = private_kafka(tmp_path_factory.mktemp("kafka"), os.environ)
    with server:
        client = devstack_topics.admin(server.bootstrap, os.environ)
        specs = load_topics()
        found = devstack_topics.read_topics(client, [spec.name for spec in specs])
        devstack_topics.apply(client, devstack_topics.plan(specs, found))
        yield server


def simulator() -> SimulatorServer:
    options = SimulatorOptions(
        seed=7,
        ticks=TICKS,
        rate_per_s=RATE,
        frame_packets=30,
        expected_tokens=stage.INSTRUMENTS,
    )
    return SimulatorServer(options)


def has_sent(kite: SimulatorServer, connection: int, frames: int) -> bool:
    """Whether that connection, counted from 1, has been sent so many frames."""
    connections = kite.ledger.connections
    return len(connections) >= connection and connections[connection - 1].frames >= frames


def marked(broker: KafkaServer) -> Mark:
    return mark_topics(KafkaSettings(bootstrap=broker.bootstrap), Topics().names)


def test_sigterm_under_load_publishes_everything_that_was_sent(
    broker: KafkaServer, tmp_path: Path
) -> None:
    async def play() -> tuple[int, int, list[str]]:
        async with simulator() as kite:
            bridge = stage.BridgeProcess(tmp_path, kite.url, broker.bootstrap)
            try:
                await bridge.start()
                await stage.until(lambda: kite.ledger.rows > TICKS // 3)
                code = await bridge.end(signal.SIGTERM)
            finally:
                await bridge.kill_if_running()
            return code, kite.ledger.rows, bridge.lines

    mark = marked(broker)
    code, sent, lines = asyncio.run(play())
    sessions = stage.journaled_sessions(tmp_path / "journal")
    back = stage.read_all(broker.bootstrap, mark, sessions)
    assert code == 0, lines
    assert " 0 bytes left in the journal" in stage.summary_of(lines)
    assert TICKS // 3 < back.ticks == sent == sum(sessions.values())
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
    gaps = stage.restart_gaps(broker.bootstrap, mark)
    assert list(gaps.values()) == [False], "the stop must open a gap that the next start closes"


def test_sigkill_loses_nothing_that_was_received_and_each_silence_is_a_gap(
    broker: KafkaServer, tmp_path: Path
) -> None:
    frames_before_each_kill = random.Random(11).sample(range(5, 60), KILLS)

    async def play() -> list[str]:
        async with simulator() as kite:
            bridge = stage.BridgeProcess(tmp_path, kite.url, broker.bootstrap)
            try:
                for number, frames in enumerate(frames_before_each_kill, start=1):
                    await bridge.start()
                    await stage.until(partial(has_sent, kite, number, frames))
                    await bridge.end(signal.SIGKILL)
                await bridge.start()
                await asyncio.wait_for(kite.finished.wait(), stage.DEADLINE_S)
                assert await bridge.end(signal.SIGTERM) == 0
            finally:
                await bridge.kill_if_running()
            return bridge.lines

    mark = marked(broker)
    asyncio.run(play())
    sessions = stage.journaled_sessions(tmp_path / "journal")
    back = stage.read_all(broker.bootstrap, mark, sessions)
    assert len(sessions) == KILLS + 1
    assert back.ticks == sum(sessions.values())
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
    # Every restart closes the gap that it found; the last stop leaves one open.
    closed = list(stage.restart_gaps(broker.bootstrap, mark).values())
    assert closed == [True] * KILLS + [False]


def test_a_killed_and_restarted_broker_costs_nothing(broker: KafkaServer, tmp_path: Path) -> None:
    async def play() -> tuple[int, int, list[str]]:
        async with simulator() as kite:
            bridge = stage.BridgeProcess(tmp_path, kite.url, broker.bootstrap)
            try:
                await bridge.start()
                await stage.until(lambda: kite.ledger.rows > TICKS // 4)
                await asyncio.to_thread(broker.kill)
                await stage.until(lambda: kite.ledger.rows > TICKS // 2)
                await asyncio.to_thread(broker.start)
                await asyncio.wait_for(kite.finished.wait(), stage.DEADLINE_S)
                code = await bridge.end(signal.SIGTERM)
            finally:
                await bridge.kill_if_running()
            return code, kite.ledger.rows, bridge.lines

    mark = marked(broker)
    code, sent, lines = asyncio.run(play())
    back = stage.read_all(broker.bootstrap, mark, stage.journaled_sessions(tmp_path / "journal"))
    assert code == 0, lines
    assert back.ticks == sent
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)


def test_what_a_stopped_broker_leaves_in_the_journal_is_published_by_the_next_run(
    broker: KafkaServer, tmp_path: Path
) -> None:
    async def play() -> tuple[int, list[str]]:
        async with simulator() as kite:
            first = stage.BridgeProcess(tmp_path, kite.url, broker.bootstrap, drain="0s")
            try:
                await first.start()
                await stage.until(lambda: kite.ledger.rows > TICKS // 4)
                await asyncio.to_thread(broker.suspend)
                await stage.until(lambda: kite.ledger.rows > TICKS // 2)
                code = await first.end(signal.SIGTERM)
            finally:
                await asyncio.to_thread(broker.resume)
                await first.kill_if_running()
            second = stage.BridgeProcess(tmp_path, kite.url, broker.bootstrap)
            try:
                await second.start()
                await asyncio.wait_for(kite.finished.wait(), stage.DEADLINE_S)
                assert await second.end(signal.SIGTERM) == 0
            finally:
                await second.kill_if_running()
            return code, first.lines

    mark = marked(broker)
    code, lines = asyncio.run(play())
    sessions = stage.journaled_sessions(tmp_path / "journal")
    back = stage.read_all(broker.bootstrap, mark, sessions)
    assert code == 75, "\n".join(lines)
    assert " 0 bytes left" not in stage.summary_of(lines)
    assert back.ticks == sum(sessions.values())
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
