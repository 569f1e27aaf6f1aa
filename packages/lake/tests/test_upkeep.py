"""Compaction, pruning and sweeping: the same rows, the same progress, fewer files."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_stage import archived_rows, fill, ticks

from kite_kafka_io.testing import NOW_NS
from kite_lake import commits, upkeep
from kite_lake.catalog import Lake, open_lake
from kite_lake.commits import append
from kite_lake.progress import Progress, progress_of
from kite_lake.tables import TICKS
from kite_lake.upkeep import compact, keep_from, old_days, prune, sweep

DAY = date(2026, 11, 18)
TOMORROW = DAY + timedelta(days=1)


def _files(lake: Lake) -> int:
    table = lake.existing(TICKS)
    assert table is not None
    return len(list(table.scan().plan_files()))


def _progress(lake: Lake) -> dict[tuple[str, int], Progress]:
    table = lake.existing(TICKS)
    assert table is not None
    return progress_of(table.metadata)


def test_compaction_keeps_every_row_and_the_progress(lake: Lake) -> None:
    for first in range(0, 1_000, 100):
        fill(lake, ticks(100, first_seq=first))
    rows, progress = archived_rows(lake), _progress(lake)
    done = compact(lake, TOMORROW)
    assert (done.files_before, done.files_after, done.rows) == (160, 16, 1_000)
    assert _files(lake) == 16
    assert archived_rows(lake).equals(rows)
    assert _progress(lake) == progress
    assert compact(lake, TOMORROW).partitions == 0


def test_a_partition_above_the_size_of_a_file_becomes_several(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FILE_ROWS", 50)
    for first in range(0, 2_000, 500):
        fill(lake, ticks(500, first_seq=first))
    rows = archived_rows(lake)
    done = compact(lake, TOMORROW)
    assert done.files_after > 16
    assert archived_rows(lake).equals(rows)
    assert compact(lake, TOMORROW).partitions == 0


def test_a_day_that_is_not_over_and_other_days_are_left(lake: Lake) -> None:
    fill(lake, ticks(100))
    fill(lake, ticks(100, first_seq=100))
    assert compact(lake, DAY).partitions == 0
    assert compact(lake, TOMORROW, [TOMORROW]).partitions == 0
    assert compact(lake, TOMORROW, [DAY]).partitions == 16


def test_ticks_that_come_during_a_compaction_stay(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits between the reading of the files and their replacement."""
    fill(lake, ticks(100))
    fill(lake, ticks(100, first_seq=100))
    other = open_lake(tmp_path / "lake")
    late = iter(range(200, 100_000, 10))
    replace = commits.replace

    def interrupted(*given: Any) -> None:
        fill(other, ticks(10, first_seq=next(late)))
        replace(*given)

    monkeypatch.setattr(upkeep, "replace", interrupted)
    done = compact(lake, TOMORROW)
    assert (done.partitions, done.left) == (16, 0)
    assert archived_rows(lake)["feed_seq"].to_pylist() == list(range(next(late)))


def test_two_compactions_at_once_do_not_double_rows(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake, ticks(100))
    fill(lake, ticks(100, first_seq=100))
    rows, other, replace = archived_rows(lake), open_lake(tmp_path / "lake"), commits.replace

    def overtaken(*given: Any) -> None:
        monkeypatch.setattr(upkeep, "replace", replace)
        compact(other, TOMORROW)
        replace(*given)

    monkeypatch.setattr(upkeep, "replace", overtaken)
    assert compact(lake, TOMORROW).left >= 1
    assert archived_rows(lake).equals(rows)


def test_prune_drops_whole_days_and_keeps_the_progress(lake: Lake) -> None:
    fill(lake, ticks(100), {("ticks", 0): Progress(6)})
    later = ticks(50, first_seq=100, start_ns=NOW_NS + 86_400 * 10**9)
    fill(lake, later, {("ticks", 0): Progress(7)})
    (old,) = old_days(lake, TOMORROW)["ticks"]
    assert (old.day, old.rows, old.files) == (DAY, 100, 16)
    assert archived_rows(lake).num_rows == 150
    prune(lake, TOMORROW)
    assert archived_rows(lake)["feed_seq"].to_pylist() == list(range(100, 150))
    assert _progress(lake) == {("ticks", 0): Progress(7)}
    assert old_days(lake, TOMORROW)["ticks"] == []
    prune(lake, TOMORROW)


def test_sweep_removes_what_nothing_refers_to_after_the_grace(lake: Lake, tmp_path: Path) -> None:
    def parquet() -> int:
        return len(list((tmp_path / "lake").rglob("*.parquet")))

    fill(lake, ticks(100))
    fill(lake, ticks(100, first_seq=100))
    compact(lake, TOMORROW)
    rows = archived_rows(lake)
    assert parquet() == 48
    assert sweep(lake, grace_s=3_600).files == 0
    done = sweep(lake, grace_s=0)
    assert done.snapshots > 0
    assert parquet() == 16
    assert archived_rows(lake).equals(rows)
    fill(lake, ticks(10, first_seq=200))  # the table goes on
    assert archived_rows(lake).num_rows == 210


def test_progress_survives_a_snapshot_of_somebody_else(lake: Lake) -> None:
    fill(lake, ticks(100), {("ticks", 3): Progress(42, "id", {5: 6})})
    table = lake.table(TICKS)
    table.delete("instrument_token == 256265")  # no progress in its summary
    assert progress_of(table.refresh().metadata) == {("ticks", 3): Progress(42, "id", {5: 6})}
    append(table, [], progress_of(table.metadata), {("ticks", 1): Progress(1)})
    assert set(_progress(lake)) == {("ticks", 1), ("ticks", 3)}


@pytest.mark.parametrize(
    ("keep", "today", "first"),
    [
        ("2y", date(2026, 2, 28), date(2024, 2, 28)),
        ("2y", date(2028, 2, 29), date(2026, 2, 28)),
        ("1m", date(2026, 3, 31), date(2026, 2, 28)),
        ("18m", date(2026, 1, 15), date(2024, 7, 15)),
        ("90d", date(2026, 3, 1), date(2025, 12, 1)),
    ],
)
def test_what_is_kept(keep: str, today: date, first: date) -> None:
    assert keep_from(keep, today) == first


@pytest.mark.parametrize("text", ["", "y", "0d", "-1y", "2", "2w", "x1y"])
def test_what_is_no_time_to_keep(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|^[-0-9a-z]*$"):
        keep_from(text, DAY)
