"""`layout FILE`: its suggestion reads back what was written, or nothing can become golden."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_made_up import prices, rupees

from kite_bar_history.errors import VendorFileError
from kite_bar_history.protocol import Window
from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files import looking
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.layouts import parse_layouts
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.suggesting import Suggestion, explained, suggest
from kite_bar_history.vendor_files.values import Fault, Roster
from kite_bars_store.bars import NO_OI, BarInstrument, load_rules
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_contracts.sessions import SessionCalendar
from kite_runtime.clock import IST

JUDGE = SessionJudge(SessionCalendar.load(), load_rules(None).phases)
HERE = Path("vendor.toml")
DAYS = [date(2024, 1, day) for day in (2, 5, 8, 25, 30)]
"""Some of which could be months."""
NAMES = {
    "plain": ("symbol", "exchange", "date", "time", "open", "high", "low", "close", "volume", "oi"),
    "marked": (
        *("<Ticker>", "Exch", "<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"),
        "<OPENINT>",
    ),
    "short": ("Stock", "exchange", "Day", "Time", "O", "H", "L", "C", "Vol", "Open Interest"),
}
FIELDS = ("symbol", "exchange", "date", "time", "open", "high", "low", "close", "volume", "oi")
MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%d/%m/%Y %H:%M", "epoch", "epoch-ms",
           "excel", "%m-%d-%Y %H:%M")  # fmt: skip
SPLIT = ("%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%b-%Y", "%Y-%m-%d")
CLOCKS = ("%H:%M:%S", "%H:%M", "%H%M", "%H%M%S")
SHIFTS = {"bar-start": 0, "bar-end": 60, "last-second": 59}


@dataclass(frozen=True)
class Way:
    """How a file is written."""

    names: str | None = "plain"
    delimiter: str = ","
    fields: tuple[str, ...] = ("symbol", "exchange", "date", "time", *FIELDS[4:])
    date_format: str = "%Y%m%d"
    time_format: str = "%H:%M:%S"
    utc: bool = False
    stamp: str = "bar-start"
    encoding: str = "utf-8"
    grouped: bool = False
    pointed: bool = False
    minutes: tuple[tuple[date, int], ...] = tuple((DAYS[3], at) for at in range(375))


def written(way: Way) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=way.delimiter)
    if way.names:
        writer.writerow(NAMES[way.names][FIELDS.index(each)] for each in way.fields)
    for day, at in way.minutes:
        opens = datetime(day.year, day.month, day.day, 9, 15, tzinfo=IST) + timedelta(minutes=at)
        stamp = (opens + timedelta(seconds=SHIFTS[way.stamp])).astimezone(UTC if way.utc else IST)
        *ohlc, volume = prices(at)
        values = dict(zip(FIELDS[4:8], (_price(each, way) for each in ohlc), strict=True))
        values |= {"symbol": "SBIN", "exchange": "NSE", "oi": f"{at + 1}"}
        values["volume"] = f"{volume}.0" if way.pointed else f"{volume}"
        values["date"] = _time(stamp, way.date_format)
        values["time"] = _time(stamp, way.time_format)
        writer.writerow(values[each] for each in way.fields)
    return text.getvalue().encode(way.encoding)


def _price(paise: int, way: Way) -> str:
    return f"{(paise + 90_000) / 100:,.2f}" if way.grouped else rupees(paise + 90_000)


def _time(stamp: datetime, form: str) -> str:
    match form:
        case "epoch":
            return f"{int(stamp.timestamp())}"
        case "epoch-ms":
            return f"{int(stamp.timestamp())}000"
        case "excel":
            bare = stamp.replace(tzinfo=None) - datetime(1899, 12, 30)
            return f"{bare.total_seconds() / 86400:.10f}"
    return stamp.strftime(form)


def expected(way: Way, mapped: Collection[str]) -> set[tuple[int, ...]]:
    found = set()
    for day, at in way.minutes:
        opens = datetime(day.year, day.month, day.day, 9, 15, tzinfo=IST) + timedelta(minutes=at)
        *ohlc, volume = prices(at)
        oi = at + 1 if "oi" in mapped else NO_OI
        ohlc = [each + 90_000 for each in ohlc]
        found.add((int(opens.timestamp()) * 10**9, *ohlc, volume, oi))
    return found


def suggested(folder: Path, way: Way) -> tuple[Path, Suggestion | Fault]:
    path = folder / "SBIN.csv"
    path.write_bytes(written(way))
    file = looking.opened(path)
    assert not isinstance(file, Fault)
    return path, suggest(file, JUDGE)


def read_back(folder: Path, path: Path, table: str) -> set[tuple[int, ...]]:
    listed = [Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE")]
    asked = Asked(Roster(listed), 0, 1 << 62)
    files = VendorFiles(parse_layouts(table, HERE), asked, Spool(folder / "spool"), JUDGE)
    files.load(path, lambda lines: None)
    since = datetime(2023, 1, 1, tzinfo=UTC)
    found = set()
    for interval in ("m1", "d1"):
        for said in files.read(Window(listed, interval, since, since.replace(2027))).bars:
            rows = zip(*list(said.bars.as_dict().values())[1:], strict=True)
            found |= {tuple(map(int, row)) for row in rows}
    files.close()
    return found


@st.composite
def ways(draw: st.DrawFn) -> Way:
    split = draw(st.booleans())
    fields = [*(("date",) if split else ()), "time", *FIELDS[4:8], "volume"]
    optional = draw(st.lists(st.sampled_from(["symbol", "exchange", "oi"]), unique=True))
    names = draw(st.sampled_from([None, *NAMES]))
    fields += [each for each in optional if each != "oi"]
    if names:
        fields = draw(st.permutations([*fields, *(["oi"] if "oi" in optional else [])]))
    else:
        front = [each for each in ("symbol", "exchange", "date", "time") if each in fields]
        fields = [*front, *FIELDS[4:9], *(["oi"] if "oi" in optional else [])]
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True))
    whole = draw(st.booleans())
    some = st.lists(st.integers(0, 374), min_size=1, max_size=40, unique=True)
    minutes = [(day, at) for day in days for at in (range(375) if whole else draw(some))]
    return Way(
        names,
        draw(st.sampled_from(",;\t|")),
        tuple(fields),
        draw(st.sampled_from(SPLIT)),
        draw(st.sampled_from(CLOCKS if split else MOMENTS)),
        draw(st.booleans()),
        draw(st.sampled_from(["bar-start", "bar-end", "last-second"])),
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        draw(st.booleans()),
        draw(st.booleans()),
        tuple(minutes),
    )


def seconds_are_written(way: Way) -> bool:
    """A stamp of 09:15:59 that is written as 09:15 is the stamp of a beginning."""
    if way.stamp != "last-second":
        return True
    return "%S" in way.time_format or way.time_format in ("epoch", "epoch-ms", "excel")


@given(ways().filter(seconds_are_written))
@settings(max_examples=150, deadline=None)
def test_a_suggestion_reads_back_what_was_written_or_nothing(way: Way) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, found = suggested(folder, way)
        if isinstance(found, Fault):
            return
        table = found.text({"exchange": "NSE"} if "exchange" in found.open else {})
        if set(found.open) - {"exchange"}:
            with pytest.raises(VendorFileError, match="needs"):
                parse_layouts(table, HERE)
            return
        read = read_back(folder, path, table)
        assert read in (set(), expected(way, found.columns))


DECIDED = [
    Way(),
    Way(names="marked", delimiter=";", stamp="bar-end", utc=True, date_format="%d/%m/%Y"),
    Way(names="short", date_format="%m/%d/%Y", time_format="%H%M", grouped=True),
    Way(names=None, date_format="%d-%b-%Y", stamp="last-second", encoding="utf-16"),
    Way(fields=("time", *FIELDS[4:9]), time_format="epoch-ms", pointed=True, delimiter="\t"),
    Way(fields=("time", *FIELDS[4:9]), time_format="excel", utc=True),
    Way(names=None, fields=("time", *FIELDS[4:9]), time_format="%Y-%m-%dT%H:%M:%S%z", utc=True),
    Way(fields=("oi", *FIELDS[4:9], "time", "symbol"), time_format="%d/%m/%Y %H:%M"),
]


@pytest.mark.parametrize("way", DECIDED)
def test_whole_days_decide_everything_but_the_exchange(tmp_path: Path, way: Way) -> None:
    path, found = suggested(tmp_path, way)
    assert isinstance(found, Suggestion), found
    assert set(found.open) <= {"exchange"}
    assert ("exchange" in found.open) == ("exchange" not in way.fields)
    table = found.text({"exchange": "NSE"} if found.open else {})
    assert read_back(tmp_path, path, table) == expected(way, found.columns)


@pytest.mark.parametrize(
    ("way", "key", "words"),
    [
        (replace(DECIDED[0], minutes=((DAYS[0], 100),)), "stamp", "does 09:16 mean"),
        (
            Way(date_format="%d/%m/%Y", minutes=tuple((DAYS[1], at) for at in range(375))),
            "date_format",
            "'05/01/2024' is '%d/%m/%Y' or '%m/%d/%Y'",
        ),
        (
            Way(minutes=tuple((DAYS[0], at) for at in range(5, 40))),
            "time_zone",
            'write time_zone = "Asia/Kolkata" or "UTC"',
        ),
    ],
)
def test_what_a_file_does_not_show_is_to_be_written(
    tmp_path: Path, way: Way, key: str, words: str
) -> None:
    _, found = suggested(tmp_path, way)
    assert isinstance(found, Suggestion)
    assert words in found.open[key]
    assert f"# {key}: " in explained(found, ["x fits none"])
    with pytest.raises(VendorFileError):
        parse_layouts(found.text(), HERE)


@pytest.mark.parametrize(
    ("written_as", "read_as", "bars", "reason"),
    [
        ("bar-end", "bar-start", 375, "WRONG_HOURS"),
        ("bar-start", "bar-end", 375, "WRONG_HOURS"),
        ("bar-start", "bar-start", 375, None),
        ("bar-end", "bar-end", 375, None),
        ("bar-start", "bar-start", 374, None),
        ("bar-end", "bar-start", 30, None),  # too few to show anything
    ],
)
def test_a_stamp_of_the_other_end_is_seen_at_the_edges_of_a_day(
    tmp_path: Path, written_as: str, read_as: str, bars: int, reason: str | None
) -> None:
    minutes = tuple((DAYS[3], at) for at in range(375 - bars, 375))
    way = Way(fields=FIELDS, stamp=written_as, minutes=minutes)
    path = tmp_path / "SBIN.csv"
    path.write_bytes(written(way))
    found = Suggestion("mine", {"format": "csv", "adjusted": False, "stamp": read_as,
                                "date_format": way.date_format, "time_format": way.time_format,
                                "time_zone": "Asia/Kolkata"})  # fmt: skip
    found.columns = dict(zip(FIELDS, NAMES["plain"], strict=True))
    read = read_back(tmp_path, path, found.text())
    assert (read == set()) == (reason is not None)
    assert (read == expected(way, FIELDS)) == (written_as == read_as)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "no lines of columns"),
        ("symbol,time,open,high,low,price\nSBIN,2024-01-02 09:15,1,1,1,1\n", "that is the close"),
        ("symbol,time,open,high,low,close,v\nSBIN,half past,1,1,1,1,1\n", "half past"),
        ("symbol,time,open,high,low,close,v\n", "no line below"),
        ("symbol,time,open,low,high,close,v\nSBIN,2024-01-02 09:15,2,3,1,2,9\n", "another order"),
        ("SBIN,2024-01-02 09:15,1,2,3,4,5,6,7\n", "7 columns of numbers and no names"),
    ],
)
def test_what_is_no_file_of_bars(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content)
    file = looking.opened(path)
    assert not isinstance(file, Fault)
    found = suggest(file, JUDGE)
    assert isinstance(found, Fault)
    assert words in found.message
