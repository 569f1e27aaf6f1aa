"""Reads one segment file: bytes into chunks, with what is damaged told apart."""

from __future__ import annotations

import os
import sys
import zlib
from typing import Final, NamedTuple

import numpy as np

from kite_live_feed.journal.chunk import Chunk, Damage, make_chunk
from kite_live_feed.journal.layout import HEADER_BYTES, Position, RecordKind
from kite_live_feed.journal.scan import (
    COLUMNS,
    END,
    FEED_SESSION,
    FIRST_SEQ,
    KIND,
    LOST,
    PAYLOAD_CRC,
    SHARD,
    START,
    TS_RECV_NS,
    Bytes,
    Index,
    scan,
)
from kite_live_feed.journal.segments import Segment, used_bytes

CHUNK_RECORDS_MAX: Final = 4096
CHUNK_BYTES: Final = 256 * 1024

_KINDS: Final = frozenset(int(kind) for kind in RecordKind)


class Extent(NamedTuple):
    """How far a segment can be read."""

    size: int
    """Bytes of the file that may be looked at."""
    limit: int
    """Records begin before this; from here to ``size`` there are only zeros."""
    final: bool
    """Nobody appends to it any more."""


class SegmentReader:
    """One open segment file. ``extent`` is that of a file at rest."""

    def __init__(self, segment: Segment, verify: bool = True) -> None:
        """Open it. ``verify`` checks each payload's CRC. Raises OSError."""
        self.segment = segment
        self._verify = verify
        self._rows: Index = np.zeros((CHUNK_RECORDS_MAX, COLUMNS), np.int64)
        self._fd = os.open(segment.path, os.O_RDONLY)
        try:
            size = os.fstat(self._fd).st_size
            limit = used_bytes(self._fd, size) if verify else size
        except OSError:
            os.close(self._fd)
            raise
        self.extent = Extent(size, limit, True)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self, offset: int, max_bytes: int, extent: Extent) -> Chunk:
        """The records from ``offset``, which lies before ``extent.limit``. Raises OSError.

        About ``max_bytes`` of them, or one whole record that is larger.
        """
        want = max(max_bytes, 2 * HEADER_BYTES)
        while True:
            length = min(want, extent.size - offset)
            buffer: Bytes = np.empty(length, np.uint8)
            got = os.preadv(self._fd, [buffer.data], offset)
            final = extent.final and offset + got >= extent.size
            limit = min(extent.limit - offset, got)
            stamp = self.segment.stamp
            count, at = scan(buffer, 0, got, limit, final, stamp, self._rows)
            if count or got < want:
                break
            # One record larger than the buffer: its header is good, else it would be a row.
            want = HEADER_BYTES + int.from_bytes(buffer[8:12].tobytes(), "little")
        data_end = extent.limit - offset if extent.final else sys.maxsize
        records, damage, torn = self._judge(buffer, count, data_end)
        if at < limit and count < CHUNK_RECORDS_MAX and (final or got < length):
            torn = limit - at
        if torn:
            at = limit
        if got < length:
            damage.append(Damage(got, got, f"{self.segment.path.name} was cut short"))
            at = extent.limit - offset
        number = self.segment.number
        return make_chunk(
            buffer, records, damage, torn, Position(number, offset), Position(number, offset + at)
        )

    def _judge(self, buffer: Bytes, count: int, data_end: int) -> tuple[Index, list[Damage], int]:
        """Split the rows into good records, damage and the bytes of a torn last record."""
        rows = self._rows[:count].copy()
        if not self._verify and LOST not in rows[:, KIND].tolist():
            return rows, [], 0
        view = buffer.data
        damage: list[Damage] = []
        torn = 0
        good = np.ones(count, np.bool_)
        for number, row in enumerate(rows.tolist()):
            start, end, kind = row[START], row[END], row[KIND]
            if kind == LOST and end == data_end and end - start < HEADER_BYTES:
                torn = end - start
            elif kind == LOST:
                damage.append(Damage(start, end, "no valid journal record in these bytes"))
            elif self._verify and zlib.crc32(view[start:end]) != row[PAYLOAD_CRC]:
                if end > data_end:
                    torn = data_end - start + HEADER_BYTES
                else:
                    damage.append(_of_record(row, "the payload's checksum is wrong"))
            elif kind not in _KINDS:
                damage.append(_of_record(row, f"journal record kind {kind} is unknown"))
            else:
                continue
            good[number] = False
        return rows[good], damage, torn


def _of_record(row: list[int], cause: str) -> Damage:
    return Damage(
        row[START],
        row[END],
        cause,
        row[SHARD],
        row[TS_RECV_NS],
        row[FEED_SESSION],
        row[FIRST_SEQ],
    )
