"""`rebuild`, `revisions`, `accept` and `reject` on the real Postgres."""

from __future__ import annotations

from datetime import date

import pytest
from merged_bars import MANDM, Bar, bar_store, merge_the_usual, rising, said

from kite_runtime.testing import Place

NEXT_MONTH = date(2026, 7, 1)


@pytest.fixture()
def merged(place: Place) -> Place:
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        merge_the_usual(store)
        store.merge([said("kite", rising(5), MANDM, NEXT_MONTH)])
        store.merge([said("kite", {0: (10_000, 10_500, 9_900, 10_400, 5_000)}, interval="d1")])
    return place


def halved(bars: dict[int, Bar]) -> dict[int, Bar]:
    """The bars after a bonus of one for one."""
    return {at: (*(value // 2 for value in bar[:4]), bar[4] * 2) for at, bar in bars.items()}


def test_what_is_right_is_not_written_again(merged: Place) -> None:
    done = merged("rebuild")
    assert (done.code, done.stdout) == (0, "3 months: 61 bars, all as they should be\n")
    assert "1/3 m1 2026-06: 55 bars, all as they should be" in done.stderr


def test_a_dry_run_tells_what_a_rebuild_then_mends(merged: Place) -> None:
    with bar_store(merged.env["POSTGRES_DSN"]) as (_, connection):
        connection.execute("DELETE FROM bars_1m WHERE volume = 101")
        connection.execute("UPDATE bars_1m SET close = close + 1 WHERE volume = 120")
    dry = merged("rebuild", "--dry-run", "--month", "2026-06", "--interval", "m1")
    assert dry.code == 3
    told = "55 bars, 8 differed (7 were missing, 1 had other values, 0 should not be there)"
    assert dry.stdout == f"1 month: {told}\nnothing was written: a dry run\n"
    mended = merged("rebuild", "--json")
    assert [(row["interval"], row["month"]) for row in mended.json()] == [
        *(("m1", "2026-06"), ("m1", "2026-07"), ("d1", "2026-06")),
    ]
    assert (mended.json()[0]["inserted"], mended.json()[0]["updated"]) == (7, 1)
    assert merged("rebuild").stdout.endswith("all as they should be\n")


def test_nothing_to_rebuild(merged: Place) -> None:
    done = merged("rebuild", "--month", "2020-01")
    assert (done.code, done.sentence) == (1, "there is nothing to rebuild: no bars of 2020-01")
    assert merged("rebuild", "--month", "June").code == 2


def test_a_revision_waits_is_accepted_and_taken_back(merged: Place) -> None:
    before = rising(60)
    del before[3]
    assert merged("revisions").stdout == "no revision waits for a decision\n"
    with bar_store(merged.env["POSTGRES_DSN"]) as (store, _):
        after = halved({at: bar for at, bar in before.items() if not 25 <= at < 30})
        store.merge([said("kite", after)])
    waiting = merged("revisions", "--json")
    assert waiting.code == 3
    (row,) = waiting.json()
    assert (row["symbol"], row["ratio"][:5], row["decision"], row["source"]) == (
        *("NSE:SBIN", "0.499", "waits", "kite"),
    )
    batch = str(row["batch_id"])
    held = merged("show", "NSE:SBIN", "2026-06-01T09:50", "--json").json()[0]
    assert held["golden"]["close"] == "100.05"
    assert held["flags"][0].startswith("REVISION_RATIO")
    assert held["observations"][1]["status"] == "a revision that does not count"

    accepted = merged("accept", batch, "SBIN", "--note", "bonus 1:1", "--who", "Asha")
    assert accepted.code == 0
    assert accepted.stdout.startswith(f"accepted by Asha: batch {batch}, NSE:SBIN; ")
    assert merged("revisions").code == 0
    listed = merged("revisions", "--all")
    assert "Asha, bonus 1:1" in listed.stdout
    assert "accepted" in listed.stdout
    golden = merged("show", "NSE:SBIN", "2026-06-01T09:50", "--json").json()[0]["golden"]
    assert golden["close"] == "50.02"

    rejected = merged("reject", batch, "NSE:SBIN", "--json")
    assert rejected.json()[0]["decision"] == "rejected"
    golden = merged("show", "NSE:SBIN", "2026-06-01T09:50", "--json").json()[0]["golden"]
    assert golden["close"] == "100.05"


def test_a_decision_on_nothing(merged: Place) -> None:
    done = merged("accept", "1", "NSE:SBIN")
    assert (done.code, done.sentence) == (
        *(1, "batch 1 restated no stretch of NSE:SBIN: `revisions --all` lists them"),
    )
    assert merged("accept", "1", "NSE:SBIN", "--who", " ").code == 2
