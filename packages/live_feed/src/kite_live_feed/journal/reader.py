"""Reads the journal in order, a chunk at a time, behind a live writer or over what a crash left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kite_live_feed.errors import NotAJournalFile
from kite_live_feed.journal.chunk import Chunk, missing_chunk
from kite_live_feed.journal.layout import START, Position
from kite_live_feed.journal.segment_reader import CHUNK_BYTES, Extent, SegmentReader
from kite_live_feed.journal.segments import list_segments, segment_at


class LiveEnd(Protocol):
    """What a reader asks the writer in the same process."""

    first_segment: int

    @property
    def end(self) -> Position:
        """Where the writer is."""

    def size_of(self, number: int) -> int | None:
        """Bytes written to a segment."""


class JournalReader:
    """Sequential reader of a folder's segments. Not thread-safe.

    With ``live`` it follows that writer: what was appended can be read at once, and needs no second
    check of its payload, which never left this machine's memory. Without, the folder is at rest.
    """

    def __init__(
        self, directory: Path, position: Position = START, live: LiveEnd | None = None
    ) -> None:
        self._directory = directory
        self._position = Position(*position)
        self._live = live
        self._file: SegmentReader | None = None

    @property
    def position(self) -> Position:
        """Where the next chunk begins."""
        return self._position

    def seek(self, position: Position) -> None:
        """Go on from another place, usually back to the acknowledged position."""
        self.close()
        self._position = Position(*position)

    def read_chunk(self, max_bytes: int = CHUNK_BYTES) -> Chunk | None:
        """The next records, about ``max_bytes`` and at most 4096 of them; None when there is none.

        A record larger than ``max_bytes`` comes whole. Damage is told in the chunk, never raised;
        OSError when the disk fails.
        """
        while self._live is None or self._position < self._live.end:
            if self._file is None:
                missing = self._open()
                if missing is not None:
                    return missing
                if self._file is None:
                    return None
            extent = self._extent(self._file)
            if self._position.offset < extent.limit:
                chunk = self._file.read(self._position.offset, max_bytes, extent)
                self._position = chunk.position_after
                return chunk
            if not extent.final or not self._has_next(self._file):
                return None
            self._leave(self._file)
        return None

    def close(self) -> None:
        """Close the open segment file; the next read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _extent(self, file: SegmentReader) -> Extent:
        live, number = self._live, file.segment.number
        if live is None or number < live.first_segment:
            return file.extent
        end = live.end
        if number == end.segment:
            return Extent(end.offset, end.offset, False)
        size = live.size_of(number)
        if size is None:  # recycled while we hold it open
            return file.extent
        return Extent(size, size, True)

    def _open(self) -> Chunk | None:
        """Open the segment of the position or the next one; a chunk where some are missing."""
        number, offset = self._position
        found = next((s for s in list_segments(self._directory) if s.number >= number), None)
        if found is None:
            return None
        if found.number > number:
            expected = number if offset == 0 else number + 1
            before = self._position
            self._position = Position(found.number, 0)
            if number > 0 and found.number > expected:
                return missing_chunk(expected, found.number - 1, before, self._position)
        verify = self._live is None or found.number < self._live.first_segment
        self._file = SegmentReader(found, verify)
        return None

    def _has_next(self, file: SegmentReader) -> bool:
        if self._live is not None:
            return self._live.end.segment > file.segment.number
        return list_segments(self._directory)[-1:] > [file.segment]

    def _leave(self, file: SegmentReader) -> None:
        self.close()
        self._position = Position(file.segment.number + 1, 0)


def read_file(path: Path, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """The chunks of one segment file, wherever it lies and whatever its name.

    Raises NotAJournalFile when it cannot be read or holds no journal record.
    """
    try:
        file = SegmentReader(segment_at(path))
    except OSError as exc:
        raise NotAJournalFile(
            f"{path} cannot be read: {(exc.strerror or 'failed').lower()}"
        ) from exc
    offset, found = 0, False
    try:
        while offset < file.extent.limit:
            chunk = file.read(offset, max_bytes, file.extent)
            if not found and len(chunk.records) == 0 and not _only_damaged(chunk):
                raise NotAJournalFile(f"{path} is no journal segment: give a *.journal file")
            found = True
            offset = chunk.position_after.offset
            yield chunk
    except OSError as exc:
        raise NotAJournalFile(
            f"{path} cannot be read: {(exc.strerror or 'failed').lower()}"
        ) from exc
    finally:
        file.close()


def _only_damaged(chunk: Chunk) -> bool:
    """Whether some header was good: then it is a journal, if a bad one."""
    return any(each.feed_session is not None for each in chunk.damage)
