"""What a reader hands out: some records in the order they were written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from kite_live_feed.journal.layout import Position, RecordKind
from kite_live_feed.journal.scan import COLUMNS, END, FRAME_COLUMNS, KIND, START, Bytes, Index

_FRAME: Final = int(RecordKind.FRAME)
_EVENT: Final = int(RecordKind.EVENT)


class Damage(NamedTuple):
    """A range of the chunk's buffer that cannot be read as a record: dead-letter its bytes.

    The range is empty where whole segment files are missing. The last four are known when the
    header was good and only the payload is not.
    """

    start: int
    end: int
    cause: str
    """One sentence for people."""
    shard: int | None = None
    ts_recv_ns: int | None = None
    feed_session: int | None = None
    first_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive records of one segment. The buffer belongs to the chunk alone."""

    buffer: Bytes
    records: Index
    """A row a good record of any kind, columns as in ``journal.scan``, int64 ``(n, 8)``."""
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

    def payload(self, row: int) -> bytes:
        """The payload of ``records[row]``, a copy."""
        start, end = self.records[row, :2].tolist()
        return self.buffer[start:end].tobytes()

    def position_behind(self, row: int) -> Position:
        """The position right behind ``records[row]``."""
        return Position(self.position.segment, self.position.offset + int(self.records[row, END]))


def make_chunk(
    buffer: Bytes,
    records: Index,
    damage: list[Damage],
    torn_bytes: int,
    position: Position,
    position_after: Position,
) -> Chunk:
    """A chunk with its frames and events picked out of ``records``."""
    kinds = records[:, KIND]
    if kinds.tolist().count(_FRAME) == len(records):
        # As nearly always: a list is counted, and all rows copied, in less time than numpy
        # takes to compare and to choose.
        frames = records[:, :FRAME_COLUMNS].copy()
        return Chunk(buffer, records, frames, [], damage, torn_bytes, position, position_after)
    frames = records[kinds == _FRAME, :FRAME_COLUMNS]
    ranges = records[kinds == _EVENT][:, (START, END)].tolist()
    events = [buffer[start:end].tobytes() for start, end in ranges]
    return Chunk(buffer, records, frames, events, damage, torn_bytes, position, position_after)


def missing_chunk(first: int, last: int, position: Position, after: Position) -> Chunk:
    """A chunk that only says that somebody took the segments ``first`` to ``last`` away."""
    which = f"segment {first} is" if first == last else f"segments {first} to {last} are"
    return make_chunk(
        np.empty(0, np.uint8),
        np.empty((0, COLUMNS), np.int64),
        [Damage(0, 0, f"journal {which} missing")],
        0,
        position,
        after,
    )
