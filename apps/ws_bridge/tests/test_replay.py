"""Replay: journal segments again, at the right time, with the numbers that they had."""

from __future__ import annotations

from pathlib import Path

import pytest
from bridge_cases import SESSION, HandClock, Stage, frame

from kite_broker_zerodha.session.events import Disconnected
from kite_kafka_io.consumer import RecordReader, TickReader
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.journal import Position
from kite_live_feed.journal.layout import START, list_segments
from kite_live_feed.options import JournalOptions
from kite_live_feed.replay import ReplayCursor, ReplayReader
from kite_live_feed.topics import Topics
from kite_runtime.testing import CommandLine
from kite_ws_bridge.commands.options import COMPILING

OPTIONS = JournalOptions(segment_bytes=1 << 20, max_bytes=1 << 24, sync="never")
SECOND = 1_000_000_000


def record(folder: Path, frames: int, gap_s: float, packets: int = 1_500) -> Path:
    """A segment of frames of 15 kB, ``gap_s`` apart, with two feed events between them."""
    with Stage(folder, OPTIONS) as stage:
        stage.connect()
        for number in range(frames):
            stage.receive(frame(packets, first_price=number * packets))
            stage.clock.ns += int(gap_s * SECOND) - 1000
        stage.intake.on_event(Disconnected(0, stage.clock.ns, 1000, "over"))
    [segment] = list_segments(folder / "journal")
    return segment.path


@pytest.fixture()
def segment(tmp_path: Path) -> Path:
    return record(tmp_path, frames=10, gap_s=1.0)


def due(reader: ReplayReader) -> int:
    """How many frames come without waiting."""
    before = reader.frames
    while reader.read_chunk(0) is not None:
        pass
    return reader.frames - before


@pytest.mark.parametrize(("speed", "after_3_s"), [(1.0, 3), (2.0, 6), (10.0, 9), (0.5, 1)])
def test_frames_come_at_recorded_distances_divided_by_the_speed(
    segment: Path, speed: float, after_3_s: int
) -> None:
    clock = HandClock()
    reader = ReplayReader([segment], speed, clock)
    assert due(reader) == 1, "the first one is due at once"
    clock.ns += 3 * SECOND
    assert due(reader) == after_3_s
    clock.ns += 100 * SECOND
    due(reader)
    assert (reader.frames, reader.finished) == (10, True)


def test_speed_zero_does_not_wait(segment: Path) -> None:
    reader = ReplayReader([segment], 0, HandClock())
    assert due(reader) == 10
    assert reader.finished


def test_feed_events_are_left_out(segment: Path) -> None:
    reader = ReplayReader([segment], 0, HandClock())
    while (chunk := reader.read_chunk(0)) is not None:
        assert chunk.events == []


def test_after_a_failure_it_goes_on_behind_what_was_acknowledged(
    tmp_path: Path, segment: Path
) -> None:
    """Segments of two runs share numbers, so positions count files."""
    other = record(tmp_path / "other", frames=4, gap_s=1.0)
    clock = HandClock()
    reader = ReplayReader([segment, other], 1e9, clock)
    clock.ns += SECOND  # all of it is due
    cursor = ReplayCursor()
    assert cursor.position == START
    whole = []
    while (chunk := reader.read_chunk(0)) is not None:
        whole.append(chunk)
    assert len({chunk.position_after for chunk in whole}) == len(whole)
    assert whole[-1].position_after.segment == 2
    for done in (whole[0], whole[4], whole[-1]):
        cursor.advance(done.position_after)
        reader.seek(cursor.position)
        again = []
        while (chunk := reader.read_chunk(0)) is not None:
            again.append(chunk.position_after)
        left = [each.position_after for each in whole if each.position_after > cursor.position]
        assert again == left
    assert cursor.position > Position(1, 0)


def ticks(kafka: KafkaSettings, topic: str, repeats: bool) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    with TickReader(
        kafka, topic, start="earliest", until_end=True, duplicates=None if repeats else "new"
    ) as batches:
        for columns in batches:
            names = ("feed_session", "feed_seq", "last_price")
            rows = (columns.column(name).tolist() for name in names)
            found += zip(*rows, strict=True)
    return sorted(found)


def test_the_command_publishes_the_same_ticks_again(
    command_line: CommandLine,
    tmp_path: Path,
    mock_kafka: KafkaSettings,
    mock_topics: Topics,
) -> None:
    segment = record(tmp_path, frames=5, gap_s=0.5, packets=20)
    call = ("replay", str(segment), "--topic", mock_topics.ticks, "--speed", "0")
    for _ in range(2):
        shown = command_line(*call, "--bootstrap", mock_kafka.bootstrap)
        assert shown.code == 0, shown.stderr
        assert shown.stderr.startswith(COMPILING)
        assert "5 frames: 100 ticks and 0 dead letters acknowledged" in shown.stderr
    assert ticks(mock_kafka, mock_topics.ticks, repeats=False) == [
        (SESSION, seq, seq) for seq in range(100)
    ]
    assert len(ticks(mock_kafka, mock_topics.ticks, repeats=True)) == 200


def test_dead_letters_are_published_again_too_and_told(
    command_line: CommandLine,
    tmp_path: Path,
    mock_kafka: KafkaSettings,
    mock_topics: Topics,
) -> None:
    with Stage(tmp_path, OPTIONS) as stage:
        stage.connect(session=SESSION + 1600)
        stage.receive(frame(2) + b"rest")
    [segment] = list_segments(tmp_path / "journal")
    shown = command_line(
        *("replay", str(segment.path), "--topic", mock_topics.ticks),
        *("--bootstrap", mock_kafka.bootstrap, "--speed", "100"),
    )
    assert shown.code == 3
    assert "2 ticks and 1 dead letters acknowledged" in shown.stderr
    with RecordReader(mock_kafka, [Topics().dead], start="earliest", until_end=True) as records:
        letters = [each.dead_letter() for each in records]
    [letter] = [each for each in letters if each.feed_session == SESSION + 1600]
    assert (letter.feed_seq, letter.raw) == (2, b"rest")
