"""Instruments for people, machines and spreadsheets."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_instruments.shown import as_csv, shortest, text_of


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (46075, 2, "460.75"),
        (2435000, 2, "24350"),
        (25000, 7, "0.0025"),
        (0, 2, "0"),
        (-500, 2, "-5"),
    ],
)
def test_prices_are_exact_and_without_zeros_at_the_end(value: int, scale: int, text: str) -> None:
    assert text_of(shortest(value, scale)) == text


def test_no_price_is_nothing() -> None:
    assert text_of(shortest(None, 2)) == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_texts_that_a_spreadsheet_would_run_get_a_quote(text: str) -> None:
    assert as_csv(["a"], [[text]]) == f"a\n'{text}\n"


def test_numbers_stay_numbers() -> None:
    assert as_csv(["a", "b"], [[Decimal(-5), -7]]) == "a,b\n-5,-7\n"


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"))), min_size=1))
def test_csv_reads_back(texts: list[str]) -> None:
    (found,) = list(csv.reader(io.StringIO(as_csv(["x"] * len(texts), [texts]))))[1:] or [[]]
    risky = ("=", "+", "-", "@")
    assert found == ["'" + text if text.startswith(risky) else text for text in texts] or texts == [
        ""
    ]
