"""The table of `test_true_bars`: a row is a case of what once brought a wrong golden bar in silence,
or one of its neighbours, which must not be refused along with it.

Prices are in rupees, as files have them.
"""
# ruff: noqa: E501 (a line of a file is a line here)

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from vendor_made_up import kite_text, minute, vendor_line, vendor_text

from kite_broker_zerodha.errors import KiteUnavailable

DAY: Final = "2024-01-02"
OHLC: Final = "640,641.5,639.1,641"
BAR: Final = "640.00 641.50 639.10 641.00"
QUARTERS: Final = range(0, 375, 15)


@dataclass(frozen=True)
class Listing:
    """An instrument in the dumps of ``since`` and later ones; of ``until`` and later ones not."""

    name: str
    token: int = 256
    segment: str = ""
    underlying: str = ""
    expiry: str | None = None
    strike: int | None = None
    type: str = "FUT"
    since: str = "2020-01-01"
    until: str = "2099-01-01"


@dataclass(frozen=True)
class Case:
    """``files`` by name; ``first`` are merged by a run before. ``golden`` are the bars in the order
    of time, the first ones if there are ``count``; ``words`` are in what is printed. ``known`` is
    what the instrument history has, ``kite`` how Kite answers, by token.
    """

    name: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    golden: Sequence[str] = ()
    words: Sequence[str] = ()
    code: int = 3
    count: int | None = None
    asked: Sequence[str] = ("NSE:SBIN",)
    day: str = DAY
    interval: str = "m1"
    layout: str | None = None
    first: Mapping[str, str] = field(default_factory=dict)
    known: Sequence[Listing] = ()
    kite: Mapping[int, Sequence[datetime] | Exception] | None = None
    kite_asked: Sequence[int] = ()


SBIN_BAR: Final = f"NSE:SBIN {DAY} 09:15 {BAR} 7 - VENDOR_ONLY"


