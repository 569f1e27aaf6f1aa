"""A writing process is killed at random moments: whatever append had returned is read back."""

from __future__ import annotations

import itertools
import os
import random
import signal
from pathlib import Path

from journal_cases import Record, found_in, frame

from kite_live_feed.journal import Journal, JournalReader
from kite_live_feed.journal.layout import START
from kite_live_feed.options import JournalOptions

OPTIONS = JournalOptions(segment_bytes=64 * 1024, max_bytes=10**9, sync=0.005)

ROUNDS = 20


def expected(number: int) -> Record:
    return frame(number, 20 + number * 37 % 3000)


def write_for_ever(folder: Path, first: int, report: int) -> None:
    """Append, then say so on a pipe, until somebody ends this process."""
    with Journal(folder, OPTIONS) as journal:
        for number in itertools.count(first):
            position = journal.writer.append(*expected(number))
            os.write(report, number.to_bytes(8, "little"))
            if number % 3 == 0:
                journal.cursor.advance(position)


def run_and_kill(folder: Path, first: int, after_records: int) -> int:
    """Let a process append from ``first`` on and kill it; the last number whose append returned."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(folder, first, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        reported = pipe.read(8 * after_records)
        os.kill(child, signal.SIGKILL)
        reported += pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    return int.from_bytes(reported[-8:], "little")


def test_sigkill_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    moments = random.Random(7)
    first = 0
    for _ in range(ROUNDS):
        last = run_and_kill(tmp_path, first, moments.randrange(1, 400))
        with Journal(tmp_path, OPTIONS) as journal:
            journal.reader.seek(START)
            chunks = list(iter(journal.reader.read_chunk, None))
            found = found_in(chunks)
            # The kill may have hit between an append and its report, never the other way round.
            assert len(found) in (last + 1, last + 2)
            assert found == [expected(number) for number in range(len(found))]
            assert not any(chunk.damage for chunk in chunks)
            assert journal.recovery.frames[0].first_seq == len(found) - 1

            # The acknowledged position is one that was acknowledged, the newest or the one before.
            journal.reader.seek(journal.cursor.position)
            unread = found_in(iter(journal.reader.read_chunk, None))
            assert unread == found[len(found) - len(unread) :]
            assert len(unread) < 8
        first = len(found)
    with JournalReader(tmp_path) as reader:
        assert len(found_in(iter(reader.read_chunk, None))) == first
