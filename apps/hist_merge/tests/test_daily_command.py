"""`daily` on files: what it writes, what it refuses, and that the same call writes nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
from vendor_made_up import kite_text, vendor_line, vendor_text

from kite_bars_store.database import connect
from kite_runtime.testing import Finished, Place

DAY = ("--from", "20240102", "--to", "2024-01-02")


def daily(place: Place, *more: str) -> Finished:
    return place("daily", *DAY, "--no-kite", "--interval", "m1", "--json", *more)


def told(finished: Finished) -> dict[str, Any]:
    (document,) = finished.json()
    assert isinstance(document, dict)
    return document


def golden(place: Place) -> list[tuple[Any, ...]]:
    with closing(connect(place.env["POSTGRES_DSN"], application_name="test")) as connection:
        query = "SELECT ts_open, open, volume, verdict FROM bars_1m ORDER BY instrument_id, ts_open"
        return connection.execute(query).fetchall()


def test_two_feeds_become_golden_bars_and_the_same_call_writes_nothing(place: Place) -> None:
    place.write("feeds/sbin.txt", vendor_text("SBIN") + vendor_text("INFY"))
    place.write("feeds/kite_SBIN_2024-01-02.csv", kite_text(higher=100))
    place.write("feeds/kite_INFY_2024-01-02.csv", kite_text())
    tried = told(daily(place, "--vendor", "feeds", "--dry-run"))
    assert golden(place) == []

    first = daily(place, "--vendor", "feeds")
    assert first.code == 3  # conflicts
    done = told(first)
    assert done["read"] == {"kite": 750, "vendor": 750}
    assert done["added"] == 1500
    assert done["golden"] == {"inserted": 750, "updated": 0, "deleted": 0}
    assert done["verdicts"] == {"AGREED": 675, "CONFLICT_BROKER_WON": 75}
    assert (done["missing"], done["unexplained"]) == ({}, 0)
    same = ("read", "added", "golden", "verdicts", "conflicts", "refused", "files")
    assert {key: tried[key] for key in same} == {key: done[key] for key in same}
    assert len(golden(place)) == 750

    again = told(daily(place, "--vendor", "feeds"))
    assert (again["added"], again["revised"], again["unchanged"]) == (0, 0, 1500)
    assert again["golden"] == {"inserted": 0, "updated": 0, "deleted": 0}


def test_bad_lines_are_listed_and_can_be_mended_and_fed_again(place: Place) -> None:
    lines = vendor_text("SBIN").splitlines()
    wrong = {
        3: lines[3].replace(",0", ",0", 1).rsplit(",", 2)[0] + ",-5,0",
        4: "SBIN,20240102,09:20,600.20,600.10,600.05,600.30,1004,0",
        5: vendor_line("SBEN", 5),
        6: "SBIN,20240102,09:22,nan,600.50,600.15,600.40,1006,0",
        7: "SBIN,20240102,09:23,600.35,1e308,600.20,600.45,1000,0",
        374: lines[374][:30],
    }
    broken = [wrong.get(at, line) for at, line in enumerate(lines)]
    broken.insert(9, vendor_line("SBIN", 8, volume=77))
    broken.insert(12, broken[11])
    place.write("sbin.txt", "\r\n".join(broken))
    finished = daily(place, "--vendor", "sbin.txt", "--symbols", "NSE:SBIN")
    assert finished.code == 3
    done = told(finished)
    assert done["refused"] == {
        "DUPLICATE_DIFFERS": 2,
        "COLUMN_COUNT": 1,
        "NEGATIVE_VOLUME": 1,
        "NOT_A_PRICE": 1,
        "OHLC_CONTRADICTS": 1,
        "PRICE_OUT_OF_RANGE": 1,
    }
    (file,) = done["files"]
    assert (file["not_asked"], done["repeated"]) == (1, 1)
    assert done["golden"]["inserted"] == 375 - 7

    refused = Path(done["refused_folder"]) / "sbin.txt"
    assert len(refused.read_text().splitlines()) == 7
    assert len((refused.parent / "sbin.txt.reasons.csv").read_text().splitlines()) == 1 + 7
    refused.write_text("".join(f"{lines[at]}\n" for at in (3, 4, 5, 6, 7, 8, 374)))
    mended = told(daily(place, "--vendor", str(refused.parent), "--symbols", "NSE:SBIN"))
    assert mended["refused"] == {}
    assert mended["golden"]["inserted"] == 7
    assert len(golden(place)) == 375


def test_whole_files_that_are_none(place: Place) -> None:
    files = {
        "empty.txt": "",
        "page.csv": "<!DOCTYPE html><html>no such file</html>",
        "other.csv": "a,b\n1,2\n",
        "utc.txt": vendor_text("SBIN").replace(",09:", ",03:").replace(",1", ",0"),
        "good.txt": vendor_text("INFY"),
    }
    for name, content in files.items():
        place.write(f"feeds/{name}", content)
    done = told(daily(place, "--vendor", "feeds"))
    reasons = {Path(each["path"]).name: each["reason"] for each in done["files"]}
    assert reasons == {
        "empty.txt": "EMPTY_FILE",
        "page.csv": "HTML_FILE",
        "other.csv": "UNKNOWN_LAYOUT",
        "utc.txt": "WRONG_HOURS",
        "good.txt": None,
    }
    assert len(golden(place)) == 375


def test_a_name_much_like_the_one_that_is_missing_is_shown(place: Place) -> None:
    place.write("market.txt", vendor_text("SBIN-EQ", range(9)) + vendor_text("TCS", range(9)))
    done = told(daily(place, "--vendor", "market.txt", "--symbols", "NSE:SBIN"))
    assert done["golden"]["inserted"] == 0
    assert any(
        note.startswith("no file has bars of NSE:SBIN; there are some of NSE:SBIN-EQ")
        for note in done["notes"]
    )


def test_reconcile_writes_what_it_compared(place: Place) -> None:
    place.write("feeds/sbin.txt", vendor_text("SBIN", range(1, 375)))
    place.write("feeds/kite_SBIN_2024-01-02.csv", kite_text(higher=100))
    call = ("reconcile", *DAY, "--no-kite", "--vendor", "feeds", "--symbols", "NSE:SBIN", "--json")
    done = told(place(*call))
    assert done["golden"]["inserted"] == 375
    compared = done["comparison"]["m1"]
    assert (compared["common"], compared["ohlc_equal"]) == (374, 300)
    assert compared["verdicts"] == done["verdicts"]
    assert done["comparison"]["d1"]["bars"] == {}
    folder = place.folder / "reconcile-2024-01-02-2024-01-02"
    table = pq.read_table(folder / "parquet/interval=m1/exchange=NSE/month=2024-01/bars.parquet")
    assert len(table) == 375
    assert "NSE:SBIN" in (folder / "report.html").read_text()
    left = [note.partition(":")[0].rpartition("/")[2] for note in done["notes"]]
    assert left[-2:] == ["bars.parquet", "report.html"]
