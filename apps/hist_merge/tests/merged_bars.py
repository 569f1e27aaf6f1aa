"""Bars of two sources for tests, merged on the real Postgres: small, with one of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta

from bar_samples import Bar, rising
from bar_samples import calendar as quiet_calendar

from kite_bars_store.bars import BarColumns, BarInstrument, BarStore, SourceBars, load_rules
from kite_bars_store.database import Connection, connect
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns
from kite_runtime.clock import IST

__all__ = [
    "DAY",
    "MANDM",
    "NIFTY",
    "OPENS",
    "SBIN",
    "USDINR",
    "Bar",
    "bar_store",
    "carrying",
    "merge_the_usual",
    "quiet_calendar",
    "rising",
    "said",
    "when",
]

DAY = date(2026, 6, 1)  # a Monday
OPENS = 555
SBIN = BarInstrument("NSE", "SBIN", 2, 5)
MANDM = BarInstrument("NSE", "M&M", 2, 5)
NIFTY = BarInstrument("NSE", "NIFTY 50", 2, 5)
USDINR = BarInstrument("CDS", "USDINR26JUNFUT", 4, 25)


def when(minute: int, day: date = DAY) -> datetime:
    """The minute of the session of NSE, 0 is 09:15, in India's time."""
    return datetime(day.year, day.month, day.day, tzinfo=IST) + timedelta(minutes=OPENS + minute)


def said(
    source: str,
    bars: Mapping[int, Bar],
    instrument: BarInstrument = SBIN,
    day: date = DAY,
    interval: str = "m1",
    file_name: str | None = None,
) -> SourceBars:
    """What a source says of one instrument on one day."""
    if interval == "d1":
        rows = [(0, midnight_ns(day), *bar) for bar in bars.values()]
    else:
        start = midnight_ns(day) + OPENS * MINUTE_NS
        rows = [(0, start + minute * MINUTE_NS, *bar) for minute, bar in bars.items()]
    return SourceBars(source, interval, [instrument], BarColumns.of(rows), file_name=file_name)


@contextmanager
def bar_store(dsn: str) -> Iterator[tuple[BarStore, Connection]]:
    """A store on the database, and its connection."""
    with closing(connect(dsn, application_name="tests")) as connection:
        yield BarStore(connection, load_rules(), quiet_calendar()), connection


def carrying(count: int) -> tuple[dict[int, Bar], dict[int, Bar]]:
    """Kite's bars, none of which opens where the one before closed, and the same of a vendor all
    of whose bars do."""
    kite: dict[int, Bar] = {
        m: (bar[0], bar[0] + 40, bar[0] - 40, bar[0], bar[4]) for m, bar in rising(count).items()
    }
    vendor: dict[int, Bar] = {m: (kite[max(m - 1, 0)][3], *bar[1:]) for m, bar in kite.items()}
    return kite, vendor


def merge_the_usual(store: BarStore) -> None:
    """SBIN on one day: agreed, a conflict at 09:18 (15 ticks), a volume that differs at 09:19,
    within tolerance at 09:20, only Kite from 09:45, nothing 09:40 to 09:44."""
    kite, vendor = rising(60), rising(30)
    for minute in range(25, 30):
        del kite[minute], vendor[minute]
    kite[3] = (10_015, 10_100, 10_005, 10_095, 120)
    vendor[4] = (*vendor[4][:4], 900)
    vendor[5] = (*vendor[5][:3], vendor[5][3] + 5, vendor[5][4])
    store.merge([said("kite", kite), said("vendor", vendor, file_name="SBIN.csv")])
