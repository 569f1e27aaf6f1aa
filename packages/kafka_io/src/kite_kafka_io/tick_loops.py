"""The compiled loops of ``tick_codec``: one pass over the rows, no Python object per field.

An Avro long is a zigzag number in groups of seven bits, the lowest first. Positions are int64; in
the reading functions a negative position ``-1 - n`` means that byte n could not be read, and every
further read keeps it, so that only the end of a row need look.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_contracts.tick_batch import (
    ABSENT,
    DEPTH,
    DEPTH_LEVELS,
    FEED_SEQ,
    FIELD_COUNT,
    INDEX_CHANGE,
    INSTRUMENT_TOKEN,
    LAST_PRICE,
    LAST_TRADE_TIME_NS,
    OHLC,
    OPEN_INTEREST,
    PRICE_SCALE,
    TRADE,
    TS_EVENT_NS,
    TS_RECV_NS,
    Group,
    Verdict,
)
from kite_runtime.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Smalls = npt.NDArray[np.int16]
Word = Any
"""An int64 in machine code; an int or a numpy integer where the loops run without it."""

# numba freezes plain module integers, but knows no IntFlag.
_HAS_OHLC: Final = int(Group.OHLC)
_HAS_TRADE: Final = int(Group.TRADE)
_HAS_OI: Final = int(Group.OPEN_INTEREST)
_HAS_INDEX: Final = int(Group.INDEX)
_HAS_DEPTH: Final = int(Group.DEPTH)
_TRUNCATED: Final = int(Verdict.TRUNCATED)
_MALFORMED: Final = int(Verdict.UNKNOWN_PACKET)
_TRAILING: Final = int(Verdict.TRAILING_BYTES)

_LEVEL_FIELDS: Final = 3
_SIDE_FIELDS: Final = DEPTH_LEVELS * _LEVEL_FIELDS
_PRESENT: Final = 2  # branch 1 of a union, zigzag
_LEVELS: Final = 2 * DEPTH_LEVELS  # the count of an array block, zigzag
_AFTER_SHIFT: Final = (1 << 57) - 1  # makes >> 7 a logical shift
_INT_LOW: Final = -(2**31)
_INT_HIGH: Final = 2**31 - 1


@compiled
def _put(out: Bytes, at: Word, value: Word) -> Word:
    """Write one long; returns the next position.

    Most numbers of a tick are short: one and two bytes without the loop, and an unsigned position,
    which needs no test for a negative index, encode a tick 10 % faster (measured).
    """
    rest = (value << 1) ^ (value >> 63)
    i = np.uint64(at)
    if not rest & -(1 << 7):
        out[i] = rest
        return at + 1
    if not rest & -(1 << 14):
        out[i] = (rest & 127) | 128
        out[i + np.uint64(1)] = rest >> 7
        return at + 2
    while rest & -(1 << 7):
        out[np.uint64(at)] = (rest & 127) | 128
        at += 1
        rest = (rest >> 7) & _AFTER_SHIFT
    out[np.uint64(at)] = rest
    return at + 1


put_long: Final = _put
"""For loops over other records."""


@compiled
def _put_optional(out: Bytes, at: Word, value: Word) -> Word:
    if value == ABSENT:
        out[at] = 0
        return at + 1
    out[at] = _PRESENT
    return _put(out, at + 1, value)


@compiled
def _put_group(out: Bytes, at: Word, there: Word, row: Ints, first: Word, last: Word) -> Word:
    """Write the union branch and, if the group is there, the columns ``first`` up to ``last``."""
    if not there:
        out[at] = 0
        return at + 1
    out[at] = _PRESENT
    at += 1
    for column in range(first, last):
        at = _put(out, at, row[column])
    return at


@compiled
def _put_row(out: Bytes, at: Word, row: Ints, mode: Word, groups: Word) -> Word:
    at = _put(out, at, row[INSTRUMENT_TOKEN])
    out[at] = 2 * mode
    at = _put(out, at + 1, row[TS_RECV_NS])
    at = _put_optional(out, at, row[TS_EVENT_NS])
    for column in range(TS_EVENT_NS + 1, LAST_PRICE + 1):
        at = _put(out, at, row[column])
    at = _put_group(out, at, groups & _HAS_OHLC, row, OHLC, TRADE)
    at = _put_group(out, at, groups & _HAS_TRADE, row, TRADE, LAST_TRADE_TIME_NS)
    if groups & _HAS_TRADE:
        at = _put_optional(out, at, row[LAST_TRADE_TIME_NS])
    at = _put_group(out, at, groups & _HAS_OI, row, OPEN_INTEREST, INDEX_CHANGE)
    at = _put_group(out, at, groups & _HAS_INDEX, row, INDEX_CHANGE, DEPTH)
    if not groups & _HAS_DEPTH:
        out[at] = 0
        return at + 1
    out[at] = _PRESENT
    at += 1
    for first in range(DEPTH, FIELD_COUNT, _SIDE_FIELDS):
        out[at] = _LEVELS
        at += 1
        for column in range(first, first + _SIDE_FIELDS):
            at = _put(out, at, row[column])
        out[at] = 0
        at += 1
    return at


@compiled
def encode_rows(
    values: Ints,
    mode: Bytes,
    groups: Bytes,
    verdict: Smalls,
    size: Word,
    prefix: Bytes,
    out: Bytes,
    ends: Ints,
    tokens: Ints,
) -> tuple[Word, Word]:
    """Write the good rows one after the other, each after ``prefix``: how many, and their bytes.

    ``ends[k]`` and ``tokens[k]`` are the end and the instrument of the k-th good row. ``out`` must
    hold ``RECORD_MAX_BYTES + len(prefix)`` for each row.
    """
    at = np.int64(0)
    count = 0
    for index in range(size):
        if verdict[index] != 0:
            continue
        for byte in prefix:
            out[at] = byte
            at += 1
        at = _put_row(out, at, values[index], np.int64(mode[index]), np.int64(groups[index]))
        ends[count] = at
        tokens[count] = values[index, INSTRUMENT_TOKEN]
        count += 1
    return count, at


@compiled
def _take(data: Bytes, at: Word, end: Word) -> tuple[Word, Word]:
    """Read one long before ``end``; returns it and the next position."""
    if at < 0:
        return np.int64(0), at
    value = np.int64(0)
    shift = np.int64(0)
    if at + 2 <= end:  # most numbers are short: two bytes without the loop
        first = np.int64(data[at])
        second = np.int64(data[at + 1])
        if first < 128:
            return (first >> 1) ^ -(first & 1), at + 1
        value = (first & 127) | (second & 127) << 7
        if second < 128:
            return (value >> 1) ^ -(value & 1), at + 2
        at += 2
        shift = np.int64(14)
    while at < end:
        byte = np.int64(data[at])
        if shift == 63 and byte > 1:
            return np.int64(0), -1 - at
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return ((value >> 1) & np.int64(0x7FFFFFFFFFFFFFFF)) ^ -(value & 1), at
        shift += 7
    return np.int64(0), -1 - at


@compiled
def _take_long(data: Bytes, at: Word, end: Word, row: Ints, column: Word) -> Word:
    row[column], at = _take(data, at, end)
    return at


@compiled
def _take_int(data: Bytes, at: Word, end: Word, row: Ints, column: Word) -> Word:
    value, after = _take(data, at, end)
    row[column] = value
    if after >= 0 and (value < _INT_LOW or value > _INT_HIGH):
        return -1 - at
    return after


@compiled
def _take_branch(data: Bytes, at: Word, end: Word) -> tuple[Word, Word]:
    """Read which branch of a union with null it is: 0 (null) or 1."""
    branch, after = _take(data, at, end)
    if after >= 0 and (branch < 0 or branch > 1):
        return np.int64(0), -1 - at
    return branch, after


@compiled
def _take_optional(data: Bytes, at: Word, end: Word, row: Ints, column: Word) -> Word:
    branch, at = _take_branch(data, at, end)
    row[column] = ABSENT
    if branch == 0:
        return at
    start = at
    at = _take_long(data, at, end, row, column)
    if at >= 0 and row[column] == ABSENT:
        return -1 - start
    return at


@compiled
def _take_group(
    data: Bytes, at: Word, end: Word, row: Ints, first: Word, last: Word
) -> tuple[Word, Word]:
    branch, at = _take_branch(data, at, end)
    if branch == 0:
        for column in range(first, last):
            row[column] = ABSENT
        return branch, at
    for column in range(first, last):
        at = _take_long(data, at, end, row, column)
    return branch, at


@compiled
def _take_side(data: Bytes, at: Word, end: Word, row: Ints, first: Word) -> Word:
    """Read an array of exactly five depth levels, in any number of blocks."""
    column = first
    while at >= 0:
        start = at
        count, at = _take(data, at, end)
        if at < 0:
            return at
        if count == 0:
            return at if column == first + _SIDE_FIELDS else -1 - start
        if count < 0:  # a block with its length in bytes
            _, at = _take(data, at, end)
            if count < -DEPTH_LEVELS:
                return -1 - start
            count = -count
        if count > (first + _SIDE_FIELDS - column) // _LEVEL_FIELDS:
            return -1 - start
        for _ in range(count):
            at = _take_long(data, at, end, row, column)
            at = _take_long(data, at, end, row, column + 1)
            at = _take_int(data, at, end, row, column + 2)
            column += _LEVEL_FIELDS
    return at


@compiled
def _take_row(data: Bytes, at: Word, end: Word, row: Ints) -> tuple[Word, Word, Word]:
    """Read one record; returns (next position, mode, groups)."""
    at = _take_long(data, at, end, row, INSTRUMENT_TOKEN)
    start = at
    mode, at = _take(data, at, end)
    if at >= 0 and (mode < 0 or mode > 2):
        return -1 - start, np.int64(0), np.int64(0)
    at = _take_long(data, at, end, row, TS_RECV_NS)
    at = _take_optional(data, at, end, row, TS_EVENT_NS)
    for column in range(TS_EVENT_NS + 1, FEED_SEQ + 1):
        at = _take_long(data, at, end, row, column)
    at = _take_int(data, at, end, row, PRICE_SCALE)
    at = _take_long(data, at, end, row, LAST_PRICE)
    groups = np.int64(0)
    there, at = _take_group(data, at, end, row, OHLC, TRADE)
    groups |= there * _HAS_OHLC
    there, at = _take_group(data, at, end, row, TRADE, LAST_TRADE_TIME_NS)
    groups |= there * _HAS_TRADE
    row[LAST_TRADE_TIME_NS] = ABSENT
    if there:
        at = _take_optional(data, at, end, row, LAST_TRADE_TIME_NS)
    there, at = _take_group(data, at, end, row, OPEN_INTEREST, INDEX_CHANGE)
    groups |= there * _HAS_OI
    there, at = _take_group(data, at, end, row, INDEX_CHANGE, DEPTH)
    groups |= there * _HAS_INDEX
    there, at = _take_branch(data, at, end)
    groups |= there * _HAS_DEPTH
    for first in range(DEPTH, FIELD_COUNT, _SIDE_FIELDS):
        if there:
            at = _take_side(data, at, end, row, first)
        else:
            row[first : first + _SIDE_FIELDS] = ABSENT
    return at, mode, groups


@compiled
def _prefix_fault(data: Bytes, at: Word, end: Word, prefix: Bytes) -> Word:
    """The position after the prefix, or ``-1 - n`` for the first byte that differs."""
    for byte in prefix:
        if at >= end or data[at] != byte:
            return -1 - at
        at += 1
    return at


@compiled
def decode_rows(
    data: Bytes,
    starts: Ints,
    ends: Ints,
    size: Word,
    prefix: Bytes,
    values: Ints,
    mode: Bytes,
    groups: Bytes,
    verdict: Smalls,
    error_at: Ints,
) -> Word:
    """Read value i from ``data[starts[i]:ends[i]]`` into row i; returns how many are no ticks.

    ``error_at[i]`` is -1 or the offset in the value of the first byte that makes no sense.
    """
    bad = 0
    for index in range(size):
        start, end = starts[index], ends[index]
        at = _prefix_fault(data, start, end, prefix)
        row_mode, row_groups = np.int64(0), np.int64(0)
        if at >= 0:
            at, row_mode, row_groups = _take_row(data, at, end, values[index])
        mode[index] = row_mode
        groups[index] = row_groups
        verdict[index] = 0
        error_at[index] = -1
        if at == end:
            continue
        bad += 1
        if at >= 0:
            error_at[index] = at - start
            verdict[index] = _TRAILING
        else:
            error_at[index] = -1 - at - start
            verdict[index] = _TRUNCATED if -1 - at == end else _MALFORMED
    return bad
