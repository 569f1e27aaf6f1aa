"""Reads the journal in order, a chunk at a time, behind a live writer or over what a crash left."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from kite_live_feed.errors import NotAJournalFile
from kite_live_feed.journal import layout
from kite_live_feed.journal.layout import (
    HEADER_BYTES,
    Position,
    RecordKind,
    Segment,
    list_segments,
    segment_at,
    used_bytes,
)
from kite_live_feed.journal.scan import (
    LOST,
    Bytes,
    Chunk,
    Damage,
    Row,
    make_chunk,
    missing_chunk,
    scan,
)
from kite_live_feed.journal.segment_notes import SegmentNote, read_notes

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
    """Nothing is appended to it any more."""


class SegmentReader:
    """One open segment file. ``extent`` is that of a file at rest."""

    def __init__(
        self, segment: Segment, verify: bool = True, note: SegmentNote | None = None
    ) -> None:
        """Open it. ``verify`` checks each payload's CRC, ``note`` says what it must hold. Raises
        OSError."""
        self.segment = segment
        self.verifies = verify
        self._fd = os.open(segment.path, os.O_RDONLY)
        try:
            size = os.fstat(self._fd).st_size
            if note is not None and (note.sealed or size < note.end):
                size = limit = note.end
            else:
                limit = used_bytes(self._fd, size) if verify else size
        except OSError:
            os.close(self._fd)
            raise
        self.extent = Extent(size, limit, True)

    def close(self) -> None:
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
            rows, at = scan(
                buffer.data, 0, got, limit, final, self.segment.stamp, CHUNK_RECORDS_MAX
            )
            if rows or got < want:
                break
            # One record larger than the buffer: its header is good, else it would be a row.
            want = HEADER_BYTES + int.from_bytes(buffer[8:12].tobytes(), "little")
        data_end = extent.limit - offset if extent.final else sys.maxsize
        records, damage, torn = self._judge(buffer.data, rows, data_end)
        if at < limit and len(rows) < CHUNK_RECORDS_MAX and (final or got < length):
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

    def _judge(
        self, view: memoryview, rows: list[Row], data_end: int
    ) -> tuple[list[Row], list[Damage], int]:
        """Split the rows into good records, damage and the bytes of a torn last record."""
        good: list[Row] = []
        damage: list[Damage] = []
        torn = 0
        for row in rows:
            start, end, kind = row.start, row.end, row.kind
            if kind == LOST and end == data_end and end - start < HEADER_BYTES:
                torn = end - start
            elif kind == LOST:
                damage.append(Damage(start, end, "no valid journal record in these bytes"))
            elif not self.verifies:
                good.append(row)
            elif zlib.crc32(view[start:end]) != row.payload_crc:
                if end > data_end:
                    torn = data_end - start + HEADER_BYTES
                else:
                    damage.append(_of_record(row, "the payload's checksum is wrong"))
            elif kind not in _KINDS:
                damage.append(_of_record(row, f"journal record kind {kind} is unknown"))
            else:
                good.append(row)
        return good, damage, torn


def _of_record(row: Row, cause: str) -> Damage:
    about = (row.shard, row.ts_recv_ns, row.feed_session, row.first_seq)
    return Damage(row.start, row.end, cause, *about)


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
        self, directory: Path, position: Position = layout.START, live: LiveEnd | None = None
    ) -> None:
        self._directory = directory
        self._position = Position(*position)
        self._live = live
        self._file: SegmentReader | None = None
        self._notes: dict[int, SegmentNote] = {}
        """What the segments must hold, as noted when the newest of them was opened."""
        self._last_ns = 0
        """Receive time of the last good record, 0 before there was one."""

    @property
    def position(self) -> Position:
        return self._position

    def seek(self, position: Position) -> None:
        self.close()
        self._position = Position(*position)
        self._last_ns = 0

    def read_chunk(self, max_bytes: int = CHUNK_BYTES) -> Chunk | None:
        """The next records, about ``max_bytes`` and at most 4096 of them; None when there is none.

        A record larger than ``max_bytes`` comes whole. Damage is part of the chunk, never raised;
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
                if self._file.verifies:
                    chunk = replace(chunk, earlier=True)
                return self._bounded(chunk, self._file.segment.number)
            if not extent.final or not self._has_next(self._file):
                return None
            self._leave(self._file)
        return None

    def close(self) -> None:
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
        try:
            segments = list_segments(self._directory)
        except FileNotFoundError:
            segments = []
        self._notes = read_notes(self._directory)
        found = next((each for each in segments if each.number >= number), None)
        if found is None and self._live is not None:
            return None  # the next segment that is written shows what is missing before it
        last = max(self._notes, default=0) if found is None else found.number - 1
        first = number if offset < self._end_of(number) else number + 1
        if number == 0:
            first = min(self._notes, default=last + 1)
        if first <= last:
            before, self._position = self._position, Position(last + 1, 0)
            return self._bounded(missing_chunk(first, last, before, self._position), first)
        if found is None:
            return None
        if found.number > number:
            self._position = Position(found.number, 0)
        verify = self._live is None or found.number < self._live.first_segment
        self._file = SegmentReader(found, verify, self._notes.get(found.number))
        return None

    def _end_of(self, number: int) -> int:
        """How far the segment of that number had to be read; 0 when nobody knows any more."""
        size = None if self._live is None else self._live.size_of(number)
        note = self._notes.get(number)
        return size if size is not None else 0 if note is None else note.end

    def _bounded(self, chunk: Chunk, first: int) -> Chunk:
        """Give what is damaged the times between which it was received; ``first`` is the segment
        in which it began."""
        rows, after = chunk.rows, max(first + 1, chunk.position_after.segment)
        for place, each in enumerate(chunk.damage):
            before = [row.ts_recv_ns for row in rows if row.end <= each.start]
            behind = [row.ts_recv_ns for row in rows if row.start >= each.end]
            from_ns = before[-1] if before else self._last_ns or self._began(first)
            to_ns = behind[0] if behind else self._began(after)
            chunk.damage[place] = each._replace(from_ns=from_ns or None, to_ns=to_ns or None)
        if rows:
            self._last_ns = rows[-1].ts_recv_ns
        return chunk

    def _began(self, number: int) -> int:
        note = self._notes.get(number)
        return 0 if note is None else note.began_ns

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
    offset, found = 0, False
    try:
        segment = segment_at(path)
        note = read_notes(path.parent).get(segment.number)
        with closing(SegmentReader(segment, note=note)) as file:
            while offset < file.extent.limit:
                chunk = file.read(offset, max_bytes, file.extent)
                if not found and not chunk.rows and not _only_damaged(chunk):
                    raise NotAJournalFile(f"{path} is no journal segment: give a *.journal file")
                found = True
                offset = chunk.position_after.offset
                yield chunk
    except OSError as exc:
        reason = (exc.strerror or "failed").lower()
        raise NotAJournalFile(f"{path} cannot be read: {reason}") from exc


def _only_damaged(chunk: Chunk) -> bool:
    """Whether some header was good: then it is a journal, if a bad one."""
    return any(each.feed_session is not None for each in chunk.damage)
