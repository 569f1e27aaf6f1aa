"""Fuzz the frame decoder at length: ``fuzz_frames.py [--frames 1000000] [--seed 1]``.

Prints the ledger good + dead = slots. Any difference from the reference ends the run with the frame
in hex. With NUMBA_BOUNDSCHECK=1 (and a NUMBA_CACHE_DIR of its own) each read is checked too.
"""

from __future__ import annotations

import argparse
import time

from kite_broker_zerodha.testing.fuzzing import FuzzResult, fuzz
from kite_contracts.bounds import tick_bounds

FRAMES_PER_SEED = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bounds = tick_bounds()
    total = FuzzResult()
    started = time.perf_counter()
    while total.frames < options.frames:
        count = min(FRAMES_PER_SEED, options.frames - total.frames)
        total.add(fuzz(count, options.seed + total.frames, bounds))
        print(f"\r{total.frames:,} frames", end="", flush=True)
    dead = sum(total.dead.values())
    print(f"\r{total.frames:,} frames in {time.perf_counter() - started:.0f} s")
    print(f"good {total.good:,} + dead {dead:,} = slots {total.slots:,}; crashes 0")
    for name, count in sorted(total.dead.items()):
        print(f"  {name:32}{count:>12,}")


if __name__ == "__main__":
    main()
