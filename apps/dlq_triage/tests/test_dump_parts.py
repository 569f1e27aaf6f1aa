"""The parts of a dump: places, and files of whole lines."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from kite_dead_letters.dump import DumpBusy, DumpFailed, DumpFile
from kite_dlq_triage.commands.options import span_of
from kite_kafka_io.spans import Span
from kite_runtime.errors import EXIT_TRY_LATER, UsageError, exit_code_of

NOW_NS = 1_795_000_000_000_000_000
HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("12", None, Span(from_offset=12)),
        (None, "0", Span(until_offset=0)),
        ("2h", "30m", Span(from_ns=NOW_NS - 2 * HOUR_NS, until_ns=NOW_NS - HOUR_NS // 2)),
        ("1970-01-01T05:30:01+05:30", None, Span(from_ns=10**9)),
        ("1970-01-01T00:00:01.000123", None, Span(from_ns=1_000_123_000)),
        ("1970-01-02", None, Span(from_ns=86_400 * 10**9)),
        ("9999w", None, Span(from_ns=0)),
    ],
)
def test_places(start: str | None, end: str | None, span: Span) -> None:
    assert span_of(None, start, end, topics=1, now_ns=NOW_NS) == span


@pytest.mark.parametrize("text", ["soon", "-1", "1y", "2026-13-01", "٣", "1" * 19, ""])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--from .* is not an offset"):
        span_of(None, text, None, topics=1, now_ns=NOW_NS)


def test_an_offset_needs_one_topic() -> None:
    with pytest.raises(UsageError, match="one topic"):
        span_of(None, "5", None, topics=2, now_ns=NOW_NS)
    with pytest.raises(UsageError, match="from 0"):
        span_of([-1], None, None, topics=1, now_ns=NOW_NS)


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("older\n")
    with DumpFile(str(target)) as out:
        out.write([b"1\n", b"2\n"])
        assert target.read_text() == "older\n"
        out.write([b"3\n"])
        out.finish()
    assert target.read_text() == "1\n2\n3\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_second_dump_into_a_file_is_refused_and_the_first_is_whole(tmp_path: Path) -> None:
    target = str(tmp_path / "out.jsonl")
    with DumpFile(target) as first:
        first.write([b"1\n"])
        with pytest.raises(DumpBusy, match="another dump writes to .*out.jsonl.part") as caught:
            DumpFile(target)
        assert exit_code_of(caught.value) == EXIT_TRY_LATER
        with DumpFile(str(tmp_path / "other.jsonl")) as other:
            other.finish()
        first.write([b"2\n"])
        first.finish()
    assert (tmp_path / "out.jsonl").read_text() == "1\n2\n"
    with DumpFile(target) as next_one:
        next_one.write([b"3\n"])
        next_one.finish()
    assert (tmp_path / "out.jsonl").read_text() == "3\n"


def test_a_dump_that_waited_for_the_lock_does_not_write_into_a_finished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DumpFile(str(tmp_path / "out.jsonl"))
    first.write([b"1\n"])
    lock, waiting = fcntl.flock, [first]

    def finish_before(descriptor: int, how: int) -> None:
        if waiting:
            waiting.pop().finish()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", finish_before)
    with DumpFile(str(tmp_path / "out.jsonl")) as second:
        second.write([b"2\n"])
        assert (tmp_path / "out.jsonl").read_text() == "1\n"


@pytest.mark.parametrize("left_over", ["", "what a dump left that was killed\n"])
def test_a_dump_is_private_whatever_the_umask(tmp_path: Path, left_over: str) -> None:
    part = tmp_path / "out.jsonl.part"
    if left_over:
        part.write_text(left_over)
        part.chmod(0o600)
    before = os.umask(0)
    try:
        with DumpFile(str(tmp_path / "out.jsonl")) as out:
            assert part.read_bytes() == b""
            out.finish()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600


def test_a_full_disk_leaves_whole_lines_and_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.part").symlink_to("/dev/full")
    out = DumpFile(str(tmp_path / "out.jsonl"))
    with pytest.raises(
        DumpFailed, match=r"out\.jsonl\.part cannot be written \(no space left on device\)"
    ):
        out.write([b"x" * 10 + b"\n"])