def packed(names: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in names.items():
            archive.writestr(name, text)
    return content.getvalue()


def plain(*lines: str) -> str:
    """A file of the layout ``plain``."""
    head = "exchange,tradingsymbol,time,open,high,low,close,volume,oi"
    return "\n".join([head, *lines]) + "\n"


def volumes(symbol: str, volume: Mapping[int, int], *, running: bool = False) -> str:
    """Twenty-five minutes of 100 traded each, but for those given; ``running`` adds them up."""
    total, lines = 0, []
    for at in range(25):
        traded = volume.get(at, 100)
        total += traded
        lines.append(vendor_line(symbol, at, volume=total if running else traded))
    return "\n".join(lines) + "\n"


def kite_volumes(volume: Mapping[int, int]) -> str:
    """The same as Kite's file."""
    head, *lines = kite_text(range(25)).splitlines()
    own = [f"{line.rpartition(' ')[0]} {volume.get(at, 100)}" for at, line in enumerate(lines)]
    return "\n".join([head, *own]) + "\n"


def floats(symbol: str, *prices: float) -> bytes:
    """A Parquet file of 32-bit floats, one bar a minute of one price each."""
    table = pa.table(
        {
            "ticker": [symbol] * len(prices),
            "timestamp": [minute(at) for at in range(len(prices))],
            **{name: pa.array(prices, pa.float32()) for name in ("open", "high", "low", "close")},
            "volume": [7] * len(prices),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def candles(*days: str, step: int = 1, count: int = 5) -> list[datetime]:
    """Kite's bars, from 09:15 on each day."""
    opens = [datetime.fromisoformat(f"{day}T09:15:00+05:30") for day in days]
    return [first + timedelta(minutes=at) for first in opens for at in range(0, count * step, step)]


JULY = Listing(
    "NFO:BANKNIFTY25JULFUT", 13622530, underlying="BANKNIFTY", expiry="2025-07-31",
    since="2025-07-01", until="2026-08-03",
)  # fmt: skip
REUSED = Listing(
    "NFO:BANKNIFTY99DEC45000PE", 13622530, underlying="BANKNIFTY", expiry="2099-12-29",
    strike=4_500_000, type="PE", since="2026-08-03", until="2100-01-01",
)  # fmt: skip
INDEX = Listing("NSE:NIFTY 50", 256265, segment="INDICES", type="EQ")
FUTURES = [
    Listing(f"NFO:NIFTY25{month}FUT", token, underlying="NIFTY", expiry=expiry, since="2025-06-02")
    for month, token, expiry in (
        ("JUN", 258, "2025-06-26"), ("JUL", 514, "2025-07-31"), ("AUG", 770, "2025-08-28"),
    )
]  # fmt: skip
OPTION = Listing("NFO:NIFTY2570322800CE", 1026, underlying="NIFTY", expiry="2025-07-03",
                 strike=2_280_000, type="CE", since="2025-06-02")  # fmt: skip


def contract_line(name: str, when: str) -> str:
    day, time = when.split()
    return plain(f"NFO,{name},{day}T{time}:00+0530,{OHLC},75,150")


SILENT = [at for at in range(375) if not 45 <= at < 285]
"""Without 10:00 to 13:59."""
CONTRACTS = [
    Case(
        "expired contract, token given to another", kite={13622530: candles("2026-11-20")},
        asked=("NFO:BANKNIFTY25JULFUT",), day="2026-11-20", known=[JULY, REUSED],
        words=("expired on 2025-07-31; its token 13622530 now names NFO:BANKNIFTY99DEC45000PE",),
    ),
    Case(
        "the contract that has the token now", kite={13622530: candles("2026-11-20")},
        asked=("NFO:BANKNIFTY99DEC45000PE",), day="2026-11-20", known=[JULY, REUSED],
        kite_asked=[13622530], count=5,
        golden=(f"NFO:BANKNIFTY99DEC45000PE 2026-11-20 09:15 {BAR} 7 - BROKER_ONLY",),
    ),
    Case(
        "a vendor's bar after the expiry", {"x.csv": contract_line("NIFTY25JUNFUT", "2025-06-27 09:15")},
        asked=("NFO:NIFTY25JUNFUT",), day="2025-06-27", known=FUTURES,
        words=("NFO:NIFTY25JUNFUT was not listed on this day, which is after its last day",),
    ),
    Case(
        "on the day of the expiry", {"x.csv": contract_line("NIFTY25JUNFUT", "2025-06-26 09:15")},
        (f"NFO:NIFTY25JUNFUT 2025-06-26 09:15 {BAR} 75 150 VENDOR_ONLY",),
        asked=("NFO:NIFTY25JUNFUT",), day="2025-06-26", known=FUTURES,
        words=("UNEXPLAINED 374",),
    ),
    Case(
        "before the listing", {"x.csv": contract_line("NIFTY25AUGFUT", "2025-06-02 09:15")},
        asked=("NFO:NIFTY25AUGFUT",), day="2025-06-02",
        known=[*FUTURES[:2], Listing("NFO:NIFTY25AUGFUT", 770, underlying="NIFTY",
                                     expiry="2025-08-28", since="2025-07-01")],
        words=("NFO:NIFTY25AUGFUT was not listed on this day, which is before its first",),
    ),
    Case(
        "between the dump without it and the first with it",
        {"x.csv": contract_line("NIFTY25AUGFUT", "2025-06-30 09:15")},
        (f"NFO:NIFTY25AUGFUT 2025-06-30 09:15 {BAR} 75 150 VENDOR_ONLY",),
        asked=("NFO:NIFTY25AUGFUT",), day="2025-06-30",
        known=[*FUTURES[:2], Listing("NFO:NIFTY25AUGFUT", 770, underlying="NIFTY",
                                     expiry="2025-08-28", since="2025-07-01")],
        words=("missing        UNEXPLAINED 374",),
    ),
]  # fmt: skip
MINUTES = [
    Case(
        "an index without four hours", count=135, known=[INDEX],
        files={"x.txt": "".join(vendor_line("NIFTY 50", at, volume=0) + "\n" for at in SILENT)},
        asked=("NSE:NIFTY 50",), words=("missing        UNEXPLAINED 240",),
    ),
    Case(
        "a share without four hours", {"x.txt": vendor_text("SBIN", SILENT)}, count=135,
        words=("missing        UNEXPLAINED 240",),
    ),
    Case(
        "a share that trades every third minute",
        {"x.txt": vendor_text("SBIN", [at for at in range(375) if at % 3 or at == 0])},
        code=0, count=251, words=("missing        NO_TRADE 124",),
    ),
    Case(
        "a block trade that both feeds have",
        {"x.txt": volumes("SBIN", {20: 611_991}), "kite_SBIN_2024.csv": kite_volumes({20: 611_991})},
        count=25, words=("verdicts       AGREED 25", "UNEXPLAINED 350"),
    ),
    Case(
        "a block trade a minute later", count=25,
        files={"x.txt": volumes("SBIN", {21: 611_991}),
               "kite_SBIN_2024.csv": kite_volumes({20: 611_991})},
        words=("CONFLICT_BROKER_WON 2",),
    ),
    Case(
        "running sums beside volumes", count=25,
        files={"x.txt": volumes("SBIN", {}, running=True), "kite_SBIN_2024.csv": kite_volumes({})},
        words=("CUMULATIVE_VOLUME",),
    ),
    Case("bars of 3 minutes", {"x.txt": vendor_text("SBIN", range(0, 375, 3))},
         words=("x.txt: WRONG_INTERVAL: has bars of 3 minutes",)),
    Case("bars of 5 minutes", {"x.txt": vendor_text("SBIN", range(0, 375, 5))},
         words=("x.txt: WRONG_INTERVAL: has bars of 5 minutes",)),
    Case("bars of 15 minutes", {"x.txt": vendor_text("SBIN", QUARTERS)},
         words=("x.txt: WRONG_INTERVAL: has bars of 15 minutes",)),
    Case("bars of 5 minutes and one between", {"x.txt": vendor_text("SBIN", [*range(0, 375, 5), 7])},
         count=76, words=("missing",), code=0),
    Case(
        "one wide instrument in a file of minutes", count=375, asked=("NSE:SBIN", "NSE:INFY"),
        files={"x.txt": vendor_text("SBIN") + vendor_text("INFY", QUARTERS)},
        words=("refused        WRONG_INTERVAL 25", "x.txt: NSE:INFY has bars of 15"),
    ),
    Case("a wide instrument alone out of a file of minutes", asked=("NSE:INFY",),
         files={"x.txt": vendor_text("SBIN") + vendor_text("INFY", QUARTERS)},
         words=("refused        WRONG_INTERVAL 25", "x.txt: NSE:INFY has bars of 15")),
    Case("one instrument out of a file of quarters", asked=("NSE:INFY",),
         files={"x.txt": vendor_text("SBIN", QUARTERS) + vendor_text("INFY", QUARTERS)},
         words=("x.txt: WRONG_INTERVAL: has bars of 15 minutes",)),
    Case("minutes out of a file in which others have quarters", asked=("NSE:SBIN",), count=375,
         files={"x.txt": vendor_text("SBIN") + vendor_text("INFY", QUARTERS)}, code=0),
    Case("wider candles than Kite was asked for", kite={779521: candles(DAY, step=5, count=75)},
         kite_asked=[779521], words=("answered with bars of 5 minutes", "asks Kite for these again")),
    Case("no answer for one of two", asked=("NSE:INFY", "NSE:SBIN"), count=5,
         kite={779521: KiteUnavailable("data is null"), 408065: candles(DAY)},
         kite_asked=[408065, 779521], golden=(f"NSE:INFY {DAY} 09:15 {BAR} 7 - BROKER_ONLY",),
         words=("NSE:SBIN is put aside, others go on: data is null", "asks Kite for these again")),
    Case("no answer at all", kite={779521: KiteUnavailable("data is null")}, kite_asked=[779521],
         words=("NO_ANSWER 1",), code=75),
    Case("days that Kite was not asked for", kite={779521: candles("2024-01-01", DAY)},
         kite_asked=[779521], count=5, golden=(f"NSE:SBIN {DAY} 09:15 {BAR} 7 - BROKER_ONLY",),
         words=("left out       5 bars of days that Kite was not asked for",)),
    Case(
        "Kite's own file without its open interest", asked=("NFO:NIFTY25JULFUT",), day="2025-06-25",
        known=FUTURES,
        first={"kite_NFO_NIFTY25JULFUT_2025-06.csv":
               f"Date,Open,High,Low,Close,Volume,OI\n2025-06-25 09:15:00,{OHLC},75,300\n"},
        files={"kite_NFO_NIFTY25JULFUT_2025-07.csv":
               f"Date,Open,High,Low,Close,Volume\n2025-06-25 09:15:00,{OHLC},75\n"},
        golden=(f"NFO:NIFTY25JULFUT 2025-06-25 09:15 {BAR} 75 300 BROKER_ONLY",),
    ),
    Case("times of UTC", {"x.txt": vendor_text("SBIN", range(-330, 45))},
         words=("WRONG_HOURS: has 330 of 375 bars outside the session", "5:30 hours later 100%")),
    Case("one bar before the session", {"x.txt": vendor_text("SBIN", range(-1, 375))}, code=0,
         count=375, words=("outside        pre-open 1",)),
    Case("stamps of the other end", {"x.txt": vendor_text("SBIN", first=minute(1))},
         words=("WRONG_HOURS: has no bar in the first minute of a session, but one after it",)),
    Case("32-bit floats that one tick explains", {"x.parquet": floats("SBIN", 123_456.05)},
         (f"NSE:SBIN {DAY} 09:15 123456.05 123456.05 123456.05 123456.05 7 - VENDOR_ONLY",),
         known=[Listing("NSE:SBIN", type="EQ", segment="NSE")], words=("UNEXPLAINED 374",)),
    Case("32-bit floats that could be two ticks", {"x.parquet": floats("SBIN", 624_288.05)},
         known=[Listing("NSE:SBIN", type="EQ", segment="NSE")], words=("PRICE_TOO_FINE",)),
]  # fmt: skip


def on(when: str, exchange: str = "NSE", symbol: str = "SBIN") -> dict[str, str | bytes]:
    """A bar at each of the times of a day."""
    day, *times = when.split()
    return {"x.csv": plain(*(f"{exchange},{symbol},{day}T{time}:00+0530,{OHLC},7,"
                             for time in times))}  # fmt: skip


FLAGGED: Final = f"{BAR} 7 - VENDOR_ONLY UNVERIFIED_HOURS"
DAYS = [
    Case("Muhurat of 2015, which no list has", on("2015-11-11 18:00"),
         (f"NSE:SBIN 2015-11-11 18:00 {FLAGGED}",), day="2015-11-11",
         words=("flags          UNVERIFIED_HOURS 1",)),
    Case("a Saturday of 2014", on("2014-03-22 11:30"), (f"NSE:SBIN 2014-03-22 11:30 {FLAGGED}",),
         day="2014-03-22", words=("flags          UNVERIFIED_HOURS 1",)),
    Case("Muhurat of 2012", on("2012-11-13 16:00"), (f"NSE:SBIN 2012-11-13 16:00 {FLAGGED}",),
         day="2012-11-13", words=("flags          UNVERIFIED_HOURS 1",)),
    Case("a Saturday of 2024", on("2024-01-06 11:30"), code=0, day="2024-01-06",
         words=("outside        weekend 1",)),
    Case("before a halt", on("2021-02-24 11:39"), (f"NSE:SBIN 2021-02-24 11:39 {BAR} 7 - VENDOR_ONLY",),
         day="2021-02-24", words=("OUTSIDE_SESSION 227, NO_TRADE 219",), code=0),
    Case("where the halt may have begun", on("2021-02-24 11:42"), (f"NSE:SBIN 2021-02-24 11:42 {FLAGGED}",),
         day="2021-02-24", words=("flags          UNVERIFIED_HOURS 1", "OUTSIDE_SESSION 227")),
    Case("within the halt", on("2021-02-24 10:00 10:01 11:43"), day="2021-02-24", count=2,
         words=("in doubt       1 bars with a volume within a halt",)),
    Case("derivatives, which stopped before", on("2021-02-24 10:00 10:01 11:40", "NFO", "NIFTY21FEBFUT"),
         asked=("NFO:NIFTY21FEBFUT",), day="2021-02-24", count=2,
         words=("in doubt       1 bars with a volume within a halt",)),
]  # fmt: skip
BRACKETS: Final = "<ticker>,<date>,<time>,<open>,<high>,<low>,<close>,<vol>"
CASH: Final = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,ISIN,"
UDIFF: Final = (
    "TradDt,Sgmt,Src,FinInstrmTp,TckrSymb,SctySrs,XpryDt,StrkPric,OptnTp,OpnPric,HghPric,LwPric,"
    "ClsPric,OpnIntrst,TtlTradgVol,NewBrdLotQty"
)
NOVEMBER: Final = "2026-11-20"
GDFL: Final = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
OWN_FILE: Final = "vendor.toml"
OWN: Final = """
[layout.mine]
format = "csv"
time_zone = "Asia/Kolkata"
stamp = "bar-start"
adjusted = false
exchange = "NSE"
{keys}
columns = {{symbol = "symbol", time = "time", open = "o", high = "h", low = "l", close = "c", volume = "v"}}
"""
HEAD: Final = "symbol,time,o,h,l,c,v"
TIME: Final = 'time_format = "%Y-%m-%d %H:%M"'
LINE: Final = f"SBIN,{DAY} 09:15,{OHLC},7"


def own(keys: str, content: str | bytes, name: str = "x.csv") -> dict[str, str | bytes]:
    """A file, and a vendor.toml with a layout for it."""
    return {name: content, OWN_FILE: OWN.format(keys=keys)}


LEFT = ("UNEXPLAINED 374",)
FILES = [
    Case("MetaStock, month first", {"x.txt": f"{BRACKETS}\nSBIN,11/20/2026,09:15:00,{OHLC},7\n"},
         (f"NSE:SBIN {NOVEMBER} 09:15 {BAR} 7 - VENDOR_ONLY",), ("UNEXPLAINED 359",), day=NOVEMBER),
    Case("MetaStock, day first", {"x.txt": f"{BRACKETS}\nSBIN,20/11/2026,09:15:00,{OHLC},7\n"},
         (f"NSE:SBIN {NOVEMBER} 09:15 {BAR} 7 - VENDOR_ONLY",), ("UNEXPLAINED 359",), day=NOVEMBER),
    Case("AmiBroker, which has open interest",
         {"x.txt": f"{BRACKETS.upper()},<OPENINT>\nSBIN,11/20/2026,09:16:00,{OHLC},7,\n"},
         (f"NSE:SBIN {NOVEMBER} 09:16 {BAR} 7 - VENDOR_ONLY",), ("UNEXPLAINED 358",), day=NOVEMBER),
    Case("days that could be months", {"x.txt": f"{BRACKETS}\nSBIN,02/01/2024,09:15:00,{OHLC},7\n"},
         words=("AMBIGUOUS_LAYOUT: fits metastock and metastock-day-first",)),
    Case("GDFL, the second of the stamp is the last",
         {"x.txt": f"{GDFL}\nSBIN.NSE,02/01/2024,09:15:59,{OHLC},7,0\n"}, (SBIN_BAR,), LEFT),
    Case("GDFL option by expiry and strike", known=[*FUTURES, OPTION], asked=(OPTION.name,),
         files={"x.csv": f"NIFTY03JUL2522800CE.NFO,25/06/2025,09:15:59,{OHLC},75,150\n"},
         golden=(f"{OPTION.name} 2025-06-25 09:15 {BAR} 75 150 VENDOR_ONLY",), day="2025-06-25"),
    Case("NIFTY-I on the day of the expiry", known=FUTURES, asked=[e.name for e in FUTURES],
         files={"x.csv": f"NIFTY-I.NFO,26/06/2025,15:29:59,{OHLC},75,450\n"},
         golden=(f"NFO:NIFTY25JUNFUT 2025-06-26 15:29 {BAR} 75 450 VENDOR_ONLY",),
         day="2025-06-26"),
    Case("NIFTY-I the day after", known=FUTURES, asked=[e.name for e in FUTURES],
         files={"x.csv": f"NIFTY-I.NFO,27/06/2025,09:15:59,{OHLC},75,450\n"},
         golden=(f"NFO:NIFTY25JULFUT 2025-06-27 09:15 {BAR} 75 450 VENDOR_ONLY",),
         day="2025-06-27"),
    Case("NIFTY-I before the first dump", known=FUTURES, asked=[e.name for e in FUTURES],
         files={"x.csv": f"NIFTY-I.NFO,20/05/2025,09:15:59,{OHLC},75,450\n"}, day="2025-05-20",
         words=("NIFTY-I.NFO on 2025-05-20 names no contract",)),
    Case("bhavcopy of shares, zipped, several series", code=0, interval="d1", day="2024-01-05",
         files={"cm05JAN2024bhav.csv.zip": packed({"cm05JAN2024bhav.csv": "\n".join([
             CASH, f"SBIN,EQ,{OHLC},641,640,5000,3205000,05-JAN-2024,X,",
             "SBIN,BL,642,642,642,642,642,640,90000,5780000,05-JAN-2024,X,",
             f"INFY,BE,{OHLC},641,640,60,38000,05-JAN-2024,X,",
             f"TCS,N1,{OHLC},641,640,60,38000,05-JAN-2024,X,", ""])})},
         golden=(f"NSE:INFY 2024-01-05 00:00 {BAR} 60 - VENDOR_ONLY",
                 f"NSE:SBIN 2024-01-05 00:00 {BAR} 5000 - VENDOR_ONLY"),
         asked=("NSE:SBIN", "NSE:INFY", "NSE:TCS"), words=("left aside     2 bars",)),
    Case("UDiFF of shares", code=0, interval="d1", day="2024-07-08",
         files={"BhavCopy_NSE_CM_0_0_0_20240708_F_0000.csv": "\n".join([
             UDIFF, f"2024-07-08,CM,NSE,STK,SBIN,EQ,,,,{OHLC},,5000,1",
             f"2024-07-08,CM,BSE,STK,SBIN,A,,,,{OHLC},,70,1",
             f"2024-07-08,CM,NSE,STK,SBIN,BL,,,,{OHLC},,90000,1", ""])},
         golden=(f"NSE:SBIN 2024-07-08 00:00 {BAR} 5000 - VENDOR_ONLY",),
         words=("left aside     2 bars",)),
    Case("UDiFF of derivatives, in lots", code=0, interval="d1", day="2025-06-25", known=FUTURES,
         files={"BhavCopy_NSE_FO_0_0_0_20250625_F_0000.csv": "\n".join([
             UDIFF, f"2025-06-25,FO,NSE,IDF,NIFTY,,2025-07-31,,,{OHLC},16051800,571,75", ""])},
         golden=(f"NFO:NIFTY25JULFUT 2025-06-25 00:00 {BAR} 42825 16051800 VENDOR_ONLY",),
         asked=("NFO:NIFTY25JULFUT",)),
    Case("UDiFF, not traded", code=0, interval="d1", day="2025-06-25", known=[*FUTURES, OPTION],
         files={"BhavCopy_NSE_FO_0_0_0_20250625_F_0000.csv": "\n".join([
             UDIFF, "2025-06-25,FO,NSE,IDO,NIFTY,,2025-07-03,22800.00,CE,0.00,0.00,0.00,12.50,150,0,75",
             ""])},
         golden=(f"{OPTION.name} 2025-06-25 00:00 12.50 12.50 12.50 12.50 0 150 VENDOR_ONLY FLAT",),
         asked=(OPTION.name,)),
    Case("an index with an empty volume", known=[INDEX], asked=("NSE:NIFTY 50",), words=LEFT,
         files={"kite_NIFTY 50_2024.csv":
                f"Date,Open,High,Low,Close,Volume\n{DAY} 09:15:00,{OHLC},\n"},
         golden=(f"NSE:NIFTY 50 {DAY} 09:15 {BAR} 0 - BROKER_ONLY",)),
    Case("an index without a volume", known=[INDEX], asked=("NSE:NIFTY 50",), words=LEFT,
         files={"kite_NIFTY 50_2024.csv": f"Date,Open,High,Low,Close\n{DAY} 09:15:00,{OHLC}\n"},
         golden=(f"NSE:NIFTY 50 {DAY} 09:15 {BAR} 0 - BROKER_ONLY",)),
    Case("a share with an empty volume", words=("NOT_A_VOLUME",),
         files={"kite_SBIN_2024.csv": f"Date,Open,High,Low,Close,Volume\n{DAY} 09:15:00,{OHLC},\n"}),
    Case("a share without a volume", words=("NOT_A_VOLUME",),
         files={"kite_SBIN_2024.csv": f"Date,Open,High,Low,Close\n{DAY} 09:15:00,{OHLC}\n"}),
    Case("thousands", own(f"thousands = ','\n{TIME}",
                          f'{HEAD}\nSBIN,{DAY} 09:15,"1,234.50","1,240.00",999.95,"1,235.05","12,34,567"\n'
                          f'SBIN,{DAY} 09:16,"1,5","1,240.00",999.95,"1,235.05",7\n'),
         (f"NSE:SBIN {DAY} 09:15 1234.50 1240.00 999.95 1235.05 1234567 - VENDOR_ONLY",), ("open is '1,5'", *LEFT)),
    Case("thousands that the layout does not have", own(TIME, f'{HEAD}\nSBIN,{DAY} 09:15,"1,234.50",1240,999,1235,7\n'),
         words=("LINES_DIFFER", "line 2: open is '1,234.50': write thousands = \",\" in a layout for it"), layout="mine"),
    Case("UTF-16", own(TIME, f"{HEAD}\n{LINE}\n".encode("utf-16")), (SBIN_BAR,), LEFT),
    Case("UTF-16 the other way round, no last line end",
         own(TIME, b"\xfe\xff" + f"{HEAD}\r\n{LINE}".encode("utf-16-be")), (SBIN_BAR,),
         ("the last line has no line end",)),
    Case("UTF-16, packed", own(TIME, gzip.compress(f"{HEAD}\n{LINE}\n".encode("utf-16")), "x.csv.gz"),
         (SBIN_BAR,), LEFT),
    Case("a zip with one file", own(TIME, packed({"a/x.csv": f"{HEAD}\n{LINE}\n", "__MACOSX/._x": "x"}), "x.zip"),
         (SBIN_BAR,), LEFT),
    Case("a zip with two files", own(TIME, packed({"a.csv": "1", "b.csv": "2"}), "x.zip"),
         words=("is a zip with 2 files: unpack it and name the folder",)),
    *[
        Case(f"time {text}", own(f'time_format = "{form}"', f"{HEAD}\nSBIN,{text},{OHLC},{volume}\n"),
             (SBIN_BAR,), LEFT)
        for text, form, volume in (
            ("1704167100000", "epoch-ms", "7"), ("1704167100000.0", "epoch-ms", "7.0"),
            ("1704167100.0", "epoch", "7"), ("1704167100000000000", "epoch-ns", "7"),
            ("45293.3854166667", "excel", "7"),
        )
    ],
    Case("noise of binary fractions", own(TIME, f"{HEAD}\nSBIN,{DAY} 09:15,640.0000000001,641.50,639.0999999999,641,7\n"),
         (SBIN_BAR,), LEFT),
    Case("a price of 32 bits in text", own(TIME, f"{HEAD}\nSBIN,{DAY} 09:15,640,641.5,639.0999755859375,641,7\n"),
         words=("low is 639.0999755859375, with more than 2 decimals: it looks like 639.10 that was kept in "
                "32 bits; ask for a file of exact prices",)),
    Case("a dot in the symbol of a file's name", asked=("NFO:ASHOKLEY26AUG172.5CE",), day="2026-08-03",
         files={"kite_NFO_ASHOKLEY26AUG172.5CE_2026-08.csv":
                f"Date,Open,High,Low,Close,Volume\n2026-08-03 09:15:00,{OHLC},7\n"},
         golden=(f"NFO:ASHOKLEY26AUG172.5CE 2026-08-03 09:15 {BAR} 7 - BROKER_ONLY",)),
    Case("a whole market, one instrument wanted", code=0, count=375,
         files={"x.txt": "".join(vendor_text(f"OTHER{at}", range(50)) for at in range(20))
                + vendor_text("SBIN")},
         words=("left aside     1,000 bars of other instruments or days",)),
    Case("--layout with a column that is missing", own(TIME, f"symbol,time,o,h,c,v\nSBIN,{DAY} 09:15,1,1,1,1\n"),
         words=("COLUMN_MISSING: has no column 'l' of layout mine",), layout="mine"),
    Case("the last line without a line end", {"x.txt": vendor_text("SBIN").rstrip("\n")}, code=0,
         count=375, words=("x.txt: the last line has no line end",)),
]  # fmt: skip
CASES = [*CONTRACTS, *MINUTES, *DAYS, *FILES]
