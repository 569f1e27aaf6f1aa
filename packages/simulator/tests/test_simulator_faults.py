"""The fault script, and that each fault is exactly what the ledger says it is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.testing.reference import decode_frame
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import TickMode, Verdict
from kite_simulator.faults import Fault, FaultKind, ScriptError, parse_script, spoil
from kite_simulator.market import Market

BOUNDS = tick_bounds()
TOKENS = (257, 513, 265, 258)


def packets(mode: TickMode = TickMode.FULL) -> list[bytes]:
    market = Market(1)
    market.add(TOKENS)
    return [market.packet(token, mode) for token in TOKENS]


def test_a_script_is_lines_or_semicolons_with_comments() -> None:
    text = "# first\n40 stall 2.5 # slow\n\n10 drop; 20 403 ;30 half-open"
    assert parse_script(text) == (
        Fault(10, FaultKind.DROP),
        Fault(20, FaultKind.FORBID, 2.0),
        Fault(30, FaultKind.HALF_OPEN),
        Fault(40, FaultKind.STALL, 2.5),
    )
    assert parse_script("") == ()


def test_the_script_all_has_every_fault() -> None:
    assert {fault.kind for fault in parse_script("all")} == set(FaultKind)


@pytest.mark.parametrize(
    "line",
    [
        "drop",
        "x drop",
        "1 explode",
        "0 drop",
        "1 drop 3",
        "1 stall x",
        "1 stall -1",
        "1 stall nan",
        "1 stall 1 1",
        "1 stall 99999",
    ],
)
def test_a_line_that_makes_no_sense_is_quoted(line: str) -> None:
    with pytest.raises(ScriptError, match="fault script: '" + line.replace("-", ".")):
        parse_script("5 drop\n" + line)


@pytest.mark.parametrize("mode", TickMode)
@pytest.mark.parametrize("kind", [None, *FaultKind])
def test_the_decoder_makes_of_a_fault_what_was_announced(
    kind: FaultKind | None, mode: TickMode
) -> None:
    for seed in range(50):
        for frame in spoil(kind, packets(mode), np.random.default_rng(seed)):
            rows = decode_frame(
                frame.payload, ts_recv_ns=1, feed_session=0, first_seq=0, bounds=BOUNDS
            )
            good = Counter(PacketKind(r.end - r.start) for r in rows if r.verdict == Verdict.OK)
            bad = Counter(
                Verdict(row.verdict).name.lower() if row.verdict < 0 else "out_of_bounds"
                for row in rows
                if row.verdict != Verdict.OK
            )
            assert (good, bad) == (frame.packets, frame.bad)
            assert good or bad


def test_each_kind_of_damage_happens() -> None:
    total: Counter[str] = Counter()
    for kind in FaultKind:
        for frame in spoil(kind, packets(), np.random.default_rng(1)):
            total.update(frame.bad)
    assert total == {
        "truncated": 4,  # garbage, empty, truncate, bad-count
        "trailing_bytes": 1,
        "unknown_packet": 1,
        "out_of_bounds": 2,
    }
