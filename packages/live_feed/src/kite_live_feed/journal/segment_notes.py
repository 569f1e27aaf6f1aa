"""What each segment must hold, noted beside them: without it a file that was cut, emptied or
removed looks like one that is just short.

The note is replaced as a whole when a segment is opened and when it is sealed. A journal of a
release that wrote none is noted as it is found.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from kite_live_feed.journal.layout import FILE_MODE, Position, Segment

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
    new.touch(FILE_MODE)
    new.write_bytes(orjson.dumps({str(number): list(notes[number]) for number in sorted(notes)}))
    os.replace(new, directory / FILE_NAME)


class SegmentNotes:
    """The writer's side: what it notes of each segment, as the numbers of its files go on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._notes = read_notes(directory)

    @property
    def highest(self) -> int:
        """The highest number noted, whether its file is there or not; 0 without any."""
        return max(self._notes, default=0)

    def take_over(self, sizes: dict[int, int], last: Segment, end: int) -> None:
        """Note where the last run's last segment ends, and the sizes of those without a note.

        What was allocated ahead is given back; a torn record's bytes stay, for the reader. A file
        that is shorter than it was made stays as it is: the reader reports what is missing. Raises
        OSError.
        """
        note = self._notes.get(last.number)
        if note is None or not (note.sealed or sizes[last.number] < note.end):
            os.truncate(last.path, end)
            sizes[last.number] = end
            began_ns = 0 if note is None else note.began_ns
            self._notes[last.number] = SegmentNote(began_ns, end, sealed=True)
        for number, size in sizes.items():
            self._notes.setdefault(number, SegmentNote(0, size, sealed=True))
        write_notes(self._directory, self._notes)

    def open(self, number: int, began_ns: int, capacity: int) -> None:
        """A segment was made."""
        self._notes[number] = SegmentNote(began_ns, capacity, sealed=False)

    def seal(self, number: int, end: int) -> None:
        """It is written no more."""
        self._notes[number] = SegmentNote(self._notes[number].began_ns, end, sealed=True)

    def save(self, present: Container[int], acknowledged: Position) -> None:
        """Write the note, without segments that are gone and not needed. Raises OSError."""
        for number in [each for each in self._notes if each not in present]:
            if (number, self._notes[number].end) <= acknowledged:
                del self._notes[number]
        write_notes(self._directory, self._notes)
