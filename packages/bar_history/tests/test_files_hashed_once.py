"""A file is hashed once a run, and the database is asked for its mark only where that counts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from vendor_frames import LAYOUTS, roster
from vendor_made_up import vendor_text

from kite_bar_history.merged_before import FILE, MergedBefore
from kite_bar_history.summary import RunSummary
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import sha256_of
from kite_bar_history.vendor_files.spool import Spool
from kite_bars_store.bars.records import Mark


class Marks:
    """A store of which only the mark is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def mark(self) -> Mark:
        self.asked += 1
        return Mark(7, datetime(2026, 1, 5, tzinfo=UTC), 0)


def test_what_remembers_files_and_what_reads_them_hash_each_once(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text(vendor_text("SBIN", range(5)))
    hashed: Counter[Path] = Counter()

    @cache
    def counted(path: Path) -> bytes:
        hashed[path] += 1
        return sha256_of(path)

    MergedBefore(tmp_path, cast(Any, Marks()), paths, counted, "asked")
    spool = Spool(tmp_path / "spool")
    files = VendorFiles(LAYOUTS, Asked(roster(), 0, 1 << 62), spool, sha256_of=counted)
    reports = [files.load(path, lambda _: None) for path in paths]
    files.close()
    assert [each.reason for each in reports] == [None, None]
    assert hashed == dict.fromkeys(paths, 1)


@pytest.mark.parametrize(("doubts", "asked"), [(["a doubt"], 1), ([], 2)])
def test_the_mark_is_asked_for_only_after_a_clean_run(
    tmp_path: Path, doubts: list[str], asked: int
) -> None:
    marks = Marks()
    before = MergedBefore(tmp_path, cast(Any, marks), [], sha256_of)
    before.note(RunSummary(doubts=doubts))
    assert (marks.asked, (tmp_path / FILE).exists()) == (asked, not doubts)
