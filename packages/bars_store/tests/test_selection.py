"""The selection engine: values, expiries, strikes; columns decide, never the symbol."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from dumps import future, option, row, table, weeks
from hypothesis import given
from hypothesis import strategies as st

from kite_bars_store.instruments.selection import Query, When, select

DAY = date(2026, 8, 12)
WEEKS = weeks(date(2026, 8, 11), 7)  # the first one is past; 25 August is the last of its month
ROWS = [
    row("M&M", 1, name="MAHINDRA & MAHINDRA"),
    row("NIFTY 50", 2, name="NIFTY 50"),
    *(future("NIFTY", day, 10 + number) for number, day in enumerate([WEEKS[2], WEEKS[6]])),
    *(
        option("NIFTY", day, str(strike), kind, 100 + 40 * week + 2 * step + (kind == "PE"))
        for week, day in enumerate(WEEKS)
        for step, strike in enumerate(range(24000, 24500, 50))
        for kind in ("CE", "PE")
    ),
    *(
        option("BAJAJ-AUTO", WEEKS[2], strike, "CE", 900 + len(strike))
        for strike in ("9000", "9000.5")
    ),
    option("USDINR", WEEKS[2], "87.5", "CE", 950, exchange="CDS"),
    option("NIFTY", WEEKS[2], "24000", "CE", 960, exchange="BFO"),
]
MASTER = table(*ROWS)


def symbols(query: Query, day: date = DAY) -> list[str]:
    return list(select(MASTER, query, day)["tradingsymbol"].to_pylist())


def expiries(query: Query, day: date = DAY) -> set[date]:
    return set(select(MASTER, query, day)["expiry"].to_pylist())


def test_an_empty_query_is_everything_in_stable_order() -> None:
    found = select(MASTER, Query(), DAY)
    keys = list(zip(found["exchange"].to_pylist(), found["tradingsymbol"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert len(keys) == len(ROWS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(symbols=("M&M",)), ["M&M"]),
        (Query(symbols=("NIFTY 50", "M&M", "GONE")), ["M&M", "NIFTY 50"]),
        (Query(underlyings=("bajaj-auto",), strike_low=Decimal("9000.25")),
         ["BAJAJ-AUTO2608259000.5CE"]),
        (Query(exchanges=("CDS",), strike_low=Decimal("87.5"), strike_high=Decimal("87.5")),
         ["USDINR26082587.5CE"]),
        (Query(types=("FUT",), expiry=When.FRONT), ["NIFTY26AUGFUT"]),
        (Query(types=("FUT",), expiry=When.NEXT), ["NIFTY26SEPFUT"]),
        (Query(segments=("NFO-FUT",)), ["NIFTY26AUGFUT", "NIFTY26SEPFUT"]),
        (Query(types=("EQ",), strike_low=Decimal(0)), []),
    ],
)  # fmt: skip
def test_values(query: Query, expected: list[str]) -> None:
    assert symbols(query) == expected


NIFTY = Query(exchanges=("NFO",), underlyings=("NIFTY",), types=("CE", "PE"))


@pytest.mark.parametrize(
    ("when", "day", "expected"),
    [
        (When.FRONT, DAY, {WEEKS[1]}),
        (When.FRONT, WEEKS[1], {WEEKS[1]}),
        (When.FRONT, WEEKS[1] + timedelta(days=1), {WEEKS[2]}),
        (When.NEXT, DAY, {WEEKS[2]}),
        (When.MONTH, DAY, {date(2026, 8, 25)}),
        (When.MONTH, date(2026, 8, 26), {WEEKS[6]}),
        (date(2026, 9, 1), DAY, {date(2026, 9, 1)}),
        (date(2026, 9, 2), DAY, set()),
        (When.FRONT, date(2027, 1, 1), set()),
    ],
)
def test_expiries(when: When | date, day: date, expected: set[date]) -> None:
    query = Query(NIFTY.exchanges, (), NIFTY.underlyings, NIFTY.types, expiry=when)
    assert expiries(query, day) == expected


def test_the_nearest_expiries_are_those_of_each_underlying() -> None:
    found = select(MASTER, Query(types=("CE",), expiries=1), DAY)
    pairs = set(zip(found["name"].to_pylist(), found["exchange"].to_pylist(),
                    found["expiry"].to_pylist(), strict=True))  # fmt: skip
    assert pairs == {
        ("NIFTY", "NFO", WEEKS[1]),
        ("NIFTY", "BFO", WEEKS[2]),
        ("BAJAJ-AUTO", "NFO", WEEKS[2]),
        ("USDINR", "CDS", WEEKS[2]),
    }


@given(
    spot=st.decimals(23000, 26000, places=2),
    steps=st.integers(0, 12),
)
def test_strikes_around_a_price_are_the_nearest_and_so_many_on_each_side(
    spot: Decimal, steps: int
) -> None:
    query = Query(("NFO",), (), ("NIFTY",), ("CE",), expiries=2, around=spot, steps=steps)
    found = select(MASTER, query, DAY)
    levels = [Decimal(each) for each in range(24000, 24500, 50)]
    nearest = min(range(len(levels)), key=lambda place: (abs(levels[place] - spot), place))
    expected = levels[max(0, nearest - steps) : nearest + steps + 1]
    assert sorted(found["strike"].to_pylist()) == sorted(
        [int(level * 100) for level in expected] * 2
    )
