"""`daily` on a vendor's file of derivatives: names become contracts of the instrument history."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta

import pytest
from masters import Row, day, snapshot
from vendor_made_up import prices, rupees

from kite_bars_store.database import connect
from kite_bars_store.instruments import InstrumentStore
from kite_runtime.clock import IST
from kite_runtime.testing import Place

AUGUST = Row("NIFTY26AUGFUT", 257, instrument_type="FUT", expiry=day(22), strike=None)
SEPTEMBER = Row("NIFTY26SEPFUT", 513, instrument_type="FUT", expiry=day(57), strike=None)
OPTION = Row("NIFTY2681124350CE", 769, expiry=day(8))
ASKED = [each for row in (AUGUST, SEPTEMBER, OPTION)
         for each in ("--symbols", f"NFO:{row.tradingsymbol}")]  # fmt: skip


def lines(name: str, number: int, bars: int = 385) -> list[str]:
    """From 09:15 on the day of this number; derivatives trade until 15:40 since August 2026."""
    when = day(number)
    found = []
    for at in range(bars):
        opens = datetime(when.year, when.month, when.day, 9, 15, 59, tzinfo=IST)
        stamp = opens + timedelta(minutes=at)
        said = ",".join(map(rupees, prices(at)[:4]))
        found.append(f"{name},{stamp:%d/%m/%Y,%H:%M:%S},{said},75,150")
    return found


@pytest.fixture()
def known(place: Place) -> Place:
    """With a dump of the first day."""
    with closing(connect(place.env["POSTGRES_DSN"], application_name="test")) as connection:
        InstrumentStore(connection).record(snapshot(0, [AUGUST, SEPTEMBER, OPTION]))
    return place


def golden(place: Place) -> list[tuple[object, ...]]:
    query = """
        SELECT i.tradingsymbol, (b.ts_open AT TIME ZONE 'Asia/Kolkata')::date, count(*), min(oi)
        FROM bars_1m b JOIN bar_instrument i USING (instrument_id) GROUP BY 1, 2 ORDER BY 1, 2
    """
    with closing(connect(place.env["POSTGRES_DSN"], application_name="test")) as connection:
        return connection.execute(query).fetchall()


def test_names_become_the_contracts_of_the_day(known: Place) -> None:
    content = [
        *lines("NIFTY11AUG2624350CE.NFO", 1),
        *lines("NIFTY11AUG2624400CE.NFO", 1),
        *lines("NIFTY-I.NFO", 22),
        *lines("NIFTY-I.NFO", 23),
        *lines("NIFTY-II.NFO", 23, 5),
    ]
    known.write("GDFLNFO.csv", "\n".join(content) + "\n")
    span = ("--from", f"{day(0)}", "--to", f"{day(23)}", "--interval", "m1")
    done = known("daily", *span, "--no-kite", "--vendor", "GDFLNFO.csv", *ASKED, "--json")
    (summary,) = done.json()
    assert summary["refused"] == {"UNKNOWN_CONTRACT": 5}  # of the second future after August
    assert summary["files"][0]["not_asked"] == 385  # another strike
    assert golden(known) == [
        ("NIFTY2681124350CE", day(1), 385, 150),
        ("NIFTY26AUGFUT", day(22), 385, 150),
        ("NIFTY26SEPFUT", day(23), 385, 150),
    ]


def test_without_a_history_a_note_names_what_it_does_not_describe(place: Place) -> None:
    place.write("GDFLNFO.csv", "\n".join(lines("NIFTY-I.NFO", 22, 5)) + "\n")
    span = ("--from", f"{day(22)}", "--to", f"{day(22)}", "--interval", "m1", "--no-kite")
    done = place("daily", *span, "--vendor", "GDFLNFO.csv", *ASKED[:2], "--json")
    (summary,) = done.json()
    assert (summary["read"], summary["files"][0]["not_asked"]) == ({}, 5)
    assert any("does not describe NFO:NIFTY26AUGFUT: run `instruments sync`" in each
               for each in summary["notes"])  # fmt: skip
