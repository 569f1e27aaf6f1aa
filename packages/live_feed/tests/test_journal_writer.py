"""The writer: order, bounds, a full disk, one owner."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from journal_cases import Record, found_in, frame, position_behind

from kite_live_feed.errors import JournalFull, JournalLocked, JournalUnusable, RecordTooLarge
from kite_live_feed.journal import Journal, JournalReader, JournalWriter
from kite_live_feed.journal.layout import PAYLOAD_BYTES_MAX, list_segments
from kite_live_feed.journal.writer import RETRY_NS
from kite_live_feed.options import JournalOptions
from kite_live_feed.refused import RefusedRecord, RefusedStore
from kite_runtime.testing import import_path

SMALL = JournalOptions(segment_bytes=4096, max_bytes=5 * 4096, retain_s=3600.0, sync="never")


class Time:
    """Nanoseconds that the test sets."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.fixture()
def time() -> Time:
    return Time()


@pytest.fixture()
def journal(tmp_path: Path, time: Time) -> Iterator[Journal]:
    with Journal(tmp_path, SMALL, time) as opened:
        yield opened


def fill(writer: JournalWriter, first: int = 0) -> int:
    """Append until the journal is full; the number of the frame that was refused."""
    number = first
    while True:
        try:
            writer.append(*frame(number))
        except JournalFull:
            return number
        number += 1


def read_all(reader: JournalReader) -> list[Record]:
    return found_in(iter(reader.read_chunk, None))


def test_a_reader_follows_over_many_segments(journal: Journal) -> None:
    got: list[Record] = []
    positions = []
    for number in range(120):
        position = journal.writer.append(*frame(number))
        assert position == journal.writer.end
        positions.append(position)
        if number % 7 == 0:
            got += read_all(journal.reader)
    got += read_all(journal.reader)
    assert got == [frame(number) for number in range(120)]
    assert positions == sorted(set(positions))
    assert journal.reader.position == positions[-1]
    assert len(list_segments(journal.writer.directory)) == 5


def test_a_record_larger_than_a_segment_and_a_chunk(tmp_path: Path) -> None:
    options = JournalOptions(segment_bytes=4096, max_bytes=64 * 1024 * 1024)
    with Journal(tmp_path, options) as journal:
        wanted = [frame(0), frame(1, 300_000), frame(2), frame(3, PAYLOAD_BYTES_MAX), frame(4)]
        for record in wanted:
            journal.writer.append(*record)
        assert found_in(iter(lambda: journal.reader.read_chunk(1000), None)) == wanted


def test_what_does_not_fit_is_refused_and_leaves_no_trace(journal: Journal) -> None:
    with pytest.raises(RecordTooLarge):
        journal.writer.append(1, 0, bytes(PAYLOAD_BYTES_MAX + 1), 0, 0, 0)
    with pytest.raises(RecordTooLarge):
        journal.writer.append(1, 256, b"", 0, 0, 0)
    journal.writer.append(*frame(1))
    assert read_all(journal.reader) == [frame(1)]


def test_the_limit_holds_and_unacknowledged_data_stay(journal: Journal, time: Time) -> None:
    writer = journal.writer
    refused = fill(writer)
    assert writer.disk_bytes <= SMALL.max_bytes
    assert writer.full is not None
    assert "WS_BRIDGE_JOURNAL_MAX_BYTES" in writer.full
    assert writer.problem == writer.full
    time.ns += 10 * 3600 * 10**9
    with pytest.raises(JournalFull):
        writer.append(*frame(refused))
    assert writer.sweep() == 0
    assert read_all(journal.reader) == [frame(number) for number in range(refused)]


def test_acknowledging_makes_room_at_once(journal: Journal) -> None:
    refused = fill(journal.writer)
    chunk = journal.reader.read_chunk()
    assert chunk is not None
    journal.cursor.advance(chunk.position_after)
    journal.writer.append(*frame(refused))
    assert journal.writer.full is None
    assert journal.writer.problem is None
    rest = read_all(journal.reader)
    assert found_in([chunk]) + rest == [frame(number) for number in range(refused + 1)]


def test_a_partly_acknowledged_segment_is_kept(journal: Journal, time: Time) -> None:
    refused = fill(journal.writer)
    chunk = journal.reader.read_chunk()
    assert chunk is not None
    journal.cursor.advance(position_behind(chunk, len(chunk.rows) - 2))
    time.ns += RETRY_NS
    with pytest.raises(JournalFull):
        journal.writer.append(*frame(refused))


