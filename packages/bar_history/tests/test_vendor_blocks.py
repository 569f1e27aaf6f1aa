"""Whole blocks say of every line what the line alone says."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from vendor_frames import LAYOUTS, frame_of, roster
from vendor_made_up import kite_text, vendor_line, vendor_text

from kite_bar_history.protocol import RefusedLine, Window
from kite_bar_history.vendor_files.blocks import BlockReader, BlockReading, Matrix
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import blocks_of, fitting, lines_at
from kite_bar_history.vendor_files.layouts import Layout
from kite_bar_history.vendor_files.lines import read_line
from kite_bar_history.vendor_files.opening import CutShort
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.values import Fault

LAYOUT = LAYOUTS["bar-end-text"]
GOOD = [f"{vendor_line('SBIN', at)}\n".encode() for at in range(200)]

CELLS = {
    0: ["INFY", " SBIN", "TCS", "SBEN", "", "ÄÖ"],
    1: ["20240229", "20230229", "", "x"],
    2: ["09:16", " 15:30", "24:00", "9:1", ""],
    3: ["600", "600.05", "-1", "nan", "", "1e308", "600.001", "6e2", "inf", "0x10", "1,5"],
    4: ["99999", "0", "1000000000", "1000000001", "abc"],
    5: ["0.05", "-1e9", "-1e10"],
    7: ["0", "-5", "1.0", "1.5", "1e16", "", "12345678901234", "+7"],
    8: ["", "0", "7", "-1", "x", "1e16"],
}
LINES = st.one_of(
    st.sampled_from([b"\n", b"SBIN,20240102\n", b'SBIN,"2024\n', b"\xff\xfe,1\n", b"a,b,c,\r\n"]),
    st.tuples(
        st.integers(0, 374),
        st.dictionaries(st.sampled_from(sorted(CELLS)), st.integers(0, 10), max_size=3),
        st.sampled_from(["\n", "\r\n"]),
    ).map(lambda made: _line(*made)),
)


def _line(at: int, changes: dict[int, int], end: str) -> bytes:
    cells = vendor_line("SBIN", at).split(",")
    for place, choice in changes.items():
        cells[place] = CELLS[place][choice % len(CELLS[place])]
    return (",".join(cells) + end).encode()


def alone(lines: list[bytes], layout: Layout = LAYOUT) -> BlockReading:
    """What every line says by itself."""
    frame = frame_of(layout)
    bars, refused, aside = [], [], 0
    for number, line in enumerate(lines, 1):
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        found = read_line(text, frame) if text.strip() else ()
        if isinstance(found, Fault):
            refused.append((number, text, found))
        elif found is None:
            aside += 1
        elif found:
            bars.append((*found, number))
    matrix: Matrix = np.array(bars, np.int64).reshape(-1, 9).T
    return BlockReading(matrix, refused, aside)


@given(st.lists(st.tuples(st.integers(0, 200), LINES), max_size=12))
@settings(max_examples=100)
def test_a_block_says_what_its_lines_say(odd: list[tuple[int, bytes]]) -> None:
    lines = list(GOOD)
    for place, line in odd:
        lines.insert(place, line)
    found, expected = BlockReader(frame_of(LAYOUT)).read(lines, 1), alone(lines)
    assert found.bars.tolist() == expected.bars.tolist()
    assert list(found.refused) == list(expected.refused)
    assert found.aside == expected.aside


def test_days_on_which_clocks_change() -> None:
    layout = replace(LAYOUT, time_zone=ZoneInfo("America/New_York"))
    cells = vendor_line("SBIN", 0).split(",", 3)[3]
    lines = [
        f"SBIN,2024{day},{hour:02}:31,{cells}\n".encode()
        for day in ("0309", "0310", "0311", "1103", "1104")
        for hour in range(24)
    ]
    found, expected = BlockReader(frame_of(layout)).read(lines, 1), alone(lines, layout)
    assert found.bars.tolist() == expected.bars.tolist()
    assert (len(set(found.bars[1].tolist())), found.refused) == (120 - 1, [])


@pytest.mark.parametrize("size", [1, 100, 4096, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_are_whole_lines_with_their_numbers(tmp_path: Path, size: int, end: str) -> None:
    lines = [f"{n}{'x' * (n % 50)}{end}".encode() for n in range(1, 300)] + [b"last"]
    for name, content in (("a.txt", b"".join(lines)), ("a.gz", gzip.compress(b"".join(lines)))):
        path = tmp_path / name
        path.write_bytes(content)
        found = [(first + at, line) for first, some in blocks_of(path, size) for at, line in
                 enumerate(some)]  # fmt: skip
        assert found == list(enumerate(lines, 1))
        assert lines_at(path, [300, 7]) == {7: lines[6], 300: b"last"}


def test_a_packed_file_that_is_cut_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "cut.txt.gz"
    noise = np.random.default_rng(1).integers(0, 10**9, 50_000)
    whole = gzip.compress("\n".join(map(str, noise.tolist())).encode())
    path.write_bytes(whole[: len(whole) // 2])
    found: list[bytes] = []

    def read() -> None:
        for _, lines in blocks_of(path, 1 << 16):
            found.extend(lines)

    with pytest.raises(CutShort):
        read()
    assert len(found) > 10_000


@pytest.mark.parametrize(
    ("name", "content", "layout"),
    [
        ("SBIN.txt", vendor_text("SBIN", range(3)), "bar-end-text"),
        ("SBIN.txt", "cut,line\n" + vendor_text("SBIN", range(3)), "bar-end-text"),
        ("kite_SBIN_2024-01-02.csv", kite_text(range(3)), "kite"),
        ("kite_SBIN.csv", kite_text(range(3)).lower().replace("\n", "\r\n"), "kite"),
        ("x.csv", "exchange,tradingsymbol,time,open,high,low,close,volume,oi\n", "plain"),
        ("SBIN.csv", kite_text(range(3)), "UNKNOWN_LAYOUT"),
        ("SBIN.txt", "SBIN,2024-01-02,09:16,1,1,1,1,1,0\n", "UNKNOWN_LAYOUT"),
        ("SBIN.txt", " \n\n", "EMPTY_FILE"),
        ("SBIN.txt", "\n <html>", "HTML_FILE"),
        ("SBIN.txt", "PK\0\0", "NOT_TEXT"),
    ],
)
def test_the_layout_is_found_by_name_and_content(name: str, content: str, layout: str) -> None:
    found = fitting(content.encode(), name, LAYOUTS, None)
    assert (found.reason if isinstance(found, Fault) else found.name) == layout


def test_two_layouts_that_fit_ask_for_a_name() -> None:
    two = {**LAYOUTS, "again": LAYOUT}
    found = fitting(vendor_text("SBIN", range(3)).encode(), "SBIN.txt", two, None)
    assert isinstance(found, Fault)
    assert found.reason == "AMBIGUOUS_LAYOUT"


def test_a_spool_gives_back_what_it_took(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    bars = random.integers(0, 50, (9, 1000))
    bars[8] = np.arange(1000)
    spool = Spool(tmp_path, piece_rows=150)
    for at in range(0, 1000, 100):
        spool.add(np.ascontiguousarray(bars[:, at : at + 100]), at // 500)
    found = spool.take([3, 7, 60], 10, 40)
    inside = np.isin(bars[0], [3, 7]) & (bars[1] >= 10) & (bars[1] < 40)
    assert found[:9].tolist() == bars[:, inside].tolist()
    assert found[9].tolist() == (np.flatnonzero(inside) // 500).tolist()
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_parquet_says_what_text_says(tmp_path: Path) -> None:
    frame = frame_of(LAYOUT)
    rows = [read_line(vendor_line("SBIN", at), frame) for at in range(300)]
    bars = [row for row in rows if row is not None and not isinstance(row, Fault)]
    table = pa.table(
        {
            "ticker": pa.array(["SBIN"] * 300).dictionary_encode(),
            "timestamp": pa.array([row[1] for row in bars], pa.timestamp("ns", "UTC")),
            **{
                name: pa.array([row[at] / 100 for row in bars], kind)
                for at, (name, kind) in enumerate(
                    [("open", pa.float64()), ("high", pa.float32()), ("low", pa.float64())], 2
                )
            },
            "close": pa.array([str(row[5] / 100) for row in bars]),
            "volume": pa.array([-1 if at == 5 else row[6] for at, row in enumerate(bars)]),
        }
    )
    parquet.write_table(table, tmp_path / "day.parquet")
    asked = Asked(roster(), 0, 1 << 62)
    files = VendorFiles(LAYOUTS, asked, Spool(tmp_path / "spool"))
    refused: list[RefusedLine] = []
    report = files.load(tmp_path / "day.parquet", refused.extend)
    assert (report.layout, report.rows, report.reason) == ("minutes-parquet", 300, None)
    (line,) = refused
    assert (line.line, line.reason) == (6, "NEGATIVE_VOLUME")
    assert line.raw.startswith("NSE,SBIN,2024-01-02T09:20:00+05:30,600.25,")
    (said,) = files.read(_everything()).bars
    expected = [row for at, row in enumerate(bars) if at != 5]
    columns = said.bars.as_dict()
    assert [list(column) for column in columns.values()] == [
        list(column) for column in zip(*expected, strict=True)
    ]


@pytest.mark.parametrize(
    ("paise", "reason"),
    [
        (12_345, None),
        (9_999_995, None),  # 99999.95
        (10_000_005, None),  # 100000.05 has eight digits, seven of which are certain
        (12_345_675, None),
        (13_107_205, None),  # from 131072 on two paise are one float, two ticks are not
        (52_428_795, None),
        (52_428_805, "PRICE_TOO_FINE"),  # from 524288 on ticks are too near to one another
        (104_857_650, "PRICE_TOO_FINE"),
        (1_234_567, None),  # off the tick grid, as after an adjustment, and yet certain
        (13_107_207, "PRICE_TOO_FINE"),  # off the grid, and no longer certain
    ],
)
def test_prices_in_32_bits_are_the_one_price_that_they_can_be_or_refused(
    tmp_path: Path, paise: int, reason: str | None
) -> None:
    prices = pa.array([paise / 100], pa.float32())
    table = pa.table(
        {
            "ticker": ["SBIN"],
            "timestamp": pa.array([datetime(2024, 1, 2, 4, tzinfo=UTC)]),
            **dict.fromkeys(("open", "high", "low", "close"), prices),
            "volume": pa.array([100.0], pa.float32()),
        }
    )
    parquet.write_table(table, tmp_path / "day.parquet")
    files = VendorFiles(LAYOUTS, Asked(roster(), 0, 1 << 62), Spool(tmp_path / "spool"))
    refused: list[RefusedLine] = []
    files.load(tmp_path / "day.parquet", refused.extend)
    assert [each.reason for each in refused] == ([] if reason is None else [reason])
    found = [each.bars.close.tolist() for each in files.read(_everything()).bars]
    assert found == ([[paise]] if reason is None else [])


@pytest.mark.parametrize(
    ("paise", "reason"),
    [
        (3_105, None),  # 31.05 is one of 31.03125, 31.0625, … and no other tick is as near
        (6_395, None),
        (6_405, "PRICE_TOO_FINE"),  # from 64 on ticks are too near to one another
        (64_005, "PRICE_TOO_FINE"),
        (204_935, "PRICE_TOO_FINE"),  # 2050, which is a price, too
    ],
)
def test_prices_in_16_bits_are_never_silently_off(
    tmp_path: Path, paise: int, reason: str | None
) -> None:
    prices = pa.array([np.float16(paise / 100)], pa.float16())
    table = pa.table(
        {
            "ticker": ["SBIN"],
            "timestamp": pa.array([datetime(2024, 1, 2, 4, tzinfo=UTC)]),
            **dict.fromkeys(("open", "high", "low", "close"), prices),
            "volume": pa.array([100]),
        }
    )
    parquet.write_table(table, tmp_path / "day.parquet")
    files = VendorFiles(LAYOUTS, Asked(roster(), 0, 1 << 62), Spool(tmp_path / "spool"))
    refused: list[RefusedLine] = []
    files.load(tmp_path / "day.parquet", refused.extend)
    assert [each.reason for each in refused] == ([] if reason is None else [reason])
    assert all("close is a float of 16 bits" in each.message for each in refused)
    found = [each.bars.close.tolist() for each in files.read(_everything()).bars]
    assert found == ([[paise]] if reason is None else [])


@pytest.mark.parametrize(
    ("count", "kind", "good"),
    [
        (2.0**24 - 1, pa.float32(), True),
        (2.0**24, pa.float32(), False),
        (2.0**11 - 1, pa.float16(), True),
        (2.0**11, pa.float16(), False),
    ],
)
def test_volumes_in_few_bits_are_refused_where_digits_are_lost(
    tmp_path: Path, count: float, kind: pa.DataType, good: bool
) -> None:
    table = pa.table(
        {
            "ticker": ["SBIN", "TCS"],  # nobody asked for TCS
            "timestamp": pa.array([datetime(2024, 1, 2, 4, tzinfo=UTC)] * 2),
            **dict.fromkeys(("open", "high", "low", "close"), pa.array([100.0, 100.0])),
            "volume": pa.array(np.array([count, count], kind.to_pandas_dtype()), kind),
        }
    )
    parquet.write_table(table, tmp_path / "day.parquet")
    files = VendorFiles(LAYOUTS, Asked(roster(), 0, 1 << 62), Spool(tmp_path / "spool"))
    refused: list[RefusedLine] = []
    report = files.load(tmp_path / "day.parquet", refused.extend)
    assert [each.reason for each in refused] == ([] if good else ["NOT_A_VOLUME"])
    assert report.not_asked == 1


def _everything() -> Window:
    since = datetime(2024, 1, 1, tzinfo=UTC)
    return Window(roster().asked, "m1", since, since.replace(month=2))
