"""Files as people have them: of each kind a few lines, with the bars or the words they come to."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from kite_bar_history.protocol import RefusedLine, Window
from kite_bar_history.summary import FileReport
from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files.blocks import BlockReader
from kite_bar_history.vendor_files.contracts import Contracts
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import frame_of
from kite_bar_history.vendor_files.layouts import load_layouts, parse_layouts
from kite_bar_history.vendor_files.lines import read_line
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.values import Fault, Roster
from kite_bars_store.bars import NO_OI, BarInstrument
from kite_bars_store.instruments import Validity
from kite_contracts.sessions.model import ist

LAYOUTS = load_layouts(None)
FIRST_DUMP = date(2025, 6, 2)
MINE = """
[layout.mine]
format = "csv"
time_zone = "Asia/Kolkata"
stamp = "bar-start"
adjusted = false
exchange = "NSE"
time_format = "%Y-%m-%d %H:%M"
[layout.mine.columns]
symbol = "symbol"
time = "time"
open = "o"
high = "h"
low = "l"
close = "c"
volume = "v"
"""
HEADER = "symbol,time,o,h,l,c,v"


def listed(name: str) -> Listed:
    exchange, symbol = name.split(":")
    segment = "INDICES" if symbol.startswith("NIFTY ") else exchange
    return Listed(BarInstrument(exchange, symbol, 2, 5), segment)


def contract(symbol: str, expiry: str, strike: int | None = None, kind: str = "FUT") -> Validity:
    """Of NIFTY, on NFO, from the first dump until the day after it expired."""
    day = date.fromisoformat(expiry)
    gone = date.fromordinal(day.toordinal() + 1)
    paise = None if strike is None else strike * 100
    known = ("NFO", symbol, 1, 1, "NIFTY", day, paise, 2, 5, 75, kind, f"NFO-{kind}")
    return Validity(*known, FIRST_DUMP, gone, 1)


class History:
    """The part of the instrument history that is asked."""

    def __init__(self, *known: Validity) -> None:
        self.known = known

    def histories(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[Validity]]:
        wanted = set(keys)
        own = [(each.exchange, each.tradingsymbol) for each in self.known]
        return {key: [e for e, k in zip(self.known, own, strict=True) if k == key]
                for key in own if key in wanted}  # fmt: skip

    def futures(self, exchange: str, underlying: str) -> list[Validity]:
        return [e for e in self.known if (e.exchange, e.name) == (exchange, underlying)
                and e.instrument_type == "FUT"]  # fmt: skip


HISTORY = History(
    contract("NIFTY25JUNFUT", "2025-06-26"),
    contract("NIFTY25JULFUT", "2025-07-31"),
    contract("NIFTY25AUGFUT", "2025-08-28"),
    contract("NIFTY2570322800CE", "2025-07-03", 22800, "CE"),
    contract("NIFTY2570322800PE", "2025-07-03", 22800, "PE"),
)


@dataclass
class Loaded:
    report: FileReport
    refused: list[RefusedLine] = field(default_factory=list)
    bars: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    """By instrument: time in India, prices in paise, volume, oi."""


def load(
    folder: Path, name: str, content: str | bytes, *asked: str, table: str | None = None
) -> Loaded:
    """Read one file by the delivered layouts, or those of ``table``."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    own = [listed(each) for each in asked or ("NSE:SBIN",)]
    layouts = LAYOUTS if table is None else parse_layouts(table, Path("vendor.toml"))
    roster = Roster(own, Contracts(own, HISTORY))
    files = VendorFiles(layouts, Asked(roster, 0, 1 << 62), Spool(folder / "spool"))
    refused: list[RefusedLine] = []
    found = Loaded(files.load(path, refused.extend), refused)
    for interval in ("m1", "d1"):
        for year in (2018, 2024, 2025, 2026):
            window = (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
            reading = files.read(Window(own, interval, *window))
            refused += reading.refused
            for said in reading.bars:
                for row in zip(*said.bars.as_dict().values(), strict=True):
                    at, ts_ns, *values = map(int, row)
                    bar = (f"{ist(ts_ns):%Y-%m-%d %H:%M}", *values)
                    found.bars.setdefault(said.instruments[at].name, []).append(bar)
    files.close()
    return found


def with_keys(**more: str) -> str:
    """`MINE` with other keys."""
    keys = "\n".join(f"{key} = {value}" for key, value in more.items())
    kept = [line for line in MINE.splitlines() if line.partition(" =")[0] not in more]
    return "\n".join([*kept, ""]).replace("[layout.mine]\n", f"[layout.mine]\n{keys}\n")


OHLC = "640,641.5,639.1,641"
PAISE = (64000, 64150, 63910, 64100)
BRACKETS = "<ticker>,<date>,<time>,<open>,<high>,<low>,<close>,<vol>"


def test_days_and_months_the_other_way_round_are_no_bars(tmp_path: Path) -> None:
    """The first lines could be either; a later one shows that all were read wrong."""
    days = [f"SBIN,{n:02}-01-2024 09:15,{OHLC},7" for n in (5, 8, 25)]
    table = with_keys(time_format='"%m-%d-%Y %H:%M"')
    found = load(tmp_path, "SBIN.csv", "\n".join([HEADER, *days]) + "\n", table=table)
    assert (found.report.reason, found.bars) == ("WRONG_DATES", {})
    assert "as in line 4" in found.report.message
    more = [f"SBIN,05-01-2024 09:15,{OHLC},7"] * 150_000
    packed = gzip.compress("\n".join([HEADER, *days, *more]).encode(), 0)
    cut = load(tmp_path, "SBIN.csv.gz", packed[:-50_000], table=table)
    assert (cut.report.reason, cut.bars) == ("WRONG_DATES", {})


def test_gdfl_contracts_are_found_in_the_history(tmp_path: Path) -> None:
    lines = [
        f"20MICRONS.NSE,25/06/2025,09:15:59,{OHLC},7,0",
        f"NIFTY 50.NSE_IDX,25/06/2025,09:15:59,{OHLC},0,0",
        f"NIFTY03JUL2522800CE.NFO,25/06/2025,09:15:59,{OHLC},75,150",
        f"NIFTY03JUL2522900CE.NFO,25/06/2025,09:15:59,{OHLC},75,150",
        f"NIFTY31JUL25FUT.NFO,25/06/2025,09:15:59,{OHLC},75,300",
        f"NIFTY-I.NFO,26/06/2025,15:29:59,{OHLC},75,450",
        f"NIFTY-I.NFO,27/06/2025,09:15:59,{OHLC},150,450",
        f"NIFTY-II.NFO,27/06/2025,09:15:59,{OHLC},225,450",
    ]
    asked = ("NSE:20MICRONS", "NSE:NIFTY 50", "NFO:NIFTY2570322800CE", "NFO:NIFTY25JUNFUT",
             "NFO:NIFTY25JULFUT")  # fmt: skip
    found = load(tmp_path, "GFDLNFO_25062025.csv", "\n".join(lines) + "\n", *asked)
    assert (found.report.layout, found.refused) == ("gdfl-no-header", [])
    assert found.report.not_asked == 2  # another strike, and NIFTY-II
    own = "2025-06-25 09:15"
    assert found.bars == {
        "NSE:20MICRONS": [(own, *PAISE, 7, NO_OI)],
        "NSE:NIFTY 50": [(own, *PAISE, 0, NO_OI)],
        "NFO:NIFTY2570322800CE": [(own, *PAISE, 75, 150)],
        "NFO:NIFTY25JUNFUT": [("2025-06-26 15:29", *PAISE, 75, 450)],
        "NFO:NIFTY25JULFUT": [
            (own, *PAISE, 75, 300),
            ("2025-06-27 09:15", *PAISE, 150, 450),
        ],
    }


def test_a_continuous_name_before_the_history_is_no_contract(tmp_path: Path) -> None:
    """The nearest known one expires later than the one that was meant."""
    lines = [f"NIFTY-I.NFO,{day}/2025,09:15:59,{OHLC},75,0" for day in ("20/05", "02/06")]
    lines.append(f"NIFTY-III.NFO,25/07/2025,09:15:59,{OHLC},75,0")
    asked = ("NFO:NIFTY25JUNFUT", "NFO:NIFTY25AUGFUT")
    found = load(tmp_path, "x.csv", "\n".join(lines) + "\n", *asked)
    assert found.bars == {"NFO:NIFTY25JUNFUT": [("2025-06-02 09:15", *PAISE, 75, NO_OI)]}
    assert [line.reason for line in found.refused] == ["UNKNOWN_CONTRACT"] * 2
    assert found.refused[0].message == (
        "NIFTY-I.NFO on 2025-05-20 names no contract: the instrument history has fewer than 1 "
        "futures of NIFTY on NFO on that day"
    )


def test_a_stamp_that_is_no_last_second(tmp_path: Path) -> None:
    lines = [
        f"SBIN.NSE,25/06/2025,09:1{n}:{s},{OHLC},7,0" for n, s in ((5, 59), (6, 58), (7, "00"))
    ]
    found = load(tmp_path, "x.csv", "\n".join(lines) + "\n")
    assert [bar[0] for bar in found.bars["NSE:SBIN"]] == ["2025-06-25 09:15"]
    assert {line.message for line in found.refused} == {
        'the second is not 59, as stamp = "last-second" has it'
    }


CASH = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,ISIN,"
UDIFF = (
    "TradDt,Sgmt,Src,FinInstrmTp,TckrSymb,SctySrs,XpryDt,StrkPric,OptnTp,OpnPric,HghPric,LwPric,"
    "ClsPric,OpnIntrst,TtlTradgVol,NewBrdLotQty"
)


def test_udiff_of_derivatives_has_lots_and_untraded_contracts(tmp_path: Path) -> None:
    """What was not traded gives its open interest; without that there is nothing to keep."""
    head = "2025-06-25,FO,NSE"
    lines = [
        UDIFF,
        f"{head},IDF,NIFTY,,2025-07-31,,,{OHLC},16051800,571,75",
        f"{head},IDO,NIFTY,,2025-07-03,22800.00,CE,0.00,0.00,0.00,12.50,150,0,75",
        f"{head},IDO,NIFTY,,2025-07-03,22800.00,PE,0.00,0.00,0.00,9.00,0,0,75",
        f"{head},IDO,NIFTY,,2025-07-03,22900.00,CE,0.00,0.00,0.00,9.00,0,0,75",
    ]
    asked = ("NFO:NIFTY25JULFUT", "NFO:NIFTY2570322800CE", "NFO:NIFTY2570322800PE")
    name = "BhavCopy_NSE_FO_0_0_0_20250625_F_0000.csv"
    found = load(tmp_path, name, "\n".join(lines) + "\n", *asked)
    assert (found.report.layout, found.refused) == ("nse-udiff-derivatives", [])
    day = "2025-06-25 00:00"
    assert found.bars == {
        "NFO:NIFTY25JULFUT": [(day, *PAISE, 571 * 75, 16051800)],
        "NFO:NIFTY2570322800CE": [(day, 1250, 1250, 1250, 1250, 0, 150)],
    }
    assert found.report.not_asked == 2


ZIPPED = io.BytesIO()
with zipfile.ZipFile(ZIPPED, "w") as inside:
    inside.writestr("data/SBIN.csv", f"{HEADER}\nSBIN,2024-01-02 09:15,{OHLC},7\n")
    inside.writestr("__MACOSX/._SBIN.csv", "x")


@pytest.mark.parametrize(
    ("day", "moment", "forms"),
    [
        ("20240102.0", "915.0", ("%Y%m%d", "%H%M")),
        ("20240102", "91500", ("%Y%m%d", "%H%M%S")),
        ("45293", "0.385416666666667", ("excel", "excel")),
        ("45293.0", "0.3854167", ("excel", "excel")),
    ],
)
def test_dates_and_times_of_spreadsheets(
    tmp_path: Path, day: str, moment: str, forms: tuple[str, str]
) -> None:
    table = with_keys(date_format=f'"{forms[0]}"', time_format=f'"{forms[1]}"')
    table += 'date = "day"\n'
    content = f"{HEADER},day\nSBIN,{moment},{OHLC},7,{day}\n"
    found = load(tmp_path, "x.csv", content, table=table)
    assert found.bars == {"NSE:SBIN": [("2024-01-02 09:15", *PAISE, 7, NO_OI)]}


def test_a_zip_of_several_files_is_to_be_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "2")
    several = load(tmp_path, "x.zip", packed.getvalue())
    assert several.report.message == "is a zip with 2 files: unpack it and name the folder"
    cut = load(tmp_path, "x.zip", packed.getvalue()[:40])
    assert (cut.report.reason, "cut zip" in cut.report.message) == ("NOT_TEXT", True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "symbol,time,o,h,c,v\nSBIN,2024-01-02 09:15,1,1,1,1\n",
            "has no column 'l' of layout mine",
        ),
        (
            f"{HEADER}\nSBIN,02/01/2024 09:15,{OHLC},7\n",
            "line 2: time is '02/01/2024 09:15', not written as '%Y-%m-%d %H:%M': write "
            'time_format = "%d/%m/%Y %H:%M" or "%m/%d/%Y %H:%M" in a layout for it',
        ),
        (
            f"{HEADER}\nSBIN,1704167100000,{OHLC},7\n",
            'write time_format = "epoch-ms" in a layout for it',
        ),
        (f"{HEADER}\nSBIN,2024-01-02 09:15,640,641.5,639.1,n/a,7\n", "line 2: close is 'n/a'"),
        (f"{HEADER}\nSBIN,2024-01-02 09:15,{OHLC}\n", "line 2: 6 columns instead of 7"),
        (
            f"{HEADER}\nSBIN,2024-01-02 09:15:59,{OHLC},7\n",
            "not written as '%Y-%m-%d %H:%M'",
        ),
    ],
)
def test_a_named_layout_says_what_does_not_fit(tmp_path: Path, content: str, words: str) -> None:
    found = load(tmp_path, "x.csv", content, table=MINE)
    assert found.report.reason in ("COLUMN_MISSING", "LINES_DIFFER")
    assert words in found.report.message, found.report.message


