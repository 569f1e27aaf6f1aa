"""Fault 16: bridges that share a universe die, hang, come and go, and lose sight of Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import live_stage as stage

from faults.broker import NOTHING
from faults.outcome import Fault, Outcome
from faults.proof import Proof
from faults.scene import Scene, rows_above, until
from faults.troupe import INSTRUMENTS, TIMEOUT_S, Troupe, demand_together, first_after

TAKEN_OVER_S = TIMEOUT_S + 4.0
"""The stated time: the session timeout, a round of the group, and a connection to Kite."""
HANDED_OVER_S = 4.0
RATE = 3_000.0


@dataclass
class Played:
    """What a play leaves: a moment, and the shards that changed hands because of it."""

    moment_ns: int = 0
    moved: set[int] | None = None
    sent_meanwhile: int = 0


Play = Callable[[Troupe, Played], Awaitable[None]]


def _stage(scene: Scene, play: Play) -> tuple[Outcome, Proof, Played]:
    outcome, mark, played = Outcome(), scene.mark(), Played()

    async def run() -> Troupe:
        async with scene.market(None, RATE, instruments=1) as kite:
            troupe = Troupe(scene, kite)
            try:
                await play(troupe, played)
                for member in troupe.members.values():
                    if member.running:
                        assert await member.end(signal.SIGTERM) == 0, member.lines
            finally:
                await troupe.kill_all()
            return troupe

    troupe = asyncio.run(run())
    sessions = {
        session: packets
        for journal in troupe.journals
        for session, packets in stage.journaled_sessions(journal).items()
    }
    proof = scene.prove(mark, sessions)
    outcome.note("bridges", len(troupe.members))
    demand_together(outcome, troupe, mark, proof)
    return outcome, proof, played


async def _three(troupe: Troupe) -> None:
    await troupe.join("a")  # alone: on a new machine it compiles what the others then load
    await asyncio.gather(troupe.join("b"), troupe.join("c"))
    await troupe.until_shared("a", "b", "c")
    await until(rows_above(troupe.kite, troupe.kite.ledger.rows + 5_000))


def killed(scene: Scene) -> Outcome:
    """One of three is killed; in the long form it comes back, and takes its share again."""

    async def play(troupe: Troupe, played: Played) -> None:
        await _three(troupe)
        victim = troupe.members["b"]
        played.moved = await victim.shards_now()
        played.moment_ns = time.time_ns()
        await victim.end(signal.SIGKILL)
        await troupe.until_shared("a", "c")
        if scene.full:
            await troupe.join("b")
            await troupe.until_shared("a", "b", "c")
        await until(rows_above(troupe.kite, troupe.kite.ledger.rows + 5_000))

    outcome, proof, played = _stage(scene, play)
    moved = played.moved or set()
    outcome.demand_least("shards of the killed bridge", len(moved), 1)
    taken_s = first_after(proof, played.moment_ns, moved)
    outcome.demand_most(
        "from the kill to the first tick of the next owner, s", taken_s, TAKEN_OVER_S
    )
    gaps = [gap for gap in proof.gaps if gap.shard in moved and gap.cause == "handover"]
    told = [gap for gap in gaps if gap.to_ns and gap.from_ns <= played.moment_ns < gap.to_ns]
    outcome.demand("gap events that hold the kill", len(told), len(moved))
    before = max((played.moment_ns - gap.from_ns for gap in told), default=0) / 1e9
    outcome.demand_most("the gap begins before the kill by, s", round(before, 2), 3.0)
    return outcome


def paused(scene: Scene) -> Outcome:
    """One of three is stopped for longer than the group waits, and wakes with its socket full."""

    async def play(troupe: Troupe, played: Played) -> None:
        await _three(troupe)
        sleeper = troupe.members["b"]
        played.moved = await sleeper.shards_now()
        played.moment_ns = time.time_ns()
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            await troupe.until_shared("a", "c")
            await asyncio.sleep(3.0)
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        await troupe.until_shared("a", "b", "c")
        await until(rows_above(troupe.kite, troupe.kite.ledger.rows + 5_000))

    outcome, proof, played = _stage(scene, play)
    taken_s = first_after(proof, played.moment_ns, played.moved or set())
    outcome.demand_most(
        "from the stop to the first tick of the next owner, s", taken_s, TAKEN_OVER_S
    )
    return outcome


def joined(scene: Scene) -> Outcome:
    """A third bridge joins two, and another one ends in order: both are quick."""
    left = Played()

    async def play(troupe: Troupe, played: Played) -> None:
        await asyncio.gather(troupe.join("a"), troupe.join("b"))
        await troupe.until_shared("a", "b")
        played.moment_ns = time.time_ns()
        await troupe.join("c")
        await troupe.until_shared("a", "b", "c")
        played.moved = await troupe.members["c"].shards_now()
        left.moved = await troupe.members["a"].shards_now()
        left.moment_ns = time.time_ns()
        assert await troupe.members["a"].end(signal.SIGTERM) == 0, troupe.members["a"].lines
        await troupe.until_shared("b", "c")

    outcome, proof, played = _stage(scene, play)
    for name, change in (("join", played), ("SIGTERM", left)):
        moved = change.moved or set()
        gaps = [
            (gap.to_ns or 0) - gap.from_ns
            for gap in proof.gaps
            if gap.shard in moved
            and gap.cause == "handover"
            and gap.from_ns > change.moment_ns - 10**9
        ]
        longest = round(max(gaps[: len(moved)], default=float("inf")) / 1e9, 2)
        outcome.demand_most(f"gap of a shard that moved at the {name}, s", longest, HANDED_OVER_S)
    return outcome


def outage(scene: Scene) -> Outcome:
    """The broker is away for longer than the group's timeout: every bridge goes on receiving."""
    away_s = 30.0 if scene.full else 10.0

    async def play(troupe: Troupe, played: Played) -> None:
        await _three(troupe)
        await asyncio.to_thread(scene.broker.kill)
        await asyncio.sleep(TIMEOUT_S + 2.0)
        frames = [each.frames for each in troupe.kite.ledger.connections]
        rows = troupe.kite.ledger.rows
        await asyncio.sleep(max(0.0, away_s - TIMEOUT_S - 2.0))
        assert troupe.kite.subscribed_tokens == INSTRUMENTS, "a bridge dropped its feed"
        assert len(troupe.kite.ledger.connections) == len(frames), "a bridge connected again"
        played.sent_meanwhile = troupe.kite.ledger.rows - rows
        await asyncio.to_thread(scene.broker.start)
        await troupe.until_shared("a", "b", "c")
        await until(rows_above(troupe.kite, troupe.kite.ledger.rows + 5_000))

    outcome, _, played = _stage(scene, play)
    outcome.note("broker away, s", away_s)
    outcome.demand_least(
        "packets received while nobody was confirmed", played.sent_meanwhile, 1_000
    )
    return outcome


FAULTS = [
    Fault(
        16,
        "shard-killed",
        "Three bridges share the instruments; one is killed, and comes back",
        f"another has its shards within {TAKEN_OVER_S:g} s; {NOTHING}, outside the gap events",
        killed,
    ),
    Fault(
        16,
        "shard-paused",
        "One of three bridges stops for longer than the group waits, and wakes",
        f"no tick of two bridges at a time; {NOTHING}, outside the gap events",
        paused,
    ),
    Fault(
        16,
        "shard-moved",
        "A bridge joins two others, and one ends in order",
        f"gaps of at most {HANDED_OVER_S:g} s; {NOTHING}, outside the gap events",
        joined,
    ),
    Fault(
        16,
        "shard-outage",
        "The broker is away for longer than the group's timeout",
        f"every bridge goes on receiving; {NOTHING}, outside the gap events",
        outage,
    ),
]
