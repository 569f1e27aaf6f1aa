"""What differs between two masters."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masters import Row, table

from kite_bars_store.instruments import SCHEMA, Changes, diff
from kite_bars_store.instruments.changes import are_adjacent

EXPIRY = date(2026, 8, 25)
OLD = [
    Row("NIFTY26AUG24350CE", 256, expiry=EXPIRY),
    Row("M&M26AUG3000CE", 512, expiry=EXPIRY, name="M&M"),
]

CASES: dict[str, tuple[list[Row], list[Row], dict[str, list[str]]]] = {
    "the same": (OLD, OLD[::-1], {}),
    "one more": (OLD, [*OLD, Row("BANKNIFTY26AUGFUT", 768)], {"added": ["BANKNIFTY26AUGFUT"]}),
    "gone after its expiry": (
        [*OLD, Row("NIFTY2681824350CE", 768, expiry=date(2026, 8, 18))],
        OLD,
        {"expired": ["NIFTY2681824350CE"]},
    ),
    "gone on its expiry": (OLD, OLD[:1], {"removed": ["M&M26AUG3000CE"]}),
    "another lot size": (
        OLD,
        [OLD[0], Row("M&M26AUG3000CE", 512, expiry=EXPIRY, name="M&M", lot_size=65)],
        {"changed": ["M&M26AUG3000CE"]},
    ),
    "symbol and strike changed, token kept": (
        OLD,
        [OLD[0], Row("M&M26AUG2980.75CE", 512, expiry=EXPIRY, name="M&M", strike=298_075)],
        {"renamed": ["M&M26AUG2980.75CE"]},
    ),
    "token changed, symbol kept": (
        OLD,
        [OLD[0], Row("M&M26AUG3000CE", 1024, expiry=EXPIRY, name="M&M")],
        {"moved": ["M&M26AUG3000CE"]},
    ),
    "token changed and lot size, symbol kept": (
        OLD,
        [OLD[0], Row("M&M26AUG3000CE", 1024, expiry=EXPIRY, name="M&M", lot_size=65)],
        {"moved": ["M&M26AUG3000CE"], "changed": ["M&M26AUG3000CE"]},
    ),
    "renamed, and a new contract took the symbol": (
        OLD,
        [
            OLD[0],
            Row("M&M26AUG2980.75CE", 512, expiry=EXPIRY, name="M&M", strike=298_075),
            Row("M&M26AUG3000CE", 1024, expiry=EXPIRY, name="M&M"),
        ],
        {
            "renamed": ["M&M26AUG2980.75CE"],
            "moved": ["M&M26AUG3000CE"],
            "added": ["M&M26AUG3000CE"],
        },
    ),
    "token given to another underlying": (
        OLD,
        [OLD[0], Row("ACC26SEPFUT", 512, expiry=date(2026, 9, 29), name="ACC")],
        {"reused": ["ACC26SEPFUT"], "added": ["ACC26SEPFUT"], "removed": ["M&M26AUG3000CE"]},
    ),
    "two that swapped their tokens": (
        [Row("A", 256, name="A"), Row("B", 512, name="B")],
        [Row("A", 512, name="A"), Row("B", 256, name="B")],
        {"moved": ["A", "B"], "reused": ["A", "B"]},
    ),
    "the token of another exchange is another token": (
        [Row("A", 256)],
        [Row("A", 256), Row("A", 256, exchange="BFO", name="B")],
        {"added": ["A"]},
    ),
    "a name that was missing": (
        [Row("A", 256, name=None)],
        [Row("A", 256, name="")],
        {"changed": ["A"]},
    ),
    "a token that two rows have matches nothing": (
        [Row("A", 256), Row("B", 256)],
        [Row("A", 256), Row("C", 256)],
        {"added": ["C"], "removed": ["B"]},
    ),
    "from nothing": ([], OLD[:1], {"added": ["NIFTY26AUG24350CE"]}),
    "to nothing": (OLD[:1], [], {"removed": ["NIFTY26AUG24350CE"]}),
    "nothing at all": ([], [], {}),
}


def symbols(changes: Changes) -> dict[str, list[str]]:
    found = {name: getattr(changes, name)["tradingsymbol"].to_pylist() for name in changes.counts()}
    return {name: rows for name, rows in found.items() if rows}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_change_is_told_apart(case: str) -> None:
    before, after, expected = CASES[case]
    assert symbols(diff(table(before), table(after), day=EXPIRY)) == expected


TATA = Row("TATAMOTORS", 884737, "NSE", 1, None, None, "TATA MOTORS", "EQ")
TMPV = Row("TMPV", 884737, "NSE", 1, None, None, "TATA MOTORS PASSENGER VEH", "EQ")


@pytest.mark.parametrize(
    ("before", "after", "apart", "kind"),
    [
        ([TATA], [TMPV], 1, "renamed"),
        ([TATA], [TMPV], 7, "renamed"),
        ([TATA], [TMPV], 8, "reused"),  # the token may have been free in between
        ([TATA], [TMPV, replace(TATA, token=1)], 1, "reused"),  # the old symbol lives on
        ([TATA, replace(TMPV, token=1)], [TMPV], 1, "reused"),
        ([TATA], [replace(TMPV, instrument_type="FUT")], 1, "reused"),
        ([replace(TATA, expiry=EXPIRY)], [TMPV], 1, "reused"),
    ],
)
def test_a_share_is_renamed_with_its_company(
    before: list[Row], after: list[Row], apart: int, kind: str
) -> None:
    near = are_adjacent(EXPIRY - timedelta(days=apart), EXPIRY)
    found = diff(table(before), table(after), day=EXPIRY, adjacent=["NSE"] if near else ["NFO"])
    assert found.counts()[kind] == 1
    assert found.counts()["renamed" if kind == "reused" else "reused"] == 0
    if kind == "renamed":
        assert symbols(found) == {"renamed": ["TMPV"]}


def test_without_a_day_nothing_counts_as_expired() -> None:
    gone = [Row("A", 256, expiry=date(2020, 1, 1))]
    assert symbols(diff(table(gone), table([]))) == {"removed": ["A"]}


def test_a_pair_shows_both_rows_and_the_terms_that_differ() -> None:
    before, after, _ = CASES["symbol and strike changed, token kept"]
    pair = diff(table(before), table(after)).renamed.to_pylist()[0]
    assert pair["tradingsymbol"] == "M&M26AUG2980.75CE"
    assert pair["tradingsymbol_before"] == "M&M26AUG3000CE"
    assert (pair["strike_before"], pair["strike"]) == (2_435_000, 298_075)
    assert pair["terms"] == ["strike"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table([Row("A", 1), Row("A", 2)]), "NFO:A occurs twice"),
        (table([Row("A", 1)]).drop_columns(["segment"]), "are missing the column segment"),
        (
            table([Row("A", 1)]).set_column(9, "lot_size", pa.array([None], pa.int32())),
            "no lot_size",
        ),
        (
            table([Row("A", 1)]).set_column(9, "lot_size", pa.array([2**40], pa.int64())),
            "do not fit their columns",
        ),
    ],
)
def test_rows_that_are_no_master_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        diff(rows, table([]))


ROWS = st.lists(
    st.builds(
        Row,
        tradingsymbol=st.sampled_from(["A", "B", "C&D", "E F"]),
        token=st.integers(1, 4),
        exchange=st.sampled_from(["NFO", "BFO"]),
        lot_size=st.sampled_from([50, 75]),
        name=st.sampled_from(["A", "B", None]),
    ),
    unique_by=(
        lambda row: (row.exchange, row.tradingsymbol),
        lambda row: (row.exchange, row.token),
    ),
    max_size=6,
)


@given(ROWS, ROWS)
def test_every_row_is_accounted_for(before: list[Row], after: list[Row]) -> None:
    """Rows matched = rows not added = rows not gone, and backwards the same contracts match."""
    there, back = diff(table(before), table(after)), diff(table(after), table(before))
    count = there.counts()
    assert len(after) - count["added"] == len(before) - count["removed"]
    assert there.added.equals(back.removed)
    assert there.removed.equals(back.added)
    for name in ("renamed", "moved", "reused", "changed"):
        assert count[name] == back.counts()[name]
    assert there.added.schema.equals(SCHEMA)
