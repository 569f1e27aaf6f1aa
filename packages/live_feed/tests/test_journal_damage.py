"""A segment that was cut at any byte, or in which any byte is wrong: the rest is recovered."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_cases import STAMP, Record, found_in, frame, pack_record, records, segment_file

from kite_live_feed.journal import JournalReader, JournalWriter
from kite_live_feed.journal.layout import HEADER_BYTES, list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.journal.scan import Damage
from kite_live_feed.journal.segment_notes import SegmentNote, write_notes

CHUNK_SIZES = st.sampled_from([1, 64, 200, 4096])


def ends_of(wanted: list[Record]) -> list[int]:
    ends, end = [], 0
    for record in wanted:
        end += HEADER_BYTES + len(record.payload)
        ends.append(end)
    return ends


def is_subsequence(some: list[Record], of: list[Record]) -> bool:
    rest = iter(of)
    return all(any(each == other for other in rest) for each in some)


@settings(deadline=None, max_examples=25)
@given(st.lists(records(), min_size=1, max_size=6), CHUNK_SIZES, st.integers(0, 300))
def test_cut_at_every_length(wanted: list[Record], chunk_bytes: int, zeros: int) -> None:
    """Whatever the length: every complete record, no other, and no damage reported."""
    with TemporaryDirectory() as folder:
        path = segment_file(Path(folder), wanted)
        data = path.read_bytes()
        ends = ends_of(wanted)
        for length in range(len(data) + 1):
            # A crash leaves the space that was allocated ahead, or a shorter file.
            path.write_bytes(data[:length] + bytes(zeros))
            with JournalReader(Path(folder)) as reader:
                chunks = list(iter(lambda: reader.read_chunk(chunk_bytes), None))
            whole = sum(end <= length for end in ends)
            found = found_in(chunks)
            # Zeros may complete a record that ended in zeros; nothing else may be added.
            assert found[:whole] == wanted[:whole]
            assert found == wanted[: len(found)]
            assert sum(len(chunk.damage) for chunk in chunks) == 0
            if not zeros:
                assert len(found) == whole
                before = ends[whole - 1] if whole else 0
                # Zeros at the end of what is torn look like space that was never used.
                torn = len(data[before:length].rstrip(b"\0"))
                assert sum(chunk.torn_bytes for chunk in chunks) == torn


@settings(deadline=None, max_examples=200)
@given(st.lists(records(), min_size=1, max_size=8), CHUNK_SIZES, st.data())
def test_any_wrong_byte_costs_one_record_at_most(
    wanted: list[Record], chunk_bytes: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = segment_file(Path(folder), wanted)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with JournalReader(Path(folder)) as reader:
            chunks = list(iter(lambda: reader.read_chunk(chunk_bytes), None))
        hit = next(n for n, end in enumerate(ends_of(wanted)) if at < end)
        assert found_in(chunks) == wanted[:hit] + wanted[hit + 1 :]
        told = sum(len(chunk.damage) + bool(chunk.torn_bytes) for chunk in chunks)
        assert told > 0


@settings(deadline=None, max_examples=100)
@given(st.lists(records(), max_size=8), st.binary(min_size=1, max_size=200), st.data())
def test_rubbish_between_records(wanted: list[Record], rubbish: bytes, data: st.DataObject) -> None:
    """Overwritten ranges of any length: what is intact comes back, nothing is invented."""
    with TemporaryDirectory() as folder:
        path = segment_file(Path(folder), wanted)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content)))
        content[at : at + len(rubbish)] = rubbish
        path.write_bytes(content)
        with JournalReader(Path(folder)) as reader:
            found = found_in(iter(lambda: reader.read_chunk(256), None))
        starts = [0, *ends_of(wanted)]
        intact = [
            record
            for record, start, end in zip(wanted, starts, starts[1:], strict=False)
            if end <= at or start >= at + len(rubbish)
        ]
        assert is_subsequence(intact, found)
        assert not Counter(found) - Counter(wanted)


def test_a_payload_with_a_wrong_byte_keeps_its_name(tmp_path: Path) -> None:
    wanted = [frame(n) for n in range(3)]
    path = segment_file(tmp_path, wanted)
    content = bytearray(path.read_bytes())
    content[148 + HEADER_BYTES + 5] ^= 1
    path.write_bytes(content)
    (chunk,) = read_file(path)
    assert found_in([chunk]) == [wanted[0], wanted[2]]
    assert chunk.frames.tolist() == [list(row[:5]) for row in chunk.rows]
    (damage,) = chunk.damage
    assert damage == Damage(196, 296, "the payload's checksum is wrong", 0, 1001, 77, 1)
    assert chunk.position_after.offset == 444


def test_a_header_with_a_wrong_byte_costs_its_record(tmp_path: Path) -> None:
    wanted = [frame(n) for n in range(3)]
    path = segment_file(tmp_path, wanted)
    content = bytearray(path.read_bytes())
    content[150] ^= 1
    path.write_bytes(content)
    (chunk,) = read_file(path)
    assert [tuple(damage)[:2] for damage in chunk.damage] == [(148, 296)]
    assert chunk.damage[0].feed_session is None


def test_a_record_within_a_payload_is_never_taken_for_one(tmp_path: Path) -> None:
    """Damage to the header around it makes the search run over a quoted record."""
    quoted = pack_record(Record(1, 0, b"quoted", 1, 2, 3), STAMP + 1)
    wanted = [Record(2, 0, quoted, 5, 6, 7), frame(1)]
    path = segment_file(tmp_path, wanted)
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    path.write_bytes(content)
    (chunk,) = read_file(path)
    assert found_in([chunk]) == wanted[1:]


def test_an_unknown_kind_is_damage(tmp_path: Path) -> None:
    path = segment_file(tmp_path, [frame(0)._replace(kind=9), frame(1)])
    (chunk,) = read_file(path)
    assert found_in([chunk]) == [frame(1)]
    assert chunk.damage[0].cause == "journal record kind 9 is unknown"


@pytest.mark.parametrize("cut", [1, 50, 99, 100, 147])
def test_the_next_run_goes_on_behind_a_torn_record(tmp_path: Path, cut: int) -> None:
    writer = JournalWriter(tmp_path)
    for number in range(4):
        writer.append(*frame(number))
    writer.close()
    (segment,) = list_segments(tmp_path)
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[: len(data) - cut] + bytes(5000))
    # What a killed process leaves: a segment that nobody has sealed.
    write_notes(tmp_path, {1: SegmentNote(1_000, len(data) - cut + 5000, sealed=False)})
    writer = JournalWriter(tmp_path)
    assert writer.recovery.torn_bytes == 148 - cut
    assert writer.recovery.frames[0].first_seq == 2
    assert segment.path.stat().st_size == len(data) - cut
    writer.append(*frame(9))
    with JournalReader(tmp_path, writer.cursor.position, writer) as reader:
        chunks = list(iter(reader.read_chunk, None))
    assert found_in(chunks) == [frame(0), frame(1), frame(2), frame(9)]
    assert sum(chunk.torn_bytes for chunk in chunks) == 148 - cut
    assert reader.position == writer.end
    writer.close()
