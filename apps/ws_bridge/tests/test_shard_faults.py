"""Three bridges and one killed: the short form of the fault, as a test."""

from __future__ import annotations

from pathlib import Path

from faults import cli
from faults.proof import Gap
from faults.scene import Scene, real_broker
from faults.troupe import within


def test_another_bridge_has_the_shards_of_one_that_is_killed(tmp_path: Path) -> None:
    with real_broker(tmp_path / "kafka") as broker:
        outcome = cli.FAULTS["shard-killed"].play(Scene(broker, tmp_path, full=False))
    assert outcome.figures
    assert not outcome.problems, outcome.figures


def test_a_gap_covers_what_lies_in_it_and_nothing_else() -> None:
    gaps = [Gap(1, 10, 20, "handover", 0, 3), Gap(2, 10, None, "handover", 0, 3)]
    times = (9, 10, 20, 21)
    assert [within(gaps, 1, each) for each in times] == [False, True, True, False]
    assert [within(gaps, 2, each) for each in times] == [False, True, True, True]
    assert not within(gaps, 0, 15)