def test_a_named_layout_whose_symbol_is_in_the_name_of_the_file(tmp_path: Path) -> None:
    table = MINE.replace('symbol = "symbol"\n', "").replace(
        "[layout.mine]", "[layout.mine]\nfile_name = 'm_(?P<symbol>[A-Z]+).csv'", 1
    )
    found = load(tmp_path, "SBIN.csv", f"{HEADER}\nSBIN,2024-01-02 09:15,{OHLC},7\n", table=table)
    assert found.report.reason == "NAME_DIFFERS"
    assert "is not named like m_(?P<symbol>[A-Z]+).csv" in found.report.message


def test_parquet_has_the_same_ways(tmp_path: Path) -> None:
    """Times as numbers, rows to choose by a column, an index without volume."""
    table = pa.table(
        {
            "symbol": ["NIFTY 50", "NIFTY 50", "SBIN"],
            "series": ["IDX", "OLD", "IDX"],
            "time": [1704167100000, 1704167100000, 1704167100000],
            **{
                name: [price] * 3
                for name, price in zip("ohlc", (640, 641.5, 639.1, 641), strict=True)
            },
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    layout = with_keys(format='"parquet"', time_format='"epoch-ms"', keep='{series = ["IDX"]}')
    content = (tmp_path / "x.parquet").read_bytes()
    found = load(tmp_path, "x.parquet", content, "NSE:NIFTY 50", "NSE:SBIN", table=layout)
    assert found.bars == {"NSE:NIFTY 50": [("2024-01-02 09:15", *PAISE, 0, NO_OI)]}
    assert found.report.not_asked == 1
    assert [line.reason for line in found.refused] == ["NOT_A_VOLUME"]


GDFL_CELLS = (
    (
        "SBIN.NSE",
        "NIFTY-I.NFO",
        "NIFTY-II.NFO",
        "NIFTY03JUL2522800CE.NFO",
        "NIFTY99XXX25FUT.NFO",
        "",
    ),
    ("25/06/2025", "27/06/2025", "20/05/2025", "06/25/2025", "x"),
    ("09:15:59", "09:16:59", "09:15:00", "", "9"),
    ("640", "1,2", "-1", ""),
    ("641.5",),
    ("639.1", "700"),
    ("641",),
    ("7", "", "-7", "1e16"),
    ("150", "0", "", "x"),
)
UDIFF_CELLS = (
    ("2025-06-25", "2025-06-31"),
    ("FO", "CM"),
    ("NSE", " NSE ", "BSE"),
    ("NIFTY", "SBIN", ""),
    ("2025-07-31", "2025-07-03", "", "31-JUL-2025"),
    ("22800.00", "", "22800", "x"),
    ("CE", "PE", "", "XX", "ZZ"),
    ("640", "0.00"),
    ("641.5", "0.00"),
    ("639.1", "0.00"),
    ("641", "0.00", "12.50"),
    ("150", "0", ""),
    ("571", "0", "", "1e14", "1.5"),
    ("75", "0", "", "-75", "x"),
)
UDIFF_NAMES = "TradDt,Sgmt,Src,TckrSymb,XpryDt,StrkPric,OptnTp,OpnPric,HghPric,LwPric,ClsPric,OpnIntrst,TtlTradgVol,NewBrdLotQty"  # noqa: E501


@given(st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    ("layout", "header", "cells"),
    [("gdfl-no-header", "", GDFL_CELLS), ("nse-udiff-derivatives", UDIFF_NAMES, UDIFF_CELLS)],
)
def test_blocks_of_such_files_say_what_their_lines_say(
    layout: str, header: str, cells: Sequence[Sequence[str]], data: st.DataObject
) -> None:
    row = st.tuples(*(st.sampled_from([each[0], each[0], *each]) for each in cells))
    lines = [f"{','.join(each)}\n".encode() for each in data.draw(st.lists(row, max_size=40))]
    own = [listed(each) for each in ("NSE:SBIN", "NFO:NIFTY25JUNFUT", "NFO:NIFTY2570322800CE",
                                     "NFO:NIFTY25JULFUT")]  # fmt: skip
    roster = Roster(own, Contracts(own, HISTORY))
    made = frame_of(LAYOUTS[layout], header.encode(), "x.csv", None, roster, (0, 1 << 62))
    assert not isinstance(made, Fault)
    found = BlockReader(made).read(lines, 1)
    bars, refused, aside = [], [], 0
    for number, line in enumerate(lines, 1):
        text = line.decode().rstrip("\n")
        alone = read_line(text, made)
        if isinstance(alone, Fault):
            refused.append((number, text, alone))
        elif alone is None:
            aside += 1
        else:
            bars.append([*alone, number])
    assert found.bars.T.tolist() == bars
    assert (list(found.refused), found.aside) == (refused, aside)
