"""The fuzzer, bounded here; FUZZ_FRAMES=1000000 runs it at length."""

from __future__ import annotations

import os

from kite_broker_zerodha.testing.fuzzing import fuzz
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import Verdict

FRAMES = int(os.environ.get("FUZZ_FRAMES", "20000"))


def test_fuzzed_frames_decode_like_the_reference() -> None:
    result = fuzz(FRAMES, seed=20260803, bounds=tick_bounds())
    assert result.frames == FRAMES
    assert result.good + sum(result.dead.values()) == result.slots
    # The run was worth something: it met good ticks and each fault.
    assert result.good > FRAMES // 4
    faults = {verdict.name for verdict in Verdict if verdict is not Verdict.OK}
    assert faults < result.dead.keys()
