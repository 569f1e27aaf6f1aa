"""Beside the segments: the last frame of each connection, for the gap event after a restart.

A connection may have been silent for many segments, with a refused token for instance, so its last
frame need not be in those that recovery looks at. The file is written anew whenever a segment is
opened, before its first record: with the frames of the newest segments it is complete, whenever the
process ends. After a power failure, or where it could not be written, it may be an older one, and a
gap is then told to begin earlier than it did.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

FILE_NAME: Final = "last_frames.json"


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
    new.write_bytes(orjson.dumps({str(shard): list(frames[shard]) for shard in sorted(frames)}))
    os.replace(new, directory / FILE_NAME)
