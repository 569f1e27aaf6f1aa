"""Whatever happens to a journal that Kafka has not seen: it is reported, and the rest is published.

Each case is what a run left, changed by somebody, and the run that finds it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import INFY, SESSION, START_NS, Stage, events_of, frame, frames_of

from kite_live_feed.journal import Chunk
from kite_live_feed.journal.layout import Segment, list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.journal.sequence import Sequence
from kite_live_feed.options import JournalOptions

OPTIONS = JournalOptions(segment_bytes=4096, max_bytes=1 << 20, sync="never")
FRAMES = 60


def left_by_a_run(folder: Path) -> list[Segment]:
    """About nine segments of frames of one session, sealed."""
    with Stage(folder, OPTIONS) as stage:
        stage.connect()
        for number in range(FRAMES):
            stage.receive(frame(40 + number % 30, number))
        stage.intake.announce_stop()
    return list_segments(folder / "journal")


def read_by_the_next(folder: Path) -> tuple[list[Chunk], list[dict[str, Any]], int]:
    """(what the next run reads, the events that it journals about it, damage counted)."""
    with Stage(folder, OPTIONS) as stage:
        stage.clock.ns = START_NS + 10**12
        stage.connect(session=SESSION + (1 << 40))
        stage.receive(frame(1))
        sequence, chunks, found = Sequence(), stage.chunks(), 0
        for chunk in chunks:
            for damage in chunk.damage + (sequence.breaks(chunk) if chunk.earlier else []):
                found += 1
                stage.intake.on_damage(damage)
        return chunks, events_of(stage.chunks()), found


def closed_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The gaps of shard 0."""
    return [each for each in events if each["type"] == "GAP_CLOSED" and each["shard"] == 0]


def truncate(path: Path, at: int, _: random.Random) -> None:
    os.truncate(path, at)


def zero(path: Path, at: int, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    length = min(len(content) - at, chance.randrange(1, 3000))
    content[at : at + length] = bytes(length)
    path.write_bytes(content)


def flip(path: Path, at: int, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def remove(path: Path, at: int, _: random.Random) -> None:
    path.unlink()


@pytest.mark.parametrize("how", [truncate, zero, flip, remove])
def test_each_change_is_reported_and_nothing_else_is_missing(
    tmp_path: Path, how: Callable[[Path, int, random.Random], None]
) -> None:
    """At 200 places: each frame is read once, or within the gap that reports it."""
    segments, chance = left_by_a_run(tmp_path / "whole"), random.Random(7)
    whole = [
        (row.ts_recv_ns, row.first_seq)
        for chunk in read_by_the_next_of_copy(tmp_path, "clean")[0]
        for row in chunk.frame_rows
    ]
    changed = 0
    while changed < 200:
        folder = tmp_path / "case"
        shutil.copytree(tmp_path / "whole", folder)
        segment = chance.choice(segments)
        path = folder / "journal" / segment.path.name
        before = path.read_bytes()
        at = chance.randrange(len(before))
        how(path, at, chance)
        if path.exists() and path.read_bytes() == before:
            shutil.rmtree(folder)  # these bytes were zero
            continue
        changed += 1
        chunks, events, found = read_by_the_next(folder)
        read = [(row.ts_recv_ns, row.first_seq) for c in chunks for row in c.frame_rows]
        where = f"{how.__name__} {segment.path.name} at {at}"
        assert found > 0, where
        gaps = [(each["from_ns"], each["to_ns"]) for each in closed_of(events)]
        assert gaps, where
        missing = [each for each in whole if each not in read]
        assert len(read) == len(set(read)), where
        assert [each for each in whole if each in read] == read, where
        for ts_ns, _ in missing:
            assert any(from_ns <= ts_ns <= to_ns for from_ns, to_ns in gaps), where
        shutil.rmtree(folder)


def read_by_the_next_of_copy(
    tmp_path: Path, name: str
) -> tuple[list[Chunk], list[dict[str, Any]], int]:
    shutil.copytree(tmp_path / "whole", tmp_path / name)
    return read_by_the_next(tmp_path / name)


def test_a_whole_journal_is_not_reported(tmp_path: Path) -> None:
    left_by_a_run(tmp_path / "whole")
    chunks, events, found = read_by_the_next_of_copy(tmp_path, "clean")
    assert (found, events) == (0, [])
    assert len(frames_of(chunks)) == FRAMES + 1


def test_a_partly_read_segment_that_is_removed_is_reported(tmp_path: Path) -> None:
    segments = left_by_a_run(tmp_path / "whole")
    with Stage(tmp_path / "whole", OPTIONS) as stage:
        chunk = stage.journal.reader.read_chunk(1)
        assert chunk is not None
        stage.journal.cursor.advance(chunk.position_after)
    segments[0].path.unlink()
    chunks, events, found = read_by_the_next(tmp_path / "whole")
    assert found == 1
    assert chunks[0].damage[0].cause == "journal segment 1 is missing"
    [closed] = closed_of(events)
    assert (closed["cause"], closed["tokens"]) == ("journal damaged", [INFY])


def test_a_segment_that_was_read_may_go(tmp_path: Path) -> None:
    segments = left_by_a_run(tmp_path / "whole")
    with Stage(tmp_path / "whole", OPTIONS) as stage:
        while (chunk := stage.journal.reader.read_chunk()) is not None:
            stage.journal.cursor.advance(chunk.position_after)
            if chunk.position_after.segment == 2:
                break
    segments[0].path.unlink()
    _, events, found = read_by_the_next(tmp_path / "whole")
    assert (found, events) == (0, [])


def test_of_a_journal_without_notes_a_cut_shows_by_the_numbers(tmp_path: Path) -> None:
    """The release before noted no lengths; a cut between two records leaves only good ones."""
    segments = left_by_a_run(tmp_path / "whole")
    (tmp_path / "whole" / "journal" / "segments.json").unlink()
    [chunk] = read_file(segments[2].path)
    os.truncate(segments[2].path, chunk.rows[1].end)
    _, events, found = read_by_the_next(tmp_path / "whole")
    assert found == 1
    [closed] = closed_of(events)
    assert "of a session are missing" in str(closed["detail"])
    assert closed["from_ns"] == chunk.rows[1].ts_recv_ns


@pytest.mark.parametrize("at", [0, 1, 700, 1300])
def test_a_segment_that_a_kill_left_open_and_somebody_cut_is_reported(
    tmp_path: Path, at: int
) -> None:
    """It ends in zeros, as far as it was made; shorter, somebody has cut it."""
    with Stage(tmp_path / "killed", OPTIONS) as stage:
        stage.connect()
        for number in range(4):
            stage.receive(frame(40, number))
        shutil.copytree(tmp_path / "killed", tmp_path / "whole")
    chunks, _, found = read_by_the_next_of_copy(tmp_path, "clean")
    assert (found, len(frames_of(chunks))) == (0, 5)
    [segment] = list_segments(tmp_path / "whole" / "journal")
    os.truncate(segment.path, at)
    chunks, events, found = read_by_the_next(tmp_path / "whole")
    assert found == 1
    [closed] = closed_of(events)
    assert closed["to_ns"] >= START_NS + 4_000
    assert len(frames_of(chunks)) == at // 500 + 1
