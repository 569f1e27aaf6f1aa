"""Faults 5 and 6: the bridge is killed at random moments, and ended in order, under load."""

from __future__ import annotations

import asyncio
import random
import signal
from functools import partial

import live_stage as stage

from faults.broker import NOTHING
from faults.outcome import Fault, Outcome
from faults.scene import Scene, until
from kite_simulator import SimulatorServer


def kill(scene: Scene) -> Outcome:
    """SIGKILL, 20 times in the long form; moments are drawn by frames, so the seed fixes them."""
    kills = 20 if scene.full else 3
    outcome, mark = Outcome(), scene.mark()
    sent = asyncio.run(_play_kills(scene, kills))
    proof = scene.prove(mark)
    journaled = sum(proof.back.sessions.values())
    outcome.note("kills", kills)
    outcome.note("packets sent", sent)
    outcome.note("packets journaled", journaled)
    outcome.note("sent into a connection that the kill ended, within the gaps", sent - journaled)
    outcome.demand("feed sessions", len(proof.back.sessions), kills + 1)
    proof.demand_nothing_lost(outcome)
    restarts = [gap for gap in proof.gaps if gap.cause == "restart" and gap.to_ns is not None]
    outcome.demand("gaps that a restart closed", len(restarts), kills)
    outcome.note(
        "longest gap, s", round(max((gap.to_ns or 0) - gap.from_ns for gap in restarts) / 1e9, 1)
    )
    return outcome


async def _play_kills(scene: Scene, kills: int) -> int:
    moments = random.Random(scene.seed).choices(range(1, 120), k=kills)
    ticks = sum(moments) * 30 + 15_000
    async with scene.market(ticks) as kite:
        bridge = scene.bridge(kite.url)
        try:
            for number, frames in enumerate(moments, start=1):
                await bridge.start()
                await until(partial(_sent, kite, number, frames))
                await bridge.end(signal.SIGKILL)
            await bridge.start()
            await until(lambda: _sent(kite, kills + 1, 200))
            assert await bridge.end(signal.SIGTERM) == 0, bridge.lines
        finally:
            await bridge.kill_if_running()
        return kite.ledger.rows


def _sent(kite: SimulatorServer, connection: int, frames: int) -> bool:
    connections = kite.ledger.connections
    return len(connections) >= connection and connections[connection - 1].frames >= frames


def terminate(scene: Scene) -> Outcome:
    """SIGTERM while frames arrive and records are in flight."""
    outcome, mark = Outcome(), scene.mark()
    sent, code, seconds, lines = asyncio.run(_play_end(scene))
    proof = scene.prove(mark)
    outcome.note("packets sent", sent)
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    proof.demand_nothing_lost(outcome)
    outcome.demand("gaps that the stop opened", sum(g.cause == "restart" for g in proof.gaps), 1)
    outcome.demand("exit code", code, 0)
    left = " 0 bytes left in the journal" in stage.summary_of(lines)
    outcome.demand("journal left for the next run", "no" if left else "yes", "no")
    outcome.note("from SIGTERM to the end, s", round(seconds, 2))
    return outcome


async def _play_end(scene: Scene) -> tuple[int, int, float, list[str]]:
    loop = asyncio.get_running_loop()
    async with scene.market(None, rate=10_000.0) as kite:
        bridge = scene.bridge(kite.url)
        try:
            await bridge.start()
            await until(lambda: kite.ledger.rows > 30_000)
            began_s = loop.time()
            code = await bridge.end(signal.SIGTERM)
        finally:
            await bridge.kill_if_running()
        return kite.ledger.rows, code, loop.time() - began_s, bridge.lines


FAULTS = [
    Fault(
        5,
        "bridge-kill",
        "The bridge is killed at 20 random moments under load, and restarted",
        f"{NOTHING} of what was received; each absence is a gap with its bounds",
        kill,
    ),
    Fault(
        6, "bridge-term", "SIGTERM under load", f"{NOTHING}; nothing left; exit code 0", terminate
    ),
]
