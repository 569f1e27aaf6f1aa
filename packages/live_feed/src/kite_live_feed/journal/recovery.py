"""What the last run left: where its data end, and what each connection saw last."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from kite_live_feed.journal.layout import FILE_MODE, Segment
from kite_live_feed.journal.reader import SegmentReader

FILE_NAME: Final = "last_frames.json"
"""Beside the segments: the last frame of each connection, for the gap event after a restart.

A connection may have been silent for many segments, so its last frame need not be in those that
recovery looks at. The file is replaced whenever a segment is opened, before its first record: with
the frames of the newest segments it is complete, whenever the process ends. After a power failure,
or where it could not be written, it may be an older one, and a gap then begins too early.
"""


class LastFrame(NamedTuple):
    """The last frame of one connection."""

    feed_session: int
    ts_recv_ns: int
    first_seq: int


def read_last_frames(directory: Path) -> dict[int, LastFrame] | None:
    """By shard; empty where there is no such file, None where it is damaged. Raises OSError."""
    try:
        found = orjson.loads((directory / FILE_NAME).read_bytes())
        return {
            int(shard): LastFrame(*(int(number) for number in numbers))
            for shard, numbers in found.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        return None


def write_last_frames(directory: Path, frames: Mapping[int, tuple[int, int, int]]) -> None:
    """Replace the file as a whole. Raises OSError."""
    new = directory / f"{FILE_NAME}.new"
    new.touch(FILE_MODE)
    new.write_bytes(orjson.dumps({str(shard): list(frames[shard]) for shard in sorted(frames)}))
    os.replace(new, directory / FILE_NAME)


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
    """The highest feed_session seen; a new one must be above it, whatever the clock shows."""
    torn_bytes: int = 0
    """Bytes of a record that the crash cut off before its append returned."""
    note_damaged: bool = False
    """The note of last frames is unreadable: a connection without recent frames is unknown."""


def recover(
    segments: Sequence[Segment], before: Mapping[int, LastFrame] | None
) -> tuple[Recovery, int]:
    """Look at the newest segments: (what they hold, the true end of the last one in bytes).

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
    with closing(SegmentReader(segment)) as file:
        while offset < file.extent.limit:
            chunk = file.read(offset, _CHUNK_BYTES, file.extent)
            offset = chunk.position_after.offset
            torn += chunk.torn_bytes
            if chunk.rows:
                last_ns = chunk.rows[-1].ts_recv_ns
            for row in chunk.frame_rows:
                frames[row.shard] = LastFrame(row.feed_session, row.ts_recv_ns, row.first_seq)
    return frames, last_ns, torn, offset
