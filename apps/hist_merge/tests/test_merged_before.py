"""The same files again: not read, unless anything could have changed what they bring."""

from __future__ import annotations

from typing import Any

import pytest
from merged_bars import bar_store, rising, said
from vendor_made_up import vendor_text

from kite_bars_store.bars.rules import default_text
from kite_contracts.migrations import runner
from kite_runtime.testing import Place

DAY = ("--from", "2024-01-02", "--to", "2024-01-02")


def daily(place: Place, *more: str, day: tuple[str, ...] = DAY) -> dict[str, Any]:
    vendor = () if "--vendor" in more else ("--vendor", "feeds")
    fixed = ("--no-kite", "--interval", "m1", "--symbols", "NSE:SBIN", "--json")
    done = place("daily", *day, *fixed, *vendor, *more)
    assert done.code in (0, 3), done.stderr
    (document,) = done.json()
    found: dict[str, Any] = document
    return found


def is_read(done: dict[str, Any]) -> bool:
    noted = any("are not read again" in note for note in done["notes"])
    assert noted is (done["files"] == [])
    return not noted


def closes(place: Place) -> list[int]:
    with bar_store(place.env["POSTGRES_DSN"]) as (_, connection):
        query = "SELECT close FROM bars_1m ORDER BY ts_open"
        return [row[0] for row in connection.execute(query).fetchall()]


@pytest.fixture()
def merged(place: Place) -> Place:
    """A place whose one file was merged."""
    place.write("feeds/a.txt", vendor_text("SBIN"))
    assert is_read(daily(place))
    assert not is_read(daily(place))
    return place


def test_the_same_files_are_not_read_again(merged: Place) -> None:
    before = closes(merged)
    again = daily(merged)
    assert (again["read"], again["added"], again["unexplained"]) == ({}, 0, 0)
    assert closes(merged) == before
    merged.write("feeds/a.txt", vendor_text("SBIN"))  # the same bytes, however old
    assert not is_read(daily(merged))
    (merged.folder / "feeds/a.txt").rename(merged.folder / "feeds/b.txt")
    assert is_read(daily(merged))  # of some layouts the name says the instrument


def test_what_is_asked_otherwise_is_read(merged: Place) -> None:
    assert is_read(daily(merged, day=("--from", "2024-01-02", "--to", "2024-01-03")))
    assert is_read(daily(merged, "--layout", "bar-end-text"))
    assert is_read(daily(merged, "--dry-run"))
    merged.write("feeds/b.txt", vendor_text("SBIN", range(5)))
    assert is_read(daily(merged))


def test_a_changed_byte_or_rule_is_read(merged: Place) -> None:
    text = (merged.folder / "feeds/a.txt").read_text()
    merged.write("feeds/a.txt", text.replace("\n", "\r\n", 1))
    assert is_read(daily(merged))
    merged.write("merge.toml", default_text().replace("jump_bps = ", "jump_bps = 1", 1))
    merged.env["HIST_MERGE_RULES"] = str(merged.folder / "merge.toml")
    assert is_read(daily(merged))
    assert not is_read(daily(merged))


def test_another_database_has_not_had_them(merged: Place, fresh_dsn: str) -> None:
    """As after a backup was restored, with the state folder as it was."""
    runner.upgrade(fresh_dsn)
    merged.env["POSTGRES_DSN"] = fresh_dsn
    with bar_store(fresh_dsn) as (store, _):
        store.merge([said("kite", rising(3))])  # its first batch has the same number
    assert daily(merged)["added"] == 375
    assert not is_read(daily(merged))


def test_a_file_that_was_revised_since_counts_again(merged: Place) -> None:
    """The last one that is given counts, be it an older one."""
    first = closes(merged)
    merged.write("other/b.txt", vendor_text("SBIN").replace("600.", "601.", 40))
    revised = daily(merged, "--vendor", "other")
    assert revised["revised"] > 0
    assert closes(merged) != first
    assert daily(merged)["revised"] == revised["revised"]
    assert closes(merged) == first
    assert not is_read(daily(merged))


def test_files_that_contradict_each_other_are_always_read(merged: Place) -> None:
    merged.write("feeds/b.txt", vendor_text("SBIN").replace("600.", "601.", 40))
    for _ in range(2):
        done = daily(merged)
        assert is_read(done)
        assert done["refused"]["DUPLICATE_DIFFERS"] > 0


def test_what_there_was_to_say_is_said_again(place: Place) -> None:
    place.write("feeds/a.txt", vendor_text("SBIN").rstrip("\n"))  # a remark
    assert all(is_read(daily(place)) for _ in range(2))
    place.write("feeds/a.txt", vendor_text("SBIN") + "SBIN,nonsense\n")  # a refused line
    assert all(is_read(daily(place)) for _ in range(2))
