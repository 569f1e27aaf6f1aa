"""What the last run left: where its data end, and what each connection saw last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kite_live_feed.journal.last_frames import LastFrame
from kite_live_feed.journal.layout import RecordKind
from kite_live_feed.journal.scan import FEED_SESSION, FIRST_SEQ, KIND, SHARD, TS_RECV_NS
from kite_live_feed.journal.segment_reader import SegmentReader
from kite_live_feed.journal.segments import Segment

SEGMENTS_MAX: Final = 4
"""Segments looked at, newest first, until one holds a frame: bounds the time that a start takes."""

_CHUNK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a new run must know of the one before. Empty after a first start."""

    frames: dict[int, LastFrame] = field(default_factory=dict)
    """By shard: its last frame, for the gap event "bridge restart" (from = ``ts_recv_ns``)."""
    last_ns: int | None = None
    """Receive time of the last record of any kind."""
    last_session: int | None = None
    """The highest feed_session seen; a new one must be above it, whatever the clock says."""
    torn_bytes: int = 0
    """Bytes of a record that the crash cut off before its append returned."""
    note_damaged: bool = False
    """The note of last frames is unreadable: a connection that was silent for long is unknown."""


def recover(
    segments: Sequence[Segment], before: Mapping[int, LastFrame] | None
) -> tuple[Recovery, int]:
    """Look at the newest segments: (what they tell, the true end of the last one in bytes).

    ``before`` is by shard the last frame of older segments, None where that is not readable any
    more. Raises OSError.
    """
    frames: dict[int, LastFrame] = {}
    last_ns: int | None = None
    torn = 0
    ends: list[int] = []
    for segment in list(reversed(segments))[:SEGMENTS_MAX]:
        frames, newest_ns, torn_here, end = _survey(segment)
        ends.append(end)
        last_ns = last_ns if last_ns is not None else newest_ns
        torn += torn_here
        if frames:
            break
    frames = {**(before or {}), **frames}
    last_session = max((frame.feed_session for frame in frames.values()), default=None)
    found = Recovery(frames, last_ns, last_session, torn, note_damaged=before is None)
    return found, ends[0] if ends else 0


def _survey(segment: Segment) -> tuple[dict[int, LastFrame], int | None, int, int]:
    frames: dict[int, LastFrame] = {}
    last_ns: int | None = None
    torn = offset = 0
    file = SegmentReader(segment)
    try:
        while offset < file.extent.limit:
            chunk = file.read(offset, _CHUNK_BYTES, file.extent)
            offset = chunk.position_after.offset
            torn += chunk.torn_bytes
            if len(chunk.records):
                last_ns = int(chunk.records[-1, TS_RECV_NS])
            own = chunk.records[chunk.records[:, KIND] == RecordKind.FRAME]
            for row in own[:, (SHARD, FEED_SESSION, TS_RECV_NS, FIRST_SEQ)].tolist():
                frames[row[0]] = LastFrame(*row[1:])
    finally:
        file.close()
    return frames, last_ns, torn, offset
