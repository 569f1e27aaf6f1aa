"""What each segment must hold, noted beside them: without it a file that was cut, emptied or
removed looks like one that is just short.

The note is replaced as a whole when a segment is opened and when it is sealed. A journal of a
release that wrote none is noted as it is found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

FILE_NAME: Final = "segments.json"


class SegmentNote(NamedTuple):
    """One segment as its writer left it."""

    began_ns: int
    """Receive time of its first record, ns since the epoch; 0 where it is not known."""
    end: int
    """Bytes of its records, or of the whole file while it is written to."""
    sealed: bool


def read_notes(directory: Path) -> dict[int, SegmentNote]:
    """By number of the segment; empty where there is no note, or none that can be read."""
    try:
        found = orjson.loads((directory / FILE_NAME).read_bytes())
        return {
            int(number): SegmentNote(int(began), int(end), bool(sealed))
            for number, (began, end, sealed) in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_notes(directory: Path, notes: Mapping[int, SegmentNote]) -> None:
    """Replace the note. Raises OSError."""
    new = directory / f"{FILE_NAME}.new"
    new.write_bytes(orjson.dumps({str(number): list(notes[number]) for number in sorted(notes)}))
    os.replace(new, directory / FILE_NAME)
