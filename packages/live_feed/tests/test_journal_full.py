"""A journal without room for frames: its events find some, and what is lost outlives the run."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import INFY, Stage, events_of, frame, frames_of
from structlog.testing import capture_logs
from test_intake import BIG, fill, make_room

from kite_broker_zerodha.session.events import GapCause, GapClosed, GapOpened, Stale
from kite_live_feed.errors import JournalLocked
from kite_live_feed.journal.losses import SLOT_BYTES, LossLedger
from kite_live_feed.journal.scan import Damage
from kite_live_feed.options import JournalOptions

MANY = tuple(range(1000, 1040))
SMALL = JournalOptions(segment_bytes=8192, max_bytes=65_536, retain_s=0.0, sync="never")


def after_a_kill(stage: Stage, folder: Path, options: JournalOptions = SMALL) -> Stage:
    """The next run, over what a process that was killed this moment leaves on the disk."""
    shutil.copytree(stage.journal.writer.directory, folder / "journal")
    return Stage(folder, options)


def told(stage: Stage) -> list[tuple[Any, ...]]:
    """The events of a shard's losses and gaps that the journal has since the last call."""
    return [
        (each["type"], each["shard"], each["from_ns"], each["to_ns"], each["count"])
        for each in events_of(stage.chunks())
        if each["type"].startswith(("GAP", "LOSS"))
    ]


def test_events_find_room_where_frames_do_not(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL) as stage:
        stage.connect()
        kept = fill(stage)
        stage.intake.on_event(Stale(0, (INFY,), 5))
        stage.intake.on_event(GapOpened(0, (INFY,), 6, GapCause.SILENT))
        stage.receive(frame(1))
        assert stage.counters.frames_lost == 2, "the room of the events takes no frame"
        assert stage.journal.writer.full is not None
        assert stage.journal.writer.disk_bytes <= SMALL.max_bytes
        chunks = stage.chunks()
        assert len(frames_of(chunks)) == kept
        assert [each["type"] for each in events_of(chunks)] == ["CONNECTED", "STALE", "GAP_OPENED"]
        make_room(stage)
        stage.receive(frame(1))
        assert stage.journal.writer.reserve.missing == 0, "the room is kept again"


