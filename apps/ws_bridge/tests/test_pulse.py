"""Whether the loop turns, as the health page asks."""

from __future__ import annotations

import asyncio
import time

import pytest

from kite_runtime import health
from kite_runtime.health import Pulse
from kite_ws_bridge import service


@pytest.mark.asyncio()
async def test_a_loop_that_stands_still_has_no_pulse_until_it_turns_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "FROZEN_S", 1.0)
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