def test_recycling_keeps_the_bound_for_ever(journal: Journal) -> None:
    for number in range(2000):
        journal.writer.append(*frame(number))
        chunk = journal.reader.read_chunk()
        assert chunk is not None
        assert found_in([chunk]) == [frame(number)]
        journal.cursor.advance(chunk.position_after)
        assert journal.writer.disk_bytes <= SMALL.max_bytes
    real = sum(each.path.stat().st_size for each in list_segments(journal.writer.directory))
    assert real + journal.writer.reserve.left == journal.writer.disk_bytes
    assert journal.writer.backlog_bytes == 0


def test_old_acknowledged_segments_go(journal: Journal) -> None:
    for number in range(60):
        journal.writer.append(*frame(number))
    directory = journal.writer.directory
    segments = list_segments(directory)
    assert len(segments) == 3
    now_s = 1_000_000_000
    os.utime(segments[0].path, (now_s - 3601, now_s - 3601))
    os.utime(segments[1].path, (now_s - 3599, now_s - 3599))
    assert journal.writer.sweep() == 0
    journal.cursor.advance(journal.writer.end)
    assert journal.writer.sweep() == 1
    assert list_segments(directory) == segments[1:]


def test_a_full_journal_costs_no_disk_operation(
    journal: Journal, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = fill(journal.writer)
    tries = []
    monkeypatch.setattr(JournalWriter, "sweep", lambda _: tries.append(1))
    for _ in range(50):
        with pytest.raises(JournalFull):
            journal.writer.append(*frame(refused))
    assert not tries
    time.ns += RETRY_NS
    with pytest.raises(JournalFull):
        journal.writer.append(*frame(refused))
    assert tries == [1]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_a_segment(
    journal: Journal, time: Time, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(fd: int, start: int, size: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(JournalFull, match=os.strerror(code)):
            journal.writer.append(*frame(0))
        assert list_segments(journal.writer.directory) == []
    time.ns += RETRY_NS
    journal.writer.append(*frame(1))
    assert journal.writer.full is None
    assert read_all(journal.reader) == [frame(1)]


def test_a_full_disk_takes_back_what_is_acknowledged(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(27):
        journal.writer.append(*frame(number))
    journal.cursor.advance(journal.writer.end)
    allocate = os.posix_fallocate

    def refuse(fd: int, start: int, size: int) -> None:
        if list_segments(journal.writer.directory)[0].number == 1:
            raise OSError(errno.ENOSPC, "no space")
        allocate(fd, start, size)

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    journal.writer.append(*frame(27))
    assert [each.number for each in list_segments(journal.writer.directory)] == [2]


def test_recycling_frees_the_space_even_while_the_file_is_open(journal: Journal) -> None:
    refused = fill(journal.writer)
    oldest = list_segments(journal.writer.directory)[0].path
    with oldest.open("rb") as file:
        assert os.fstat(file.fileno()).st_blocks > 0
        journal.cursor.advance(journal.writer.end)
        journal.writer.append(*frame(refused))
        assert not oldest.exists()
        assert os.fstat(file.fileno()).st_blocks == 0


def test_a_segment_that_cannot_be_removed_is_told(
    journal: Journal, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, size: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    refused = fill(journal.writer)
    journal.cursor.advance(journal.writer.end)
    time.ns += 2 * 10**18
    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        assert journal.writer.sweep() == 0
        with pytest.raises(JournalFull, match="Read-only"):
            journal.writer.append(*frame(refused))
        assert journal.writer.problem is not None
    assert journal.writer.sweep() == 5
    time.ns += RETRY_NS
    journal.writer.append(*frame(refused))
    assert journal.writer.problem is None


class BadDisk:
    """os.writev that stores only part of what it is given, for some calls."""

    def __init__(self, calls: int, part: int | None) -> None:
        self.calls = calls
        self.part = part
        self.really = os.writev

    def __call__(self, fd: int, parts: Sequence[bytes]) -> int:
        self.calls -= 1
        if self.calls < 0:
            return self.really(fd, parts)
        if self.part is None:
            raise OSError(errno.ENOSPC, "no space")
        return self.really(fd, [b"".join(parts)[: self.part]])


@pytest.mark.parametrize("part", [None, 0, 1, 48, 100])
def test_a_partial_write_is_cut_back(
    journal: Journal, time: Time, monkeypatch: pytest.MonkeyPatch, part: int | None
) -> None:
    writer = journal.writer
    writer.append(*frame(0))
    end = writer.end
    monkeypatch.setattr(os, "writev", BadDisk(2, part))
    with pytest.raises(JournalFull):
        writer.append(*frame(1))
    assert writer.end == end
    assert list_segments(writer.directory)[0].path.stat().st_size == end.offset
    time.ns += RETRY_NS
    writer.append(*frame(2))
    chunks = list(iter(journal.reader.read_chunk, None))
    assert found_in(chunks) == [frame(0), frame(2)]
    assert not any(chunk.damage or chunk.torn_bytes for chunk in chunks)


def test_one_failed_write_goes_to_a_new_segment(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.writer.append(*frame(0))
    monkeypatch.setattr(os, "writev", BadDisk(1, 20))
    journal.writer.append(*frame(1))
    assert read_all(journal.reader) == [frame(0), frame(1)]
    assert journal.writer.end.segment == 2


def test_a_real_file_size_limit(tmp_path: Path) -> None:
    """The kernel itself refuses (EFBIG): an explicit loss, and recovery when the limit goes."""
    code = """
import resource, sys
from pathlib import Path
from kite_live_feed.errors import JournalFull
from kite_live_feed.journal import Journal
from kite_live_feed.options import JournalOptions
from kite_live_feed.refused import RefusedRecord, RefusedStore
time = [10**18]
journal = Journal(Path(sys.argv[1]), JournalOptions(65536, 10**6, sync="never"), lambda: time[0])
writer = journal.writer
writer.append(1, 0, b"first", 1, 2, 0)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
stored = lost = 0
for number in range(40):
    try:
        writer.append(1, 0, bytes(1000), 1, 2, 1 + stored)
        stored += 1
    except JournalFull as exc:
        lost += 1
        assert "too large" in str(exc), exc
    time[0] += 10**9
assert stored and lost and writer.full, (stored, lost)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
time[0] += 10**9
writer.append(1, 0, b"last", 1, 2, 1 + stored)
assert writer.full is None
seqs = [seq for c in iter(journal.reader.read_chunk, None) for seq in c.frames[:, 4].tolist()]
assert seqs == list(range(stored + 2)), seqs
journal.close()
print("stored", stored, "lost", lost)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": import_path()},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stored 9 lost 31")


def test_nobody_else_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    before = os.umask(0)
    try:
        with Journal(folder) as journal:
            journal.writer.append(*frame(1))
        put = RefusedStore(folder).put_all("t", [RefusedRecord("t", None, b"v", [], "why", 1)])
    finally:
        os.umask(before)
    assert put
    made = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(each.stat().st_mode) for each in made} == {0o700, 0o600}
    assert len(made) >= 5


def test_one_bridge_a_folder(tmp_path: Path) -> None:
    with Journal(tmp_path, SMALL) as first:
        first.writer.append(*frame(0))
        with pytest.raises(JournalLocked) as caught:
            Journal(tmp_path, SMALL)
    assert str(os.getpid()) in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 78
    with Journal(tmp_path, SMALL) as again:
        assert read_all(again.reader) == [frame(0)]


def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kite_live_feed.journal import JournalWriter\n"
        "from kite_live_feed.errors import JournalLocked\n"
        "try: JournalWriter(Path(sys.argv[1]))\n"
        "except JournalLocked as exc: sys.exit(str(exc))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": import_path()}
    with Journal(tmp_path, SMALL):
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
        assert done.returncode == 1
        assert f"process {os.getpid()}" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnusable, match="WS_BRIDGE_JOURNAL_DIR"):
        JournalWriter(tmp_path / "file" / "journal")


@pytest.mark.parametrize("sync", ["never", "always", 0.01])
def test_every_way_to_sync_stores_the_same(tmp_path: Path, sync: float | str) -> None:
    options = JournalOptions(4096, 10**6, sync=sync)  # type: ignore[arg-type]
    with Journal(tmp_path, options) as journal:
        for number in range(100):
            journal.writer.append(*frame(number))
        assert journal.writer.problem is None
    with JournalReader(tmp_path) as reader:
        assert read_all(reader) == [frame(number) for number in range(100)]


def test_a_failing_sync_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = Journal(tmp_path, JournalOptions(4096, 10**6, sync="always"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        journal.writer.append(*frame(0))
        assert "Input/output error" in str(journal.writer.problem)
    journal.writer.append(*frame(1))
    assert journal.writer.problem is None
    journal.close()
    journal.close()


@pytest.mark.parametrize(
    "options",
    [
        {"segment_bytes": 100},
        {"segment_bytes": 4096, "max_bytes": 8000},
        {"retain_s": -1.0},
        {"sync": 0.0},
    ],
)
def test_impossible_limits(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        JournalOptions(**options)  # type: ignore[arg-type]
