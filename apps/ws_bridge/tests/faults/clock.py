"""Fault 12: somebody sets the machine's clock, and midnight passes.

Receive times may then repeat or skip; the numbers of the packets must not, no watchdog may take the
jump for a silence, and no connection may end for it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from faults.broker import NOTHING
from faults.outcome import Fault, Outcome
from faults.scene import Scene, until, watched
from faults.shifted import MODULE, OPEN_HOURS, clock_settings, jump
from kite_live_feed.rehearsal.demo import demo_plan

HOUR_S = 3600.0
IST = ZoneInfo("Asia/Kolkata")
BEFORE_MIDNIGHT = datetime(2026, 11, 23, 18, 29, 40, tzinfo=UTC)
"""23:59:40 IST: time to start, to connect and to receive before it passes."""


def jumps(scene: Scene) -> Outcome:
    """An hour forward, two back, one forward, in mid-stream and in market hours."""
    return _judge(scene, OPEN_HOURS, [HOUR_S, -2 * HOUR_S, HOUR_S])


def midnight(scene: Scene) -> Outcome:
    """IST midnight passes while frames arrive."""
    return _judge(scene, BEFORE_MIDNIGHT, [])


def _judge(scene: Scene, begin: datetime, by: list[float]) -> Outcome:
    outcome, mark = Outcome(), scene.mark()
    sent, code = asyncio.run(_play(scene, begin, by))
    proof = scene.prove(mark)
    outcome.note("jumps, s", ", ".join(f"{each:+g}" for each in by) or "none")
    outcome.note("packets sent", sent)
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    outcome.note("ticks read back", proof.back.ticks)
    outcome.demand("lost", proof.back.lost(), 0)
    outcome.demand("duplicated", proof.back.duplicated, 0)
    outcome.demand("reordered", proof.back.reordered, 0)
    outcome.demand("connections", len(proof.back.sessions), 1)
    outcome.demand("false STALE events", proof.counted("STALE"), 0)
    false_gaps = [gap for gap in proof.gaps if gap.cause != "restart"]
    outcome.demand("false gaps", len(false_gaps), 0)
    stamps = np.concatenate(list(proof.times.values())) // 10**9
    days = {datetime.fromtimestamp(second, IST).date() for second in np.unique(stamps).tolist()}
    outcome.demand("IST days of the receive times", len(days), 1 if by else 2)
    outcome.demand("exit code", code, 0)
    return outcome


async def _play(scene: Scene, begin: datetime, by: list[float]) -> tuple[int, int]:
    settings, began_s = clock_settings(scene.home, begin), time.monotonic()
    # Slow on purpose: most instruments are between two ticks when the clock jumps.
    async with scene.market(None, rate=200.0, instruments=200, frame_packets=10) as kite:
        bridge = scene.bridge(kite.url, module=MODULE, settings=settings, plan=demo_plan(200))
        async with watched(bridge):
            await bridge.start()
            await until(lambda: kite.ledger.rows > 2_500 if by else kite.ledger.rows > 500)
            for seconds in by:
                jump(scene.home, seconds)
                await asyncio.sleep(4.0)
            await asyncio.sleep(0 if by else max(0.0, began_s + 25.0 - time.monotonic()))
            code = await bridge.end(signal.SIGTERM)
        return kite.ledger.rows, code


FAULTS = [
    Fault(
        12,
        "clock-jumps",
        "The wall clock jumps by +1 h, -2 h and +1 h",
        f"{NOTHING}; no connection ends, no false silence",
        jumps,
    ),
    Fault(
        12,
        "clock-midnight",
        "IST midnight passes",
        f"{NOTHING}; no connection ends, no false silence",
        midnight,
    ),
]
