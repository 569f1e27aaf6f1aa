"""The note of each connection's last frame: what a restart knows of one that was long silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_cases import frame

from kite_live_feed.journal import Journal
from kite_live_feed.journal.layout import RecordKind, list_segments
from kite_live_feed.journal.recovery import FILE_NAME, SEGMENTS_MAX, LastFrame
from kite_live_feed.options import JournalOptions

SMALL = JournalOptions(segment_bytes=4096, max_bytes=10**6, sync="never")


def test_a_connection_that_was_silent_for_many_segments_is_remembered(tmp_path: Path) -> None:
    """A refused token keeps a connection away while the others fill segment after segment."""
    with Journal(tmp_path, SMALL) as journal:
        journal.writer.append(RecordKind.FRAME, 2, b"x", 10, 500, 7)
        for number in range(200):
            journal.writer.append(*frame(number, 100))
        journal.cursor.advance(journal.writer.end)
        assert len(list_segments(tmp_path)) > SEGMENTS_MAX + 2
    for _ in range(2):  # and a run that hears nothing passes it on
        with Journal(tmp_path, SMALL) as journal:
            assert journal.recovery.frames[2] == LastFrame(500, 10, 7)
            assert journal.recovery.frames[0].first_seq == 199
            journal.writer.append(RecordKind.EVENT, 0, b"x", 99, 0, 0)


@pytest.mark.parametrize(
    "rubbish", [b"", b"\x00" * 40, b'{"2": [1, 2', b"[]", b'{"2": 3}', b'{"2": [3]}']
)
def test_a_damaged_note_of_last_frames_is_as_good_as_none(tmp_path: Path, rubbish: bytes) -> None:
    with Journal(tmp_path, SMALL) as journal:
        journal.writer.append(*frame(0))
    (tmp_path / FILE_NAME).write_bytes(rubbish)
    with Journal(tmp_path, SMALL) as journal:
        assert set(journal.recovery.frames) == {0}
        assert journal.recovery.note_damaged


def test_last_frames_that_cannot_be_noted_are_a_problem_until_they_are(tmp_path: Path) -> None:
    with Journal(tmp_path, SMALL) as journal:
        (tmp_path / f"{FILE_NAME}.new").mkdir()
        journal.writer.append(*frame(0))
        assert "last frames" in str(journal.writer.problem)
        (tmp_path / f"{FILE_NAME}.new").rmdir()
        journal.writer.sweep()
        assert journal.writer.problem is None


def test_a_connection_that_the_plan_no_longer_has_is_forgotten(tmp_path: Path) -> None:
    with Journal(tmp_path, SMALL) as journal:
        for shard in range(3):
            journal.writer.append(RecordKind.FRAME, shard, b"x", 10, 500, 0)
        journal.writer.keep_shards(1)
        assert set(journal.writer.last_frames) == {0}
        for number in range(60):  # its frame leaves the segments that recovery looks at
            journal.writer.append(*frame(number, 100))
    with Journal(tmp_path, SMALL) as journal:
        assert set(journal.recovery.frames) == {0}
