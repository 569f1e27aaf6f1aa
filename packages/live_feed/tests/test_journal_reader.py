"""The reader: from any position, over missing files, on single files; and what recovery tells."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from journal_cases import Record, found_in, frame, position_behind, segment_file

from kite_live_feed.errors import NotAJournalFile
from kite_live_feed.journal import Journal, JournalReader, JournalWriter, Position
from kite_live_feed.journal.layout import START, RecordKind, list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.journal.recovery import LastFrame
from kite_live_feed.options import JournalOptions

SMALL = JournalOptions(segment_bytes=4096, max_bytes=10**6, sync="never")


def written(folder: Path, count: int) -> list[Position]:
    with Journal(folder, SMALL) as journal:
        return [journal.writer.append(*frame(number)) for number in range(count)]


def test_a_chunk_has_what_the_decoder_needs(tmp_path: Path) -> None:
    with Journal(tmp_path, SMALL) as journal:
        journal.writer.append(1, 2, b"frame", 10, 20, 30)
        journal.writer.append(2, 1, b"event", 11, 0, 0)
        journal.writer.append(1, 0, b"next", 12, 21, 0)
        chunk = journal.reader.read_chunk()
    assert chunk is not None
    assert chunk.frames.dtype == np.int64
    assert chunk.frames.flags.c_contiguous
    assert chunk.frames.tolist() == [[48, 53, 10, 20, 30], [154, 158, 12, 21, 0]]
    assert chunk.events == [b"event"]
    assert [chunk.payload(row) for row in chunk.rows] == [b"frame", b"event", b"next"]
    assert chunk.position == Position(1, 0)
    assert position_behind(chunk, 0) == Position(1, 53)
    assert chunk.position_after == Position(1, 158) == position_behind(chunk, 2)


def test_the_next_run_starts_at_what_is_not_acknowledged(tmp_path: Path) -> None:
    positions = written(tmp_path, 100)
    with Journal(tmp_path, SMALL) as journal:
        journal.cursor.advance(positions[41])
    with Journal(tmp_path, SMALL) as journal:
        assert journal.cursor.position == positions[41]
        journal.writer.append(*frame(100))
        found = found_in(iter(journal.reader.read_chunk, None))
        assert found == [frame(number) for number in range(42, 101)]
        journal.reader.seek(positions[90])
        assert found_in(iter(journal.reader.read_chunk, None))[0] == frame(91)
        assert journal.writer.end.segment > positions[-1].segment


def test_everything_acknowledged_leaves_nothing(tmp_path: Path) -> None:
    positions = written(tmp_path, 30)
    with Journal(tmp_path, SMALL) as journal:
        journal.cursor.advance(positions[-1])
    with Journal(tmp_path, SMALL) as journal:
        assert journal.writer.end == positions[-1] == journal.cursor.position
        assert journal.reader.read_chunk() is None
        assert journal.writer.backlog_bytes == 0


@pytest.mark.parametrize("damage", ["removed", "emptied"])
def test_data_gone_before_the_position(tmp_path: Path, damage: str) -> None:
    """After a power failure the position may lie beyond what the disk kept: no loss, no repeat."""
    positions = written(tmp_path, 10)
    with Journal(tmp_path, SMALL) as journal:
        journal.cursor.advance(positions[-1])
    path = list_segments(tmp_path)[-1].path
    if damage == "removed":
        path.unlink()
    else:
        os.truncate(path, 0)
    with Journal(tmp_path, SMALL) as journal:
        assert journal.reader.read_chunk() is None
        assert journal.writer.append(*frame(10)) > positions[-1]
        chunks = list(iter(journal.reader.read_chunk, None))
    assert found_in(chunks) == [frame(10)]
    assert not any(chunk.damage for chunk in chunks)


def test_missing_segments_are_told(tmp_path: Path) -> None:
    written(tmp_path, 100)
    segments = list_segments(tmp_path)
    for segment in segments[1:3]:
        segment.path.unlink()
    with JournalReader(tmp_path, Position(1, 0)) as reader:
        chunks = list(iter(reader.read_chunk, None))
    causes = [damage.cause for chunk in chunks for damage in chunk.damage]
    assert causes == ["journal segments 2 to 3 are missing"]
    seqs = [record.first_seq for record in found_in(chunks)]
    assert seqs == [*range(27), *range(81, 100)]


def test_retention_before_the_first_position_is_no_damage(tmp_path: Path) -> None:
    written(tmp_path, 60)
    with Journal(tmp_path, replace(SMALL, retain_s=0.0), lambda: 10**19) as journal:
        journal.cursor.advance(Position(2, 0))
        journal.writer.sweep()
    with JournalReader(tmp_path, START) as reader:
        chunks = list(iter(reader.read_chunk, None))
    assert not any(chunk.damage for chunk in chunks)
    assert found_in(chunks)[0].first_seq == 27


def test_a_file_cut_under_the_reader_is_told(tmp_path: Path) -> None:
    written(tmp_path, 20)
    path = list_segments(tmp_path)[0].path
    with JournalReader(tmp_path) as reader:
        first = reader.read_chunk(600)
        assert first is not None
        os.truncate(path, 1000)
        rest = list(iter(reader.read_chunk, None))
    assert found_in([first, *rest]) == [frame(number) for number in range(6)]
    assert "cut short" in [damage.cause for chunk in rest for damage in chunk.damage][-1]


def test_an_empty_or_new_folder_has_nothing(tmp_path: Path) -> None:
    with JournalReader(tmp_path) as reader:
        assert reader.read_chunk() is None
    with Journal(tmp_path / "new", SMALL) as journal:
        assert journal.reader.read_chunk() is None
        assert journal.writer.end == START


def test_a_file_under_any_name(tmp_path: Path) -> None:
    path = segment_file(tmp_path, [frame(n) for n in range(9)], tail=bytes(4000))
    other = path.rename(tmp_path / "capture.bin")
    assert found_in(read_file(other, 300)) == [frame(n) for n in range(9)]


@pytest.mark.parametrize("content", [b"no journal at all, but text " * 10, b"\x01", b"KJR1" * 30])
def test_what_is_no_journal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(NotAJournalFile, match="is no journal segment") as caught:
        list(read_file(path))
    assert caught.value.exit_code == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotAJournalFile, match="no such file"):
        list(read_file(tmp_path / "none"))
    with pytest.raises(NotAJournalFile, match="is a directory"):
        list(read_file(tmp_path))
    (tmp_path / "empty").write_bytes(b"")
    assert list(read_file(tmp_path / "empty")) == []


def test_recovery_tells_the_last_frame_of_each_shard(tmp_path: Path) -> None:
    with Journal(tmp_path, SMALL) as journal:
        assert journal.recovery.frames == {}
        assert journal.recovery.last_session is None
        for shard, session, ns in ((0, 500, 10), (1, 501, 11), (0, 500, 12), (1, 600, 13)):
            journal.writer.append(RecordKind.FRAME, shard, b"x", ns, session, ns)
        journal.writer.append(RecordKind.EVENT, 2, b"x", 99, 0, 0)
    with Journal(tmp_path, SMALL) as journal:
        assert journal.recovery.frames == {0: LastFrame(500, 12, 12), 1: LastFrame(600, 13, 13)}
        assert journal.recovery.last_session == 600
        assert journal.recovery.last_ns == 99
        journal.writer.append(RecordKind.EVENT, 0, b"x", 100, 0, 0)
    with Journal(tmp_path, SMALL) as journal:
        assert set(journal.recovery.frames) == {0, 1}
        assert journal.recovery.last_ns == 100


def test_an_empty_last_segment_hides_nothing(tmp_path: Path) -> None:
    """A run that was killed before its first record leaves a segment of zeros."""
    positions = written(tmp_path, 5)
    (tmp_path / "000000000002-00000001.journal").write_bytes(bytes(4096))
    with Journal(tmp_path, SMALL) as journal:
        assert journal.recovery.frames[0].first_seq == 4
        assert journal.writer.end == positions[-1]
        found = found_in(iter(journal.reader.read_chunk, None))
        assert found == [frame(number) for number in range(5)]
        assert journal.writer.append(*frame(5)).segment == 3
        assert found_in(iter(journal.reader.read_chunk, None)) == [frame(5)]
    assert (tmp_path / "000000000002-00000001.journal").stat().st_size == 0


def test_unused_space_in_an_older_segment_is_no_damage(tmp_path: Path) -> None:
    written(tmp_path, 40)
    first = list_segments(tmp_path)[0].path
    first.write_bytes(first.read_bytes() + bytes(500))
    with Journal(tmp_path, SMALL) as journal:
        chunks = list(iter(journal.reader.read_chunk, None))
    assert found_in(chunks) == [frame(number) for number in range(40)]
    assert not any(chunk.damage for chunk in chunks)


def test_what_another_process_wrote_is_verified(tmp_path: Path) -> None:
    written(tmp_path, 3)
    path = list_segments(tmp_path)[0].path
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    writer = JournalWriter(tmp_path, SMALL)
    with JournalReader(tmp_path, START, writer) as reader:
        chunk = reader.read_chunk()
    writer.close()
    assert chunk is not None
    assert len(chunk.damage) == 1
    assert found_in([chunk]) == [frame(1), frame(2)]


def test_values_of_a_record_stay_signed(tmp_path: Path) -> None:
    record = Record(1, 255, b"", -(2**63), 2**63 - 1, -1)
    path = segment_file(tmp_path, [record])
    assert found_in(read_file(path)) == [record]
