"""Whether the loop turns, as the health page asks."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import live_stage as stage
import pytest

from kite_kafka_io.mock_broker import MockBroker
from kite_runtime import health as health_server
from kite_runtime.health import Pulse
from kite_simulator import SimulatorOptions, SimulatorServer
from kite_ws_bridge import service


@pytest.mark.asyncio()
async def test_a_loop_that_stands_still_has_no_pulse_until_it_turns_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_server, "FROZEN_S", 1.0)
    monkeypatch.setattr(service, "PULSE_S", 0.01)
    pulse = Pulse()
    beating = asyncio.create_task(service.beat(pulse))
    await asyncio.sleep(0)
    assert pulse.is_felt()
    time.sleep(1.1)  # - the loop is to stand still
    assert not pulse.is_felt()
    async with asyncio.timeout(10):
        while not pulse.is_felt():
            await asyncio.sleep(0.01)
    beating.cancel()


def test_a_call_with_a_limit_of_its_own_may_take_that_long() -> None:
    now_s = [100.0]
    pulse = Pulse(lambda: now_s[0])
    pulse.beat(60.0)
    for passed_s, felt in ((64.9, True), (65.0, False)):
        now_s[0] = 100.0 + passed_s
        assert pulse.is_felt() is felt
    pulse.beat()
    for passed_s, felt in ((4.9, True), (5.0, False)):
        now_s[0] = 165.0 + passed_s
        assert pulse.is_felt() is felt


def test_a_bridge_whose_loop_stands_still_is_not_healthy(
    mock_broker: MockBroker, tmp_path: Path
) -> None:
    thaw = tmp_path / "thaw"

    async def play() -> None:
        async with SimulatorServer(SimulatorOptions(seed=1)) as kite:
            bridge = stage.BridgeProcess(
                tmp_path,
                kite.url,
                mock_broker.bootstrap,
                module="freezing",
                settings={"THAW": str(thaw)},
            )
            try:
                await bridge.start()
                await health(bridge, 200)
                os.kill(bridge.pid, signal.SIGUSR1)
                began_s = time.monotonic()
                await health(bridge, 503)
                assert time.monotonic() - began_s < 2 * health_server.FROZEN_S
                thaw.touch()
                await health(bridge, 200)
                assert await bridge.end(signal.SIGTERM) == 0
            finally:
                await bridge.kill_if_running()

    asyncio.run(play())


async def health(bridge: stage.BridgeProcess, wanted: int) -> None:
    """Until `/healthz` answers so."""
    async with asyncio.timeout(stage.DEADLINE_S):
        while await asyncio.to_thread(_status, f"{bridge.address}/healthz") != wanted:
            await asyncio.sleep(0.1)


def _status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
