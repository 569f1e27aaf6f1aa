"""The compiled loops behind ``frames``: plain Python over integers and arrays.

The packet tables are module constants, which numba freezes into the machine code; its cache is
keyed by the content of this module and those it imports (``kite_runtime.code_cache``). ``decode``
takes plain arrays, which cost 0.07 µs a call each, and makes its tuples itself: a NamedTuple as an
argument costs 0.25 µs for each array in it (both measured).

A position in the buffer is made unsigned before it indexes: that spares the test for a negative
index and lets the compiler read four bytes at once (measured: twice as fast).
Every value is int64 before it is shifted; bytes would otherwise stay 8 bits wide.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.packets import (
    LAYOUTS,
    NS_PER_SECOND,
    SECONDS_OF_1970,
    PacketKind,
    Wire,
    price_scale_of,
)
from kite_contracts.bounds import check_row
from kite_contracts.tick_batch import (
    ABSENT,
    FEED_SEQ,
    FEED_SESSION,
    INSTRUMENT_TOKEN,
    LAST_PRICE,
    PRICE_SCALE,
    TS_EVENT_NS,
    TS_RECV_NS,
    Verdict,
)
from kite_runtime.compiled import compiled

Ints = npt.NDArray[np.int64]
Buffer = npt.NDArray[np.uint8]
Bytes = Buffer | bytes

# Columns of the frame index: where a frame lies in the buffer, and what its rows are stamped with.
START: Final = 0
END: Final = 1
FRAME_TS_RECV_NS: Final = 2
FRAME_FEED_SESSION: Final = 3
FIRST_SEQ: Final = 4

# Columns of the packet tables.
_MODE: Final = 0
_GROUPS: Final = 1
_FIRST: Final = 2
_STOP: Final = 3
_COLUMN: Final = 0
_OFFSET: Final = 1
_SHIFT: Final = 2
_SIGN: Final = 3
_FACTOR: Final = 4
_LEAST: Final = 5

_LEAST_SECONDS: Final = {Wire.SECONDS: 1, Wire.TRADE_SECONDS: SECONDS_OF_1970, Wire.MISSING: 1}
_TRUNCATED: Final = int(Verdict.TRUNCATED)
_UNKNOWN_PACKET: Final = int(Verdict.UNKNOWN_PACKET)
_TRAILING_BYTES: Final = int(Verdict.TRAILING_BYTES)


class Bounds(NamedTuple):
    """The arrays of ``kite_contracts.bounds.TickBounds``."""

    low: Ints
    high: Ints
    masks: npt.NDArray[np.uint64]
    optional: npt.NDArray[np.bool_]


class Rows(NamedTuple):
    """The arrays of a ``TickBatch``."""

    values: Ints
    mode: npt.NDArray[np.uint8]
    groups: npt.NDArray[np.uint8]
    verdict: npt.NDArray[np.int16]
    start: Ints
    end: Ints


def _packet_tables() -> tuple[Ints, Ints, Ints]:
    """``packets.LAYOUTS`` as arrays: the layout of each length, the layouts, and their fields.

    A layout's row: its mode, its groups, and its fields as first and stop (exclusive). A field's:
    column, offset, shift, sign, factor and least; it is read as one u32 and becomes
    ``(((u32 >> shift) ^ sign) - sign) * factor``, so the loop has no branch on the wire type. (The
    two bytes after an order count are padding of the same packet.) ``u32 >> shift`` below the
    least is absent.
    """
    layout_of_length = np.full(max(PacketKind) + 1, -1, np.int64)
    fields: list[tuple[int, ...]] = []
    layouts: list[tuple[int, ...]] = []
    for number, layout in enumerate(LAYOUTS.values()):
        layout_of_length[layout.kind] = number
        first = len(fields)
        for field in layout.fields:
            shift = {Wire.U16: 16, Wire.MISSING: 32}.get(field.wire, 0)
            sign = 2**31 if field.wire is Wire.PRICE else 0
            least = _LEAST_SECONDS.get(field.wire, 0)
            factor = NS_PER_SECOND if least else 1
            fields.append((field.column, field.offset, shift, sign, factor, least))
        layouts.append((layout.mode, layout.groups, first, len(fields)))
    return layout_of_length, np.array(layouts, np.int64), np.array(fields, np.int64)


_LAYOUT_OF_LENGTH, _LAYOUTS, _FIELDS = _packet_tables()
_SCALE_OF_SEGMENT: Final = np.array([price_scale_of(segment) for segment in range(256)], np.int64)


@compiled
def u16(data: Bytes, at: int) -> int:
    return int((np.int64(data[at]) << 8) | np.int64(data[at + 1]))


@compiled
def _u32(data: Buffer, at: int) -> int:
    i = np.uint64(at)
    high = (np.int64(data[i]) << 24) | (np.int64(data[i + np.uint64(1)]) << 16)
    low = (np.int64(data[i + np.uint64(2)]) << 8) | np.int64(data[i + np.uint64(3)])
    return int(high | low)


@compiled
def packet_end_of(data: Bytes, at: int, end: int) -> int:
    """Where the packet ends whose length prefix is at ``at``; -1 when that is beyond ``end``."""
    if end - at < 2:
        return -1
    packet_end = at + 2 + u16(data, at)
    return packet_end if packet_end <= end else -1


@compiled
def count_slots(data: Bytes, start: int, end: int) -> int:
    """How many rows the frame in ``data[start:end]`` takes; see ``frames.count_slots``."""
    if end - start < 2:
        return 1
    announced = u16(data, start)
    at = start + 2
    for slot in range(announced):
        packet_end = packet_end_of(data, at, end)
        if packet_end < 0:
            return slot + 1
        at = packet_end
    return announced + 1 if at < end else announced


@compiled
def _read_fields(data: Buffer, at: int, layout: int, values: Ints) -> None:
    for number in range(_LAYOUTS[layout, _FIRST], _LAYOUTS[layout, _STOP]):
        i = np.uint64(number)
        raw = _u32(data, at + _FIELDS[i, _OFFSET]) >> _FIELDS[i, _SHIFT]
        sign = _FIELDS[i, _SIGN]
        value = ((raw ^ sign) - sign) * _FIELDS[i, _FACTOR]
        values[np.uint64(_FIELDS[i, _COLUMN])] = ABSENT if raw < _FIELDS[i, _LEAST] else value


@compiled
def _stamp(rows: Rows, row: int, index: Ints, frame: int, slot: int, start: int, end: int) -> None:
    """What every row has, good or faulty."""
    rows.values[row, TS_RECV_NS] = index[frame, FRAME_TS_RECV_NS]
    rows.values[row, FEED_SESSION] = index[frame, FRAME_FEED_SESSION]
    rows.values[row, FEED_SEQ] = index[frame, FIRST_SEQ] + slot
    rows.start[row] = start
    rows.end[row] = end


@compiled
def _fault(rows: Rows, row: int, verdict: int) -> None:
    rows.values[row, INSTRUMENT_TOKEN] = 0
    rows.values[row, TS_EVENT_NS] = ABSENT
    rows.values[row, PRICE_SCALE] = 0
    rows.values[row, LAST_PRICE] = 0
    rows.mode[row] = 0
    rows.groups[row] = 0
    rows.verdict[row] = verdict


@compiled
def _decode_packet(
    data: Buffer, start: int, end: int, bounds: Bounds, rows: Rows, row: int
) -> None:
    length = end - start
    layout = -1
    if length < _LAYOUT_OF_LENGTH.size:
        layout = _LAYOUT_OF_LENGTH[length]
    if layout < 0:
        _fault(rows, row, _UNKNOWN_PACKET)
        return
    values = rows.values[row]
    _read_fields(data, start, layout, values)
    values[PRICE_SCALE] = _SCALE_OF_SEGMENT[values[INSTRUMENT_TOKEN] & 0xFF]
    groups = _LAYOUTS[layout, _GROUPS]
    rows.mode[row] = _LAYOUTS[layout, _MODE]
    rows.groups[row] = groups
    rows.verdict[row] = check_row(
        values, groups, bounds.low, bounds.high, bounds.masks, bounds.optional
    )


@compiled
def _decode_frame(
    data: Buffer, index: Ints, frame: int, bounds: Bounds, rows: Rows, row: int
) -> None:
    start, end = index[frame, START], index[frame, END]
    if end - start < 2:
        _stamp(rows, row, index, frame, 0, start, end)
        _fault(rows, row, _TRUNCATED)
        return
    announced = u16(data, start)
    at = start + 2
    for slot in range(announced):
        packet_end = packet_end_of(data, at, end)
        if packet_end < 0:
            _stamp(rows, row + slot, index, frame, slot, at, end)
            _fault(rows, row + slot, _TRUNCATED)
            return
        _stamp(rows, row + slot, index, frame, slot, at + 2, packet_end)
        _decode_packet(data, at + 2, packet_end, bounds, rows, row + slot)
        at = packet_end
    if at < end:
        _stamp(rows, row + announced, index, frame, announced, at, end)
        _fault(rows, row + announced, _TRAILING_BYTES)


@compiled
def decode(
    data: Buffer,
    index: Ints,
    low: Ints,
    high: Ints,
    masks: npt.NDArray[np.uint64],
    optional: npt.NDArray[np.bool_],
    values: Ints,
    mode: Buffer,
    groups: Buffer,
    verdict: npt.NDArray[np.int16],
    row_start: Ints,
    row_end: Ints,
) -> tuple[int, int]:
    """Frames decoded and rows filled, until a frame does not fit.

    For a frame that lies outside the buffer: ``-1 - its number`` and the rows before it.
    """
    bounds = Bounds(low, high, masks, optional)
    rows = Rows(values, mode, groups, verdict, row_start, row_end)
    capacity = verdict.size
    filled = 0
    for number in range(index.shape[0]):
        start, end = index[number, START], index[number, END]
        if start < 0 or start > end or end > data.size:
            return -1 - number, filled
        slots = count_slots(data, start, end)
        if slots > capacity - filled:
            return number, filled
        _decode_frame(data, index, number, bounds, rows, filled)
        filled += slots
    return index.shape[0], filled
