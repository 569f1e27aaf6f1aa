"""The pictures of docs/export.md: a report on simulated bars, seen in a real Chromium.

    python apps/hist_merge/tests/report_picture.py docs/images

Needs the local stack's Postgres, Chromium, and the sources on PYTHONPATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from kite_bars_store.bars import (
    NO_OI,
    BarColumns,
    BarInstrument,
    BarStore,
    Gap,
    GapLedger,
    SourceBars,
    load_rules,
)
from kite_bars_store.bars.columns import Int64s, take
from kite_bars_store.bars.missing.missing import days_between
from kite_bars_store.database import Connection, connect
from kite_bars_store.instruments import InstrumentStore
from kite_bars_store.report import render
from kite_bars_store.report.gather import gather
from kite_bars_store.stores import Days, Stores
from kite_contracts.migrations import runner
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS
from kite_devstack import stack
from kite_devstack.databases import database
from kite_devstack.reporter import ConsoleReporter

FIRST, LAST = date(2026, 1, 1), date(2026, 2, 20)
LIQUID: Final = (
    *("AXISBANK", "BHARTIARTL", "HDFCBANK", "HINDUNILVR", "ICICIBANK", "INFY", "ITC"),
    *("KOTAKBANK", "LT", "M&M", "RELIANCE", "SBIN", "TCS"),
)
THIN: Final = ("ALKYLAMINE", "GALAXYSURF", "VSTIND")
WIDTH, HEIGHT = 1_500, 2_035


def main(folder: Path) -> None:
    """Leave the pictures in the folder."""
    server = stack.ensure([stack.POSTGRES], os.environ, ConsoleReporter()).postgres
    assert server is not None
    with database(server) as dsn, tempfile.TemporaryDirectory() as scratch:
        runner.upgrade(dsn)
        page = Path(scratch) / "report.html"
        with closing(connect(dsn, application_name="report picture")) as connection:
            page.write_text(page_of(connection), "utf-8")
        for name, dark in (("report.png", False), ("report-dark.png", True)):
            _photograph(page, folder / name, dark=dark)


def page_of(connection: Connection) -> str:
    """The page on two months of two sources that do not always agree."""
    rules, calendar = load_rules(), SessionCalendar.load()
    store = BarStore(connection, rules, calendar)
    for number, symbol in enumerate(LIQUID + THIN):
        instrument = BarInstrument("NSE", symbol, 2, 5)
        for said in _words(instrument, number, calendar):
            store.merge(said)
    start = datetime(2026, 2, 3, 5, 0, tzinfo=UTC)
    gap = Gap("g1", "closed", "kite", 0, (), start, start + timedelta(minutes=18), "", start)
    GapLedger(connection).record(gap)
    stores = Stores(connection, store, InstrumentStore(connection), rules, calendar)
    names = sorted(f"NSE:{symbol}" for symbol in LIQUID + THIN)
    return render(gather(stores, names, Days(FIRST, LAST), lambda _: None))


def _words(
    instrument: BarInstrument, number: int, calendar: SessionCalendar
) -> Iterator[list[SourceBars]]:
    """What Kite and a vendor say, and for one instrument what Kite says after a bonus."""
    random = np.random.default_rng(number)
    opens = [calendar.expected_minutes("NSE", day) for day in days_between(FIRST, LAST)]
    kite = _walk(np.concatenate(opens), random, thin=instrument.tradingsymbol in THIN)
    vendor = _said_otherwise(kite, random)
    kite, vendor = (_without(each, _at(each, 2, 3, 625, 650)) for each in (kite, vendor))
    if number % 5 == 3:
        kite = _without(kite, _at(kite, 1, 14, 0, 1440))
        vendor = _without(vendor, _at(vendor, 1, 14, 700, 1440))
    if instrument.tradingsymbol == "KOTAKBANK":
        kite, vendor = (_without(each, _at(each, 2, 11, 0, 1440)) for each in (kite, vendor))
    if number % 4 == 1:
        vendor = _without(vendor, _at(vendor, 1, 28, 0, 1440))
        kite = _without(kite, _at(kite, 1, 28, 840, 851))
    yield [
        SourceBars("kite", "m1", [instrument], kite),
        SourceBars("vendor", "m1", [instrument], vendor, file_name="nse.csv"),
    ]
    if instrument.tradingsymbol == "ITC":
        old = BarColumns(**take(kite.as_dict(), _at(kite, 1, 5, 0, 1440)))
        names = ("open", "high", "low", "close")
        half = {name: getattr(old, name) // 2 // 5 * 5 for name in names}
        yield [SourceBars("kite", "m1", [instrument], replace(old, **half))]


def _walk(opens: Int64s, random: np.random.Generator, *, thin: bool) -> BarColumns:
    if thin:
        opens = opens[random.random(len(opens)) < 0.35]
    count = len(opens)
    close = 40_000 + 5 * np.cumsum(random.integers(-3, 4, count)) + 100_000 * random.integers(0, 3)
    opened = close + 5 * random.integers(-2, 3, count)
    high = np.maximum(opened, close) + 5 * random.integers(0, 4, count)
    low = np.minimum(opened, close) - 5 * random.integers(0, 4, count)
    volume = random.integers(1, 9_000, count)
    nothing = np.full(count, NO_OI, np.int64)
    return BarColumns(
        np.zeros(count, np.int64), opens, opened, high, low, close, volume, oi=nothing
    )


def _said_otherwise(bars: BarColumns, random: np.random.Generator) -> BarColumns:
    count = len(bars)
    moved = (random.random(count) < 0.004) * np.round(random.exponential(6, count)) * 5
    high = bars.high + moved.astype(np.int64)
    sold = random.random(count) < 0.006
    volume = np.where(sold, bars.volume * (1 + random.exponential(0.4, count)), bars.volume)
    tick = 5 * (random.random(count) < 0.02).astype(np.int64)
    return replace(bars, high=high + tick, volume=volume.astype(np.int64))


def _at(bars: BarColumns, month: int, day: int, first: int, last: int) -> Int64s:
    """The rows of some minutes (since midnight) of a day."""
    start = datetime(2026, month, day, tzinfo=UTC) - timedelta(minutes=330)
    start_ns = int(start.timestamp()) * 10**9
    minutes = (bars.ts_open_ns - start_ns) // MINUTE_NS
    return np.flatnonzero((minutes >= first) & (minutes < last))


def _without(bars: BarColumns, rows: Int64s) -> BarColumns:
    keep = np.ones(len(bars), np.bool_)
    keep[rows] = False
    return BarColumns(**take(bars.as_dict(), keep))


def _photograph(page: Path, shot: Path, *, dark: bool) -> None:
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is not installed"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-background-networking", f"--user-data-dir={profile}"),
                *(f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", "--hide-scrollbars"),
                *(["--blink-settings=preferredColorScheme=0"] if dark else []),
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
