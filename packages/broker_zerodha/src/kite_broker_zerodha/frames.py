"""Decode whole frames into a ``TickBatch`` in one compiled loop, checking the contract's bounds.

For any bytes: no exception, no read outside the frame, at most one step for each two bytes. What
is wrong becomes a row with a verdict, so good and faulty rows together are ``count_slots``:

- a frame shorter than its counter: one TRUNCATED row that covers it;
- a packet cut short, or fewer packets than announced: one TRUNCATED row from that packet's length
  prefix to the end of the frame, which may be no bytes at all;
- a length that Kite does not document (0 too): one UNKNOWN_PACKET row for that packet, and on;
- bytes after the last packet: one TRAILING_BYTES row that covers them.

Of a faulty row's columns ``ts_recv_ns``, ``feed_session`` and ``feed_seq`` mean something; its
token is 0. ``reference.decode_frame`` says all this one packet at a time: it is the oracle.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha import decode_loops
from kite_broker_zerodha.decode_loops import END, FIRST_SEQ, START
from kite_broker_zerodha.errors import BatchTooSmall, FrameIndexError
from kite_contracts.bounds import TickBounds, tick_bounds
from kite_contracts.tick_batch import TickBatch

__all__ = ["FRAME_INDEX", "count_slots", "decode_frames", "frame_index", "warm_up"]

FRAME_INDEX: Final = ("start", "end", "ts_recv_ns", "feed_session", "first_seq")
"""Columns of the int64 frame index: the frame is ``buffer[start:end]``; its rows are stamped with
the receive time, the feed session, and feed sequence numbers that count up from ``first_seq``."""

# A dtype, because to compare with a type would make one each time.
_BYTE: Final = np.dtype(np.uint8)
_INT: Final = np.dtype(np.int64)


def count_slots(frame: bytes) -> int:
    """How many rows, and so how many ``feed_seq`` numbers, this frame takes.

    At most ``packets.MAX_FRAME_ROWS``; 0 only for a frame that announces no packets and has none.
    """
    return decode_loops.count_slots(frame, 0, len(frame))


def frame_index(rows: list[tuple[int, int, int, int, int]]) -> npt.NDArray[np.int64]:
    """The frame index of these rows, each as ``FRAME_INDEX`` says."""
    return np.array(rows, np.int64).reshape(-1, len(FRAME_INDEX))


def decode_frames(
    buffer: npt.NDArray[np.uint8],
    index: npt.NDArray[np.int64],
    batch: TickBatch,
    bounds: TickBounds,
) -> int:
    """Decode whole frames into the batch until the next one does not fit; how many were decoded.

    Whatever the batch held is overwritten, and its ``size`` set. A row whose value the contract
    forbids keeps its values; its verdict is 1 + the first such column. ``start`` and ``end`` of a
    row are positions in ``buffer``.

    Raises FrameIndexError for arrays of another type or shape, or a frame outside the buffer, and
    BatchTooSmall when the first frame alone has more rows than the batch (never for a batch of
    ``packets.MAX_FRAME_ROWS``). In both cases the batch is left empty.
    """
    batch.size = 0
    _check_arrays(buffer, index)
    decoded, filled = decode_loops.decode(
        _read_only(buffer) if buffer.flags.writeable else buffer,
        index,
        bounds.low,
        bounds.high,
        bounds.masks,
        bounds.optional,
        batch.values,
        batch.mode,
        batch.groups,
        batch.verdict,
        batch.start,
        batch.end,
    )
    if decoded < 0:
        start, end = index[-1 - decoded, [START, END]].tolist()
        raise FrameIndexError(f"a frame from {start} to {end} in {buffer.size} bytes")
    if decoded == 0 and len(index) > 0:
        start, end = index[0, [START, END]].tolist()
        raise BatchTooSmall(count_slots(buffer[start:end].tobytes()), batch.capacity)
    batch.size = filled
    return decoded


def warm_up() -> None:
    """Compile the loops, or load them from the user's cache, before the first frame arrives."""
    count_slots(b"\x00\x00")
    decode_frames(
        np.zeros(2, np.uint8), frame_index([(0, 2, 0, 0, 0)]), TickBatch(1), tick_bounds()
    )


def _read_only(buffer: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same bytes; a writable array would be another type to compile for."""
    view = buffer.view()
    view.flags.writeable = False
    return view


def _check_arrays(buffer: npt.NDArray[np.uint8], index: npt.NDArray[np.int64]) -> None:
    if buffer.dtype != _BYTE or buffer.ndim != 1 or not buffer.flags.c_contiguous:
        raise FrameIndexError(f"a buffer of {buffer.dtype} {buffer.shape}; uint8 (n,) is needed")
    if index.dtype != _INT or index.ndim != 2 or not index.flags.c_contiguous:
        raise FrameIndexError(f"an index of {index.dtype} {index.shape}; int64 (n, 5) is needed")
    if index.shape[1] != FIRST_SEQ + 1:
        raise FrameIndexError(f"an index of {index.shape[1]} columns; {FRAME_INDEX} are needed")
