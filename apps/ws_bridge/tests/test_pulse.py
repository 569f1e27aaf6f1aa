"""Whether the loop turns, as the health page asks."""

from __future__ import annotations

import asyncio
import time

import pytest

from kite_ws_bridge import service
from kite_ws_bridge.service import Pulse


@pytest.mark.asyncio()
async def test_a_loop_that_stands_still_has_no_pulse_until_it_turns_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "FROZEN_S", 1.0)
    monkeypatch.setattr(service, "PULSE_S", 0.01)
    pulse = Pulse()
    beating = asyncio.create_task(pulse.beat())
    await asyncio.sleep(0)
    assert pulse.is_felt()
    time.sleep(1.1)  # - the loop is to stand still
    assert not pulse.is_felt()
    async with asyncio.timeout(10):
        while not pulse.is_felt():
            await asyncio.sleep(0.01)
    beating.cancel()
