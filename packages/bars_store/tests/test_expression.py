"""The words of a lookup."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from kite_bars_store.errors import ExpressionError
from kite_bars_store.instruments.lookups import near
from kite_bars_store.instruments.selection import Query, When, an_expiry, parse, strikes


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("NIFTY", Query(underlyings=("NIFTY",))),
        (
            "NIFTY front 24000:24500 CE",
            Query(
                underlyings=("NIFTY",),
                types=("CE",),
                expiry=When.FRONT,
                strike_low=Decimal(24000),
                strike_high=Decimal(24500),
            ),
        ),
        ("M&M fut NFO", Query(("NFO",), (), ("M&M",), ("FUT",))),
        ("NIFTY ce pe Month", Query(underlyings=("NIFTY",), types=("CE", "PE"), expiry=When.MONTH)),
        ("NIFTY 2026-08-25", Query(underlyings=("NIFTY",), expiry=date(2026, 8, 25))),
        ("NIFTY 24350.5:", Query(underlyings=("NIFTY",), strike_low=Decimal("24350.5"))),
        ("NIFTY :100", Query(underlyings=("NIFTY",), strike_high=Decimal(100))),
        (
            "NIFTY 100",
            Query(underlyings=("NIFTY",), strike_low=Decimal(100), strike_high=Decimal(100)),
        ),
    ],
)
def test_expressions(words: str, expected: Query) -> None:
    assert parse(words.split(), ["NSE", "NFO"]) == expected


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("NIFTY soon", "'soon' is not understood: after the underlying come front"),
        ("NIFTY MCX", "'MCX' is not understood"),
        ("NIFTY 200:100", "higher strike first: give 100:200"),
        ("NIFTY 1:2:3", "is no strike"),
        ("NIFTY :", "is no strike"),
        ("NIFTY 24k", "is no strike"),
        ("NIFTY 2026-02-31", "is no expiry"),
    ],
)
def test_words_that_mean_nothing(words: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        parse(words.split(), ["NSE", "NFO"])


def test_flags_are_judged_alike() -> None:
    assert an_expiry("FRONT") is When.FRONT
    assert strikes("100:") == (Decimal(100), None)
    with pytest.raises(ExpressionError):
        an_expiry("someday")


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("M&", ["M&M", "M&MFIN"]),
        ("reliance", ["RELIANCE"]),
        ("RELAINCE", ["RELIANCE"]),
        ("50", ["NIFTY 50"]),
        ("QQQQQQ", []),
        ("", ["INFY", "M&M", "M&MFIN", "NIFTY 50", "RELIANCE"]),
    ],
)
def test_near_matches(term: str, expected: list[str]) -> None:
    symbols = ["INFY", "M&M", "M&MFIN", "NIFTY 50", "RELIANCE"]
    assert sorted(near(term, symbols)) == sorted(expected)
