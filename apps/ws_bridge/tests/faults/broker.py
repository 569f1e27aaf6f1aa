"""Faults 1 to 3: the broker dies, stands still, and stays away for longer than clients wait."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial

from faults.outcome import Fault, Outcome
from faults.scene import Scene, Watcher, rows_above, until, watched

MEMORY_MAX_MIB = 300
DRAIN_S = 120.0


def kill(scene: Scene) -> Outcome:
    """``kill -9`` in mid-stream, twice in the long form."""
    return _outage(
        scene, ticks=60_000 if scene.full else 12_000, away_s=[2.0, 5.0][: 1 + scene.full]
    )


def stop(scene: Scene, seconds: float) -> Outcome:
    """SIGSTOP: connections stay open and nothing answers."""
    rate = 5_000.0
    ticks = int(rate * (seconds + 6))
    return _outage(scene, ticks=ticks, away_s=[seconds], rate=rate, freeze=True)


def outlast(scene: Scene) -> Outcome:
    """Longer than librdkafka's default patience with a message, five minutes."""
    seconds = 310.0 if scene.full else 3.0
    rate = 1_000.0
    return _outage(scene, ticks=int(rate * (seconds + 6)), away_s=[seconds], rate=rate)


def _outage(
    scene: Scene, *, ticks: int, away_s: list[float], rate: float = 3_000.0, freeze: bool = False
) -> Outcome:
    outcome, mark = Outcome(), scene.mark()
    sent, watcher, recovery_s, code = asyncio.run(_play(scene, ticks, away_s, rate, freeze))
    proof = scene.prove(mark)
    outcome.note("broker away, s", ", ".join(f"{each:g}" for each in away_s))
    outcome.note("packets sent", sent)
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    proof.demand_nothing_lost(outcome)
    outcome.note("everything acknowledged after, s", round(recovery_s, 1))
    watcher.note(outcome)
    outcome.demand_most(
        "peak memory of the bridge, MiB", round(watcher.peak_rss_bytes / 2**20), MEMORY_MAX_MIB
    )
    outcome.demand("exit code", code, 0)
    return outcome


async def _play(
    scene: Scene, ticks: int, away_s: list[float], rate: float, freeze: bool
) -> tuple[int, Watcher, float, int]:
    broker = scene.broker
    leave, come = (broker.suspend, broker.resume) if freeze else (broker.kill, broker.start)
    async with scene.market(ticks, rate) as kite:
        bridge = scene.bridge(kite.url)
        async with watched(bridge) as watcher:
            await bridge.start()
            for number, seconds in enumerate(away_s):
                share = (number + 1) / (len(away_s) + 3)
                await until(rows_above(kite, ticks * share), 600)
                await asyncio.to_thread(leave)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    await asyncio.to_thread(come)
                back_s = time.monotonic()
            await asyncio.wait_for(kite.finished.wait(), 600)
            await until(lambda: watcher.newest["journal_backlog_bytes"] == 0, DRAIN_S)
            recovery_s = time.monotonic() - back_s
            code = await bridge.end(signal.SIGTERM)
        return kite.ledger.rows, watcher, recovery_s, code


NOTHING = "lost = duplicated = reordered = 0"
FAULTS = [
    Fault(1, "broker-kill", "The broker is killed in mid-stream and restarted", NOTHING, kill),
    *(
        Fault(
            2,
            f"broker-stop-{seconds}",
            f"The broker stands still for {seconds} s",
            f"{NOTHING}; memory at most {MEMORY_MAX_MIB} MiB",
            partial(stop, seconds=float(seconds)),
        )
        for seconds in (5, 30, 90)
    ),
    Fault(
        3,
        "broker-outlast",
        "The broker is away for longer than librdkafka's delivery timeout (300 s)",
        NOTHING,
        outlast,
    ),
]
