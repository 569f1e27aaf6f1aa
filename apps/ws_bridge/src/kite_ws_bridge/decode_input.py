"""Frames from a file for ``decode``: hex lines, a journal segment, or one raw frame (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kite_broker_zerodha.frames import count_slots, decode_frames
from kite_broker_zerodha.wire import HEARTBEAT
from kite_contracts.bounds import TickBounds
from kite_contracts.tick_batch import TickBatch, Verdict
from kite_ws_bridge.tick_json import fault_object, tick_object


@dataclass
class DecodeSummary:
    """What was decoded so far."""

    frames: int = 0
    ticks: int = 0
    faults: int = 0
    heartbeats: int = 0


def hex_frames(lines: Iterable[str]) -> Iterator[bytes | dict[str, Any]]:
    """Each line's bytes; for a line that is not hexadecimal, the object to print instead.

    White space within a line and an ``0x`` in front are allowed; empty lines are passed over.
    """
    for number, line in enumerate(lines, start=1):
        text = "".join(line.split()).removeprefix("0x")
        if not text:
            continue
        try:
            yield bytes.fromhex(text)
        except ValueError:
            yield {"reason": "NOT_HEX", "line": number, "raw": line.strip()[:200]}


def decode_objects(
    frame: bytes, bounds: TickBounds, summary: DecodeSummary
) -> Iterator[dict[str, Any]]:
    """One object for each packet of the frame, good or faulty; a heartbeat has none."""
    if len(frame) == len(HEARTBEAT):
        summary.heartbeats += 1
        return
    summary.frames += 1
    batch = TickBatch(max(1, count_slots(frame)))
    index = np.array([[0, len(frame), 0, 0, 0]], np.int64)
    decode_frames(np.frombuffer(frame, np.uint8), index, batch, bounds)
    for row in range(batch.size):
        if batch.verdict[row] == Verdict.OK:
            summary.ticks += 1
            yield tick_object(batch, row)
        else:
            summary.faults += 1
            yield fault_object(batch, row, frame)