def test_a_full_disk_has_room_for_events_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk holds 100 kB; the limit would allow more."""
    folder, allocate = tmp_path / "journal", os.posix_fallocate

    def on_disk(fd: int, start: int, size: int) -> None:
        used = sum(each.stat().st_size for each in folder.iterdir() if each.is_file())
        if used + size - os.fstat(fd).st_size > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(fd, start, size)

    with Stage(tmp_path, JournalOptions(16_384, 200_000, 0.0, "never")) as stage:
        monkeypatch.setattr(os, "posix_fallocate", on_disk)
        stage.connect()
        fill(stage)
        stage.intake.on_event(Stale(0, (INFY,), 5))
        assert stage.counters.feed_events["STALE"] == 1


def test_what_a_killed_run_lost_is_reported_by_the_next(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL) as stage:
        stage.connect(0)
        stage.connect(1)
        fill(stage)
        first_ns = stage.clock.ns
        stage.receive(BIG, shard=1)
        on_1_ns = stage.clock.ns
        stage.receive(BIG, shard=0)
        last_ns = stage.clock.ns
        with after_a_kill(stage, tmp_path / "second") as second, capture_logs() as logs:
            second.intake.announce_earlier()
            assert told(second) == [
                ("GAP_OPENED", 0, first_ns, None, None),
                ("GAP_CLOSED", 0, first_ns, last_ns, None),
                ("LOSS", 0, first_ns, last_ns, 2),
                ("GAP_OPENED", 1, on_1_ns, None, None),
                ("GAP_CLOSED", 1, on_1_ns, on_1_ns, None),
                ("LOSS", 1, on_1_ns, on_1_ns, 1),
            ]
            [line] = [each for each in logs if each["event"] == "the run before lost frames"]
            assert (line["frames_lost"], line["packets"]) == (3, 450)
            with after_a_kill(second, tmp_path / "third") as third:
                third.intake.announce_earlier()
                assert third.counters.feed_events == {}, "it is reported once"


def test_a_run_that_ends_in_order_reports_its_loss_itself(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL) as stage:
        stage.connect()
        fill(stage)
        lost_ns = stage.clock.ns
        stage.intake.announce_stop()
        kinds = [(kind, since) for kind, _, since, _, _ in told(stage)]
        assert kinds[:3] == [("GAP_OPENED", lost_ns), ("GAP_CLOSED", lost_ns), ("LOSS", lost_ns)]
        assert [kind for kind, _ in kinds[3:]] == ["GAP_OPENED"], "that of the stop"
        with after_a_kill(stage, tmp_path / "second") as second:
            assert not second.journal.writer.losses


def without_reserve(stage: Stage) -> None:
    """Fill the journal, and the room for events with gaps."""
    stage.connect()
    fill(stage)
    number = 0
    while not stage.journal.writer.losses.gaps:
        number += 1
        stage.intake.on_event(GapOpened(0, MANY, number, GapCause.SILENT))
        stage.intake.on_event(GapClosed(0, MANY, number, number, GapCause.SILENT))
        assert number < 200
    stage.journal.writer.losses.gaps.clear()
    stage.journal.writer.losses.losses.clear()
    stage.chunks()


def test_the_end_of_a_gap_waits_for_room(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL, tokens=MANY) as stage:
        without_reserve(stage)
        began = stage.counters.gaps_closed
        stage.intake.on_event(GapClosed(0, MANY, 777, 888, GapCause.SILENT))
        assert told(stage) == []
        make_room(stage)
        stage.receive(frame(1))
        assert told(stage) == [("GAP_CLOSED", 0, 777, 888, None)]
        assert stage.counters.gaps_closed == began + 1


def test_the_end_of_a_gap_waits_for_the_next_run(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL, tokens=MANY) as stage:
        without_reserve(stage)
        stage.intake.on_event(GapClosed(0, MANY, 777, 888, GapCause.SILENT))
        with after_a_kill(stage, tmp_path / "second", SMALL) as second:
            make_room(second)
            second.intake.announce_earlier()
            assert ("GAP_CLOSED", 0, 777, 888, None) in told(second)


def test_gaps_that_find_no_room_become_one(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL, tokens=MANY) as stage:
        without_reserve(stage)
        for since in range(1_000, 50_000, 100):
            stage.intake.on_event(GapOpened(0, MANY, since, GapCause.DISCONNECTED))
            stage.intake.on_event(GapClosed(0, MANY, since, since + 50, GapCause.DISCONNECTED))
        make_room(stage)
        stage.receive(frame(1))
        assert told(stage) == [
            ("GAP_OPENED", 0, 1_000, None, None),
            ("GAP_CLOSED", 0, 1_000, 49_950, None),
        ]


def test_a_ledger_that_was_cut_off_is_the_one_before(tmp_path: Path) -> None:
    ledger = LossLedger(tmp_path / "losses")
    ledger.lose(3, 10, 100)
    ledger.lose(3, 20, 100)
    ledger.close()
    path = tmp_path / "losses"
    content = bytearray(path.read_bytes())
    content[30] ^= 1  # the newest is in the first slot
    path.write_bytes(content)
    older = LossLedger(path)
    assert [(shard, loss.to_ns, loss.frames) for shard, loss in older.losses.items()] == [
        (3, 10, 1)
    ]
    older.close()
    content[SLOT_BYTES + 30] ^= 1
    path.write_bytes(content)
    assert not LossLedger(path)


def test_a_folder_that_is_deleted_is_made_again_and_reported(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL) as stage:
        stage.connect()
        stage.receive(frame(1))
        assert not stage.journal.writer.restore_folder()
        folder = stage.journal.writer.directory
        shutil.rmtree(folder)
        stage.receive(frame(1))  # into a file without a name
        assert stage.journal.writer.restore_folder()
        stage.intake.on_folder_deleted()
        stage.receive(frame(1))
        with pytest.raises(JournalLocked):
            Stage(tmp_path, SMALL)
        chunks = stage.chunks()
        assert [each["type"] for each in events_of(chunks)] == ["LOSS"]
        assert [damage.cause for chunk in chunks for damage in chunk.damage] == [
            "journal segment 1 is missing"
        ]
        assert [each.first_seq for each in frames_of(chunks)] == [2]
        stage.journal.cursor.advance(stage.journal.writer.end)
        assert not stage.journal.writer.restore_folder()
        assert stage.journal.writer.problem is None
    with Stage(tmp_path, SMALL) as again:
        assert again.journal.cursor.found
        assert again.chunks() == []


def test_a_gap_never_ends_before_it_began(tmp_path: Path) -> None:
    with Stage(tmp_path, SMALL) as stage:
        stage.connect()
        stage.receive(frame(1))
        stage.intake.on_event(GapOpened(0, (INFY,), stage.clock.ns, GapCause.SILENT))
        began_ns = stage.clock.ns
        stage.chunks()
        stage.clock.ns -= 3_600 * 10**9  # the clock is set back
        stage.intake.yield_shard(0)
        stage.intake.on_damage(Damage(0, 0, "a test", from_ns=began_ns, to_ns=began_ns - 5))
        assert all(to_ns >= since for _, _, since, to_ns, _ in told(stage) if to_ns is not None)
