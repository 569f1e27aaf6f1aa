"""Appends records to the journal: one system call each, bounded on disk, never in the way.

Segments are allocated whole before they are written. When the disk is full or ``max_bytes`` is
reached, the oldest fully acknowledged segment is removed; when there is none, the append raises
JournalFull, and a later one tries again. Unacknowledged data are never removed. For events some
room is kept apart (``reserve``): they find a place when frames do not.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from kite_live_feed.errors import JournalFull, JournalUnusable, RecordTooLarge
from kite_live_feed.journal import losses, reserve
from kite_live_feed.journal.cursor import AckCursor
from kite_live_feed.journal.layout import (
    FILE_MODE,
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    START,
    Position,
    RecordKind,
    Segment,
    list_segments,
    lock_directory,
    pack_header,
    segment_path,
)
from kite_live_feed.journal.recovery import LastFrame, read_last_frames, recover, write_last_frames
from kite_live_feed.journal.segment_notes import SegmentNotes
from kite_live_feed.journal.syncer import Syncer
from kite_live_feed.options import JournalOptions

NS_PER_SECOND: Final = 1_000_000_000

RETRY_NS: Final = 100_000_000
"""A full journal looks for room at most this often, so that a full disk costs no CPU."""

EVENTS_BYTES: Final = 64 * 1024
"""The size of a segment that is made from the reserve."""
SMALLEST_SHARE: Final = 4
"""A last segment under the limit may be this part of the usual size."""

_AHEAD: Final = bytes(128 * 1024)
"""Zeros written ahead of the records. Page cache is made cheaply in large pieces and dearly in
small ones: this takes the write of a 5.5 kB frame from 5.8 to 2.5 µs on ext4 (measured)."""

_FRAME: Final = int(RecordKind.FRAME)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalWriter:
    """The one writer of a journal folder. Not thread-safe.

    ``full`` is why appends are refused, None when they are stored. ``cursor`` is the acknowledged
    position; the pump advances it. ``recovery`` is what the last run left, ``losses`` what it lost
    and did not report, and what this one loses. ``reserve`` is the room that only events may use.
    """

    def __init__(
        self,
        directory: Path,
        options: JournalOptions | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Lock the folder and find where the last run ended; the first append opens a new segment.

        Raises JournalLocked when another process has the folder, JournalUnusable when it cannot
        be made or read.
        """
        self.directory = directory
        self.options = options or JournalOptions()
        self.full: str | None = None
        self._now_ns = now_ns
        self._lock = lock_directory(directory)
        try:
            self.cursor = AckCursor(directory / "cursor")
            self.losses = losses.LossLedger(directory / losses.FILE_NAME)
            self.reserve = reserve.Reserve(directory, self.options.max_bytes)
        except OSError as exc:
            os.close(self._lock)
            raise JournalUnusable(directory, exc) from exc
        try:
            self._segments = list_segments(directory)
            self._sizes = {each.number: each.path.stat().st_size for each in self._segments}
            before = read_last_frames(directory)
            self.recovery, end = recover(self._segments, before)
            self._notes = SegmentNotes(directory)
            if self._segments:
                self._notes.take_over(self._sizes, self._segments[-1], end)
        except OSError as exc:
            self.cursor.close()
            os.close(self._lock)
            raise JournalUnusable(directory, exc) from exc
        # Above the acknowledged position too: a number that was used never comes back.
        last_number = max([self.cursor.position.segment, *self._sizes, self._notes.highest])
        self.first_segment = last_number + 1
        """Segments from this number on were written by this very object."""
        self._number = last_number
        self._offset = 0
        self._end = max((Position(*each) for each in self._sizes.items() if each[1]), default=START)
        self._capacity = 0
        self._ahead = 0
        self._stamp = 0
        self._fd = -1
        self._reserved = False
        """The live segment is from the reserve: it takes no frames."""
        self._last_frames: dict[int, tuple[int, int, int]] = dict(self.recovery.frames)
        self._notes_problem: str | None = None
        self._retry_from: tuple[int, Position] | None = None
        self._sweep_problem: str | None = None
        self._syncer = Syncer(directory, self.options.sync)
        self._always = self.options.sync == "always"

    @property
    def end(self) -> Position:
        """The end of the last record; everything before it can be read."""
        return self._end

    @property
    def problem(self) -> str | None:
        """What is wrong with the journal now, one sentence, None when nothing is."""
        return (
            self.full
            or self._syncer.problem
            or self.cursor.problem
            or self.losses.problem
            or self._sweep_problem
            or self._notes_problem
        )

    @property
    def disk_bytes(self) -> int:
        """What the segments take on the disk, with the space allocated ahead and the reserve."""
        live = self._capacity - self._offset if self._fd >= 0 else 0
        return sum(self._sizes.values()) + live + self.reserve.left

    @property
    def room_bytes(self) -> int:
        """Bytes of frames that can still be journaled: under the limit, in the live segment and on
        the disk.

        Acknowledged segments make room. 0 where the disk does not tell.
        """
        live = self._capacity - self._offset if self._fd >= 0 else 0
        under_limit = self.options.max_bytes - self.reserve.size - self.backlog_bytes
        try:
            disk = os.statvfs(self.directory)
        except OSError:
            return 0
        kept = self.disk_bytes - self.backlog_bytes - live - self.reserve.left
        return max(0, min(under_limit, live + kept + disk.f_bavail * disk.f_frsize))

    @property
    def backlog_bytes(self) -> int:
        segment, offset = self.cursor.position
        return sum(
            size - (min(offset, size) if number == segment else 0)
            for number, size in self._sizes.items()
            if number >= segment
        )

    def size_of(self, number: int) -> int | None:
        """Bytes written to a segment; None when it is not there (any more)."""
        return self._sizes.get(number)

    def append(
        self,
        kind: int,
        shard: int,
        payload: bytes,
        ts_recv_ns: int,
        feed_session: int,
        first_seq: int,
    ) -> Position:
        """Store one record; the position right behind it. It survives SIGKILL from here on.

        Raises JournalFull when it was not stored, RecordTooLarge for values that do not fit.
        """
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise RecordTooLarge(
                f"a payload of {len(payload)} bytes is above the journal's {PAYLOAD_BYTES_MAX}"
            )
        size = HEADER_BYTES + len(payload)
        cause: OSError | None = None
        for _ in range(2):  # a segment that refuses it is cut back and sealed: once more in another
            try:
                if self._offset + size > self._ahead:
                    self._make_room(size, kind, ts_recv_ns)
            except JournalFull as full:
                raise full from cause
            header = pack_header(
                kind, shard, payload, ts_recv_ns, feed_session, first_seq, self._stamp
            )
            try:
                written, cause = os.writev(self._fd, (header, payload)), None
            except OSError as exc:
                written, cause = -1, exc
            if written == size:
                break
            self._seal()
        else:
            raise self._refuse(cause) from cause
        if kind == _FRAME:
            self._last_frames[shard] = (feed_session, ts_recv_ns, first_seq)
        self._offset += size
        self._sizes[self._number] = self._offset
        self._end = end = Position(self._number, self._offset)
        if self._always:
            self._syncer.sync_now()
        return end

    @property
    def last_frames(self) -> Mapping[int, LastFrame]:
        """By shard the last frame that was journaled, by this run or one before."""
        return {shard: LastFrame(*last) for shard, last in self._last_frames.items()}

    def keep_shards(self, count: int) -> None:
        """Forget the last frames of the shards from ``count`` on: there are no such connections."""
        gone = [shard for shard in self._last_frames if shard >= count]
        for shard in gone:
            del self._last_frames[shard]
        if gone:
            self._write_notes()

    def sweep(self) -> int:
        """Remove acknowledged segments that are too old; how many. For a call every minute or so.

        Happens by itself at each new segment. A segment that cannot be removed is a ``problem``.
        """
        oldest_ns = self._now_ns() - int(self.options.retain_s * NS_PER_SECOND)
        removed, self._sweep_problem = 0, None
        try:
            while (segment := self._recyclable()) is not None:
                with suppress(FileNotFoundError):  # gone already: only forget it
                    if segment.path.stat().st_mtime_ns > oldest_ns:
                        break
                self._remove(segment)
                removed += 1
        except OSError as exc:
            self._sweep_problem = f"an old journal segment cannot be removed: {exc.strerror}"
        if removed or self._notes_problem is not None:
            self._write_notes()
        return removed

    def restore_folder(self) -> bool:
        """Make the folder again if somebody has deleted it; whether that was done.

        A lock that has lost its name would let a second bridge in, and what is appended to a
        segment without a name is gone with the process. A failure is a ``problem``.
        """
        if os.fstat(self._lock).st_nlink:
            return False
        self._seal()
        self._segments = [each for each in self._segments if each.path.exists()]
        self._sizes = {each.number: self._sizes[each.number] for each in self._segments}
        try:
            lock = lock_directory(self.directory)
            os.close(self._lock)
            self._lock = lock
            for file in (self.cursor, self.losses, self.reserve):
                file.reopen()
        except (OSError, JournalUnusable) as exc:
            self._sweep_problem = f"the journal folder cannot be made again: {exc}"
            return False
        self._write_notes()
        return True

    def close(self) -> None:
        """Seal the live segment, sync, release the folder; a second call does nothing."""
        if self._lock < 0:
            return
        self._seal()
        self._syncer.close()
        self.cursor.close()
        self.losses.close()
        self.reserve.close()
        os.close(self._lock)
        self._lock = -1

    def _make_room(self, size: int, kind: int, ts_ns: int) -> None:
        """See that the next ``size`` bytes, received then, can be written; raises JournalFull."""
        if self._offset + size > self._capacity or (self._reserved and kind == _FRAME):
            try:
                self._open_segment(size, ts_ns)
            except JournalFull:
                if kind == _FRAME or not self._open_reserved(size, ts_ns):
                    raise
        if self._reserved:
            return
        try:
            os.pwrite(self._fd, _AHEAD[: self._capacity - self._ahead], self._ahead)
        except OSError:
            # Only an acceleration: the record's own write decides and reports.
            self._ahead = self._capacity
        self._ahead = max(min(self._ahead + len(_AHEAD), self._capacity), self._offset + size)

    def _open_segment(self, need: int, ts_ns: int) -> None:
        """Seal the live segment and allocate the next; raises JournalFull.

        One from the reserve stays the live one until there is another.
        """
        now_ns = self._now_ns()
        if self._retry_from is not None:
            since_ns, acknowledged = self._retry_from
            if 0 <= now_ns - since_ns < RETRY_NS and acknowledged == self.cursor.position:
                raise JournalFull(self.full or "the journal is full")
        if not self._reserved:
            self._seal()
        self.sweep()
        try:
            self._find_room(need, ts_ns)
        except OSError as exc:
            raise self._refuse(exc) from exc
        self.reserve.restore()
        self.full = None
        self._retry_from = None

    def _open_reserved(self, need: int, ts_ns: int) -> bool:
        """Make a segment for events of what is kept for them; False when there is not enough."""
        for capacity in (max(need, min(EVENTS_BYTES, self.reserve.size // SMALLEST_SHARE)), need):
            if self.reserve.give(capacity):
                try:
                    self._create(capacity, ts_ns)
                except OSError:
                    return False
                self._reserved = True
                return True
        return False

    def _find_room(self, need: int, ts_ns: int) -> None:
        """Create the next segment, at the cost of acknowledged ones; the last one under the limit
        may be smaller than usual.

        Raises JournalFull and OSError.
        """
        usual = max(self.options.segment_bytes, need)
        least = max(self.options.segment_bytes // SMALLEST_SHARE, need)
        while self._under_limit < usual and self._recycle():
            pass
        if self._under_limit < least:
            raise self._refuse(None)
        while True:
            try:
                self._create(min(usual, self._under_limit), ts_ns)
                return
            except OSError as exc:
                if exc.errno not in _NO_ROOM or not self._recycle():
                    raise

    @property
    def _under_limit(self) -> int:
        """Bytes that the next segment for frames may take, the reserve being whole."""
        return self.options.max_bytes - self.disk_bytes - self.reserve.missing

    def _create(self, capacity: int, ts_ns: int) -> None:
        number = self._number + 1
        stamp = secrets.randbelow(0xFFFFFFFF) + 1
        path = segment_path(self.directory, number, stamp)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            os.posix_fallocate(fd, 0, capacity)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self._seal()
        self._fd, self._number, self._stamp = fd, number, stamp
        self._offset, self._capacity, self._ahead = 0, capacity, 0
        self._segments.append(Segment(number, stamp, path))
        self._sizes[number] = 0
        self._notes.open(number, ts_ns, capacity)
        self._syncer.adopt(fd)
        self._write_notes()

    def _write_notes(self) -> None:
        """What recovery will not find in the newest segment, or in those after it, and how long
        each segment is; notes of segments that are not needed any more go."""
        try:
            self._notes.save(self._sizes, self.cursor.position)
            write_last_frames(self.directory, self._last_frames)
        except OSError as exc:
            self._notes_problem = (
                f"the last frames of the connections cannot be noted ({exc.strerror}); after a "
                "restart the gap of one without recent frames may be wrong"
            )
        else:
            self._notes_problem = None

    def _seal(self) -> None:
        """Cut the live segment behind its last whole record; the syncer closes it."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._capacity = self._ahead = 0
        self._reserved = False
        self._notes.seal(self._number, self._offset)
        self._write_notes()  # before the cut: a file shorter than its note is reported as damaged
        try:
            os.ftruncate(fd, self._offset)
        except OSError as exc:
            # What is torn stays; the next run's reader sees it by its CRC.
            self.full = f"the journal cannot be cut back: {exc.strerror}"
        self._syncer.retire(fd)

    def _recyclable(self) -> Segment | None:
        """The oldest segment if it is sealed and everything in it is acknowledged."""
        if not self._segments or (len(self._segments) == 1 and self._fd >= 0):
            return None
        oldest = self._segments[0]
        acknowledged = self.cursor.position
        if (oldest.number, self._sizes[oldest.number]) <= acknowledged:
            return oldest
        return None

    def _recycle(self) -> bool:
        segment = self._recyclable()
        if segment is not None:
            self._remove(segment)
        return segment is not None

    def _remove(self, segment: Segment) -> None:
        with suppress(FileNotFoundError):  # gone already is as good
            # Whoever still has it open (the syncer, for a moment) would keep its space in use.
            os.truncate(segment.path, 0)
            segment.path.unlink()
        self._segments.pop(0)
        del self._sizes[segment.number]

    def _refuse(self, cause: OSError | None) -> JournalFull:
        self._retry_from = (self._now_ns(), self.cursor.position)
        if cause is None:
            self.full = (
                f"the journal {self.directory} is full: {self.backlog_bytes} bytes wait for Kafka "
                f"and the limit is {self.options.max_bytes}; frames are lost until Kafka takes "
                "them or WS_BRIDGE_JOURNAL_MAX_BYTES is raised"
            )
        else:
            self.full = (
                f"the journal {self.directory} cannot be written ({cause.strerror}); "
                "frames are lost until its disk has room and works"
            )
        return JournalFull(self.full)
