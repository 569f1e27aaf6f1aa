"""Fault 11: frames that nobody would send, five million of them in the long form."""

from __future__ import annotations

from faults.outcome import Fault, Outcome
from faults.scene import Scene
from kite_broker_zerodha.testing.fuzzing import FuzzResult, fuzz
from kite_contracts.bounds import tick_bounds

FRAMES_PER_SEED = 50_000


def frames(scene: Scene) -> Outcome:
    """Whole, mutated and random frames; each is decoded by the compiled loop and the reference."""
    wanted = 5_000_000 if scene.full else 50_000
    outcome, total, bounds = Outcome(), FuzzResult(), tick_bounds()
    while total.frames < wanted:
        count = min(FRAMES_PER_SEED, wanted - total.frames)
        # A crash or a difference from the reference raises, and the play is broken off.
        total.add(fuzz(count, scene.seed + total.frames, bounds))
    dead = sum(total.dead.values())
    outcome.demand("frames", total.frames, wanted)
    outcome.note("slots in", total.slots)
    outcome.note("good", total.good)
    for name, count in sorted(total.dead.items()):
        outcome.note(f"dead: {name}", count)
    outcome.demand("good + dead", total.good + dead, total.slots)
    return outcome


FAULTS = [
    Fault(
        11,
        "fuzz",
        "Five million fuzzed frames",
        "crashes = 0; good + dead = in; the same verdicts as the reference decoder",
        frames,
    )
]
