"""Several processes in a group, killed at any moment: each tick is archived exactly once."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest
from archive_stage import Stage, ticks

from kite_lake.commits import append, write_parts
from kite_lake.errors import ProgressMoved
from kite_lake.progress import Progress, progress_of
from kite_lake.tables import TICKS

WAIT_S = 120.0


def _wait(done: Callable[[], bool], what: str) -> None:
    ends_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < ends_s, f"{what} did not happen in {WAIT_S:.0f} s"
        time.sleep(0.3)


def _archived_offsets(stage: Stage) -> int:
    lake = stage.open()
    table = lake.existing(TICKS)
    progress = {} if table is None else progress_of(table.metadata)
    lake.close()
    return sum(each.offset for each in progress.values())


@pytest.mark.parametrize("seed", [1])
def test_processes_killed_at_random_moments_neither_lose_nor_repeat(
    stage: Stage, seed: int
) -> None:
    chance = random.Random(seed)
    sent = 0
    stage.open().table(TICKS)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            stage.command(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    processes = [start() for _ in range(3)]
    try:
        _wait(lambda: _fed(stage, sent), "the first commit")
        for _ in range(10):
            stage.send(ticks(2_000, first_seq=sent))
            sent += 2_000
            chosen = chance.randrange(3)
            time.sleep(chance.uniform(0.0, 1.5))  # the moment is the point of the test
            processes[chosen].send_signal(signal.SIGKILL)
            processes[chosen].wait()
            processes[chosen] = start()
            if chance.random() < 0.3:  # what the bridge does after a crash of its own
                stage.send(ticks(500, first_seq=sent - 500))
        total = sum(stage.in_kafka().values())
        _wait(lambda: _archived_offsets(stage) == total, "archiving all")
        for each in processes:
            each.terminate()
        assert [each.wait(30) for each in processes] == [0, 0, 0]
    finally:
        for each in processes:
            each.kill()
    archived = stage.archived()
    assert set(archived) == set(stage.in_kafka())
    assert max(archived.values()) == 1
    assert len(archived) == sent


def _fed(stage: Stage, sent: int) -> bool:
    stage.send(ticks(10, first_seq=sent))
    return _archived_offsets(stage) > 0


def test_two_members_share_the_partitions(stage: Stage) -> None:
    stage.send(ticks(1_000))
    services = [stage.service(group=f"pair-{stage.ticks}") for _ in range(2)]
    threads = [threading.Thread(target=each.run) for each in services]
    for each in threads:
        each.start()
    seq = 1_000
    try:

        def both() -> bool:
            nonlocal seq
            stage.send(ticks(500, first_seq=seq))
            seq += 500
            return all(each.counters.rows[stage.ticks] for each in services)

        _wait(both, "a commit of both")
        _wait(lambda: _archived_offsets(stage) == seq, "archiving all")
    finally:
        for service in services:
            service.stop.set()
        for each in threads:
            each.join()
    assert stage.archived() == stage.in_kafka()


def test_a_zombie_cannot_commit_what_another_has_archived(stage: Stage) -> None:
    """Both read the same offsets; the one that wakes up later is refused and adds nothing."""
    stage.send(ticks(100))
    stage.archive()
    place = (stage.ticks, 0)
    slow, quick = stage.open(), stage.open()
    mine, other = slow.table(TICKS), quick.table(TICKS)
    before = progress_of(mine.metadata)
    moved = Progress(before[place].offset + 5, before[place].topic_id)
    files = write_parts(mine, iter(()))
    append(other, [], before, {place: moved})
    with pytest.raises(ProgressMoved, match="another process"):
        append(mine, files, before, {place: Progress(before[place].offset + 7, "x")})
    assert progress_of(other.refresh().metadata)[place] == moved


def test_commits_of_different_partitions_both_land(stage: Stage) -> None:
    stage.send(ticks(600))
    stage.archive()
    one, two = stage.open().table(TICKS), stage.open().table(TICKS)
    before = progress_of(one.metadata)
    first, second = (stage.ticks, 0), (stage.ticks, 1)
    after = {
        place: Progress(before[place].offset + 1, before[place].topic_id)
        for place in (first, second)
    }
    append(one, [], before, {first: after[first]})
    append(two, [], before, {second: after[second]})
    progress = progress_of(one.refresh().metadata)
    assert (progress[first], progress[second]) == (after[first], after[second])
    assert progress[stage.ticks, 2] == before[stage.ticks, 2]
    append(two, [], before, {second: after[second]})  # the answer to it was lost: it is there
