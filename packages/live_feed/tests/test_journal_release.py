"""A journal that ws_bridge 0.3.0 wrote and a SIGKILL ended is read by this release.

Its code wrote ``journal_of_0_3_0`` with segments of 4 KiB: a frame of shard 1 and an event, twelve
frames of shard 0, an event, a frame of the next session of shard 0, and five bytes of a record that
was cut off. The first six records were acknowledged.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from journal_cases import Record, found_in

from kite_live_feed.journal import Journal, Position
from kite_live_feed.journal.layout import RecordKind, list_segments
from kite_live_feed.journal.recovery import LastFrame, read_last_frames
from kite_live_feed.options import JournalOptions
from kite_live_feed.replay import ReplayReader
from kite_runtime.clock import SystemClock

RELEASED = Path(__file__).with_name("journal_of_0_3_0")
START_NS = 1_795_000_000_000_000_000
OPTIONS = JournalOptions(segment_bytes=4096, max_bytes=1 << 20, sync="never")
ACKNOWLEDGED = 6


def written() -> list[Record]:
    """Every record in the order in which it was written."""
    event, frame = int(RecordKind.EVENT), int(RecordKind.FRAME)
    records = [
        (frame, 1, b"frame of shard 1, " + bytes(range(64)), START_NS + 1, 7),
        (event, 0, b'{"type":"CONNECTED","shard":0}', 0, 0),
    ]
    for number in range(12):
        payload = b"%02d " % number + bytes([number]) * (500 + number)
        records.append((frame, 0, payload, START_NS, number * 10))
    records.append((event, 0, b'{"type":"DISCONNECTED","shard":0}', 0, 0))
    records.append((frame, 0, b"the last whole frame", START_NS + 16, 0))
    return [
        Record(kind, shard, payload, START_NS + 1000 * number, session, first_seq)
        for number, (kind, shard, payload, session, first_seq) in enumerate(records, start=1)
    ]


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(RELEASED, tmp_path / "journal")


def test_a_run_goes_on_behind_what_was_acknowledged(folder: Path) -> None:
    with Journal(folder, OPTIONS, lambda: START_NS) as journal:
        assert journal.cursor.found
        assert journal.cursor.position == Position(1, 2418)
        chunks = []
        while (chunk := journal.reader.read_chunk(1 << 20)) is not None:
            chunks.append(chunk)
        assert found_in(chunks) == written()[ACKNOWLEDGED:]
        assert [each for chunk in chunks for each in chunk.damage] == []
        assert sum(chunk.torn_bytes for chunk in chunks) == 5
        new = Record(int(RecordKind.FRAME), 0, b"of this release", START_NS, START_NS + 32, 0)
        journal.writer.append(*new)
        following = journal.reader.read_chunk(1 << 20)
        assert following is not None
        assert found_in([following]) == [new]
        assert following.position_after.segment == 3


def test_recovery_finds_the_last_frame_of_each_connection(folder: Path) -> None:
    """Shard 1 is only in the note that was written beside the segments."""
    with Journal(folder, OPTIONS, lambda: START_NS) as journal:
        found = journal.recovery
    last = written()[-1]
    assert found.frames == {
        0: LastFrame(START_NS + 16, last.ts_recv_ns, 0),
        1: LastFrame(START_NS + 1, START_NS + 1000, 7),
    }
    assert (found.last_ns, found.last_session) == (last.ts_recv_ns, START_NS + 16)
    assert (found.torn_bytes, found.note_damaged) == (5, False)


def test_the_note_of_last_frames_is_that_of_the_newest_segments_beginning() -> None:
    before = written()[8]
    assert read_last_frames(RELEASED) == {
        0: LastFrame(START_NS, before.ts_recv_ns, before.first_seq),
        1: LastFrame(START_NS + 1, START_NS + 1000, 7),
    }


def test_its_segments_are_replayed_in_order() -> None:
    files = [segment.path for segment in list_segments(RELEASED)]
    reader, chunks = ReplayReader(files, 0, SystemClock()), []
    while (chunk := reader.read_chunk(1 << 20)) is not None:
        chunks.append(chunk)
    assert found_in(chunks) == written()
    assert reader.frames == 14
