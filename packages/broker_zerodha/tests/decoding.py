"""Helpers of the decoder's tests: run a frame through ``frames`` and look at its rows."""

from __future__ import annotations

from functools import cache

import numpy as np

from kite_broker_zerodha import frames
from kite_broker_zerodha.testing import reference
from kite_broker_zerodha.testing.fuzzing import reference_row
from kite_contracts.bounds import TickBounds, tick_bounds
from kite_contracts.tick_batch import TickBatch

TS_RECV_NS = 1_700_000_000_123_456_789
FEED_SESSION = 1_700_000_000_000_000_001
FIRST_SEQ = 1000


@cache
def bounds() -> TickBounds:
    return tick_bounds()


def decode(frame: bytes, *, before: bytes = b"", after: bytes = b"") -> TickBatch:
    """The rows of one frame, decoded from a buffer in which other bytes may surround it."""
    buffer = np.frombuffer(before + frame + after, np.uint8)
    start, end = len(before), len(before) + len(frame)
    index = frames.frame_index([(start, end, TS_RECV_NS, FEED_SESSION, FIRST_SEQ)])
    batch = TickBatch(max(1, frames.count_slots(frame)))
    assert frames.decode_frames(buffer, index, batch, bounds()) == 1
    return batch


def expected(frame: bytes) -> list[reference.Row]:
    """What the reference says about the same frame."""
    return reference.decode_frame(
        frame,
        ts_recv_ns=TS_RECV_NS,
        feed_session=FEED_SESSION,
        first_seq=FIRST_SEQ,
        bounds=bounds(),
    )


def rows_of(batch: TickBatch, frame_start: int = 0) -> list[reference.Row]:
    """All rows in the reference's form."""
    return [reference_row(batch, row, frame_start) for row in range(len(batch))]
