"""`layout FILE`: how a file is read, or why not, and a table to start from."""

from __future__ import annotations

import gzip

import pytest
from vendor_made_up import kite_text, prices, rupees, vendor_line, vendor_text

from kite_runtime.testing import Place


def ohlc(at: int) -> str:
    return ",".join(rupees(each) for each in prices(at)[:4])


def own_text(separator: str = ";") -> str:
    """No delivered layout reads it: ends of minutes in UTC, the day first."""
    lines = ["Stock,Exch,When,O,H,L,C,Vol"]
    for at in range(375):
        ends = 3 * 60 + 46 + at
        lines.append(f"SBIN,NSE,25-01-2024 {ends // 60:02}:{ends % 60:02},{ohlc(at)},7")
    return "\n".join(lines).replace(",", separator) + "\n"


def test_a_file_that_fits_is_shown_as_it_is_read(bare: Place) -> None:
    text = "\n".join([vendor_line("SBIN", 0), "SBIN,20240102,09:17,x,2,1,1,5,0",
                      vendor_line("SBIN", 374), "SBIN,20240102,16:00,1,1,1,1,1,0", ""])  # fmt: skip
    bare.write("SBIN.txt", text)
    shown = bare("layout", "SBIN.txt")
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "layout         bar-end-text: text files of minute bars without a header, symbol in each "
        "line",
        "columns        symbol 1, date 2, time 3, open 4, high 5, low 6, close 7, volume 8, oi 9",
        "stamp          bar-end, zone Asia/Kolkata",
        "bars           3 looked at, 1 lines refused",
        "session        2 bars inside (67%)",
        "refused        line 2: open is 'x'",
        "first          NSE,SBIN,2024-01-02T09:15:00+05:30,600.00,600.20,599.85,600.10,1000,",
        "               NSE,SBIN,2024-01-02T15:29:00+05:30,618.70,618.90,618.55,618.80,1003,",
        "               NSE,SBIN,2024-01-02T15:59:00+05:30,1.00,1.00,1.00,1.00,1,",
    ]
    (facts,) = bare("layout", "SBIN.txt", "--json").json()
    assert (facts["layout"], facts["bars"], facts["inside"]) == ("bar-end-text", 3, 2)


def test_what_fits_none_becomes_a_table_that_reads_it(bare: Place) -> None:
    """stdout as it is can be appended to vendor.toml; then the file is read."""
    bare.write("mine.csv", own_text())
    shown = bare("layout", "mine.csv")
    assert (shown.code, shown.stderr) == (3, "")
    assert shown.stdout.startswith("# mine.csv fits none of the layouts:\n")
    assert "# gdfl: has no column 'Ticker' of layout gdfl\n" in shown.stdout
    bare.write("configs/vendor.toml", shown.stdout)
    again = bare("layout", "mine.csv")
    assert again.code == 0
    assert "stamp          bar-end, zone UTC" in again.stdout
    assert "session        375 bars inside (100%)" in again.stdout
    assert "NSE,SBIN,2024-01-25T09:15:00+05:30,600.00,600.20,599.85,600.10,7," in again.stdout


def test_what_a_file_does_not_show_is_left_to_be_written(bare: Place) -> None:
    bare.write("mine.csv", own_text().replace("Exch", "Note").replace("NSE", "x"))
    shown = bare("layout", "mine.csv")
    assert "# Not shown by the file, and to be written: exchange" in shown.stdout
    bare.write("configs/vendor.toml", shown.stdout)
    again = bare("layout", "mine.csv")
    assert (again.code, 'needs exchange = "NSE"' in again.sentence) == (78, True)


@pytest.mark.parametrize(
    ("name", "content", "arguments", "words"),
    [
        ("x.csv", "<html>", (), "x.csv is a web page and no data: download it again"),
        ("x.csv", "<!DOCTYPE html>", (), "x.csv is a web page"),
        ("x.csv", "a,b\n1,2\n", (), "x.csv has no lines of columns with , ; tab or | between"),
        (
            "x.csv",
            "a,b\n1,2\n",
            ("--layout", "gdfl"),
            "x.csv has no column 'Ticker' of layout gdfl",
        ),
        (
            "SBIN.csv",
            kite_text(range(3)),
            ("--layout", "kite"),
            "SBIN.csv is not named like kite_",
        ),
        (
            "x.txt",
            "<ticker>,<date>,<time>,<open>,<high>,<low>,<close>,<vol>\n"
            "SBIN,05/01/2024,09:15:00,1,1,1,1,7\n",
            (),
            "x.txt fits metastock and metastock-day-first: name the right one with --layout",
        ),
    ],
)
def test_a_file_that_would_be_refused(
    bare: Place, name: str, content: str, arguments: tuple[str, ...], words: str
) -> None:
    bare.write(name, content)
    shown = bare("layout", name, *arguments)
    assert (shown.code, shown.stderr) == (3, "")
    assert words in shown.stdout.splitlines()[-1]
    (facts,) = bare("layout", name, *arguments, "--json").json()
    assert facts["layout"] is None
    assert facts["message"] in words or words.partition(" ")[2] in facts["message"]


def test_a_packed_file_is_looked_at_as_it_is(bare: Place) -> None:
    (bare.folder / "SBIN.txt.gz").write_bytes(gzip.compress(vendor_text("SBIN").encode("utf-16")))
    shown = bare("layout", "SBIN.txt.gz")
    assert "session        375 bars inside (100%)" in shown.stdout
