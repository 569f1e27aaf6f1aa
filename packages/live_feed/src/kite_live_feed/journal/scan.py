"""Bytes of a segment -> the records in it, as the pump takes them (pure).

Each header's CRC is checked; payload CRCs are the reader's business, because records that this very
process wrote need no second check.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_live_feed.journal.layout import (
    ANY_STAMP,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    PAYLOAD_BYTES_MAX,
    Position,
    RecordKind,
)

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
FRAME_COLUMNS: Final = 5
"""The first values of a row are those of broker_zerodha's frame index."""

LOST: Final = -1
"""A row of this KIND is no record but a range of bytes in which no header is valid."""

_FRAME: Final = int(RecordKind.FRAME)
_EVENT: Final = int(RecordKind.EVENT)
_MAGIC_BYTES: Final = MAGIC.to_bytes(4, "little")
_CRC_AT: Final = HEADER_BYTES - 4


class Row(NamedTuple):
    """One record, or a range of bytes without any; a place is an index into the buffer."""

    start: int
    """Of its payload."""
    end: int
    ts_recv_ns: int = 0
    feed_session: int = 0
    first_seq: int = 0
    kind: int = LOST
    shard: int = 0
    payload_crc: int = 0


def scan(
    buffer: memoryview, start: int, size: int, limit: int, final: bool, stamp: int, most: int
) -> tuple[list[Row], int]:
    """The records of ``buffer[start:size]``, at most so many; (rows, where to go on).

    Records begin before ``limit``; what lies between it and ``size`` is unused space. ``final``
    means that nothing follows ``size``. The scan stops before a record that is not complete. A
    range without a valid header becomes one row of kind ``LOST``, or several when it is larger than
    the buffer.
    """
    rows: list[Row] = []
    at = start
    while at < limit and at + HEADER_BYTES <= size and len(rows) < most:
        row = _record_at(buffer, at, stamp)
        if row is not None:
            if row.end > size:
                break
            rows.append(row)
            at = row.end
            continue
        after = _next_header(buffer[:size].tobytes(), at + 1, stamp)
        if after is None:
            after = max(at + 1, size - HEADER_BYTES + 1)
            if final or limit + HEADER_BYTES <= size:
                after = limit
            elif at > start:
                break  # the next scan begins here and sees the range whole
        rows.append(Row(at, after))
        at = after
    return rows, at


def _record_at(buffer: memoryview | bytes, at: int, stamp: int) -> Row | None:
    """The record whose header lies at ``at``, complete or not; None where no valid header does."""
    magic, kind, shard, _, length, crc, ts_ns, session, seq, found, header_crc = HEADER.unpack_from(
        buffer, at
    )
    if magic != MAGIC or length > PAYLOAD_BYTES_MAX or (stamp != found and stamp != ANY_STAMP):
        return None
    if zlib.crc32(buffer[at : at + _CRC_AT]) != header_crc:
        return None
    begin = at + HEADER_BYTES
    return Row(begin, begin + length, ts_ns, session, seq, kind, shard, crc)


def _next_header(data: bytes, start: int, stamp: int) -> int | None:
    """Where the next valid header begins."""
    at = data.find(_MAGIC_BYTES, start)
    while 0 <= at <= len(data) - HEADER_BYTES:
        if _record_at(data, at, stamp) is not None:
            return at
        at = data.find(_MAGIC_BYTES, at + 1)
    return None


class Damage(NamedTuple):
    """A range of the chunk's buffer that cannot be read as a record: dead-letter its bytes.

    The range is empty where bytes or whole segment files are missing. ``shard`` to ``first_seq``
    are known when the header was good and only the payload is not.
    """

    start: int
    end: int
    cause: str
    """One sentence for people."""
    shard: int | None = None
    ts_recv_ns: int | None = None
    feed_session: int | None = None
    first_seq: int | None = None
    from_ns: int | None = None
    """What is missing was received at or after this time, where that is known."""
    to_ns: int | None = None
    """And at or before this one."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive records of one segment. The buffer belongs to the chunk alone."""

    buffer: Bytes
    rows: list[Row]
    """The good records of any kind."""
    frames: Index
    """A row a frame, C-contiguous int64 ``(n, 5)``: broker_zerodha's frame index."""
    events: list[bytes]
    """The payloads of the EVENT records."""
    damage: list[Damage]
    torn_bytes: int
    """Bytes of a record that a crash cut off before its append returned: nothing to report."""
    position: Position
    position_after: Position
    """Acknowledge this when everything in the chunk is in Kafka."""
    earlier: bool = False
    """Of a folder's segments in order, and this process did not write it: it may be incomplete."""

    @property
    def frame_rows(self) -> list[Row]:
        return [row for row in self.rows if row.kind == _FRAME]

    def payload(self, row: Row) -> bytes:
        """A copy."""
        return self.buffer[row.start : row.end].tobytes()


def make_chunk(
    buffer: Bytes,
    rows: list[Row],
    damage: list[Damage],
    torn_bytes: int,
    position: Position,
    position_after: Position,
) -> Chunk:
    """A chunk of these good records, its frames and events picked out."""
    frames = [row[:FRAME_COLUMNS] for row in rows if row.kind == _FRAME]
    index = np.array(frames, np.int64).reshape(-1, FRAME_COLUMNS)
    events = [buffer[row.start : row.end].tobytes() for row in rows if row.kind == _EVENT]
    return Chunk(buffer, rows, index, events, damage, torn_bytes, position, position_after)


def missing_chunk(first: int, last: int, position: Position, after: Position) -> Chunk:
    """A chunk that only reports that the segments ``first`` to ``last`` are missing."""
    which = f"segment {first} is" if first == last else f"segments {first} to {last} are"
    return make_chunk(
        np.empty(0, np.uint8),
        [],
        [Damage(0, 0, f"journal {which} missing")],
        0,
        position,
        after,
    )
