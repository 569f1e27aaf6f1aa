"""Counting changes, and when a dump must not replace the master."""

from __future__ import annotations

from datetime import date

import pytest
from dumps import dump, future, option, row, table
from hypothesis import given
from hypothesis import strategies as st

from kite_bars_store.errors import DumpRefused
from kite_bars_store.instruments import diff
from kite_bars_store.instruments.changes import (
    check_day,
    check_drop,
    check_exchanges,
    count_by_symbol,
)
from kite_broker_zerodha.instrument_dump import parse
from kite_instruments.syncing import kept_rows

EXPIRY = date(2026, 8, 25)
CONTRACTS = st.dictionaries(
    st.sampled_from(["A", "B", "M&M", "NIFTY 50", "E", "F"]),
    st.tuples(st.integers(1, 8), st.sampled_from([25, 50]), st.sampled_from(["", "X"])),
    min_size=1,
)


def master(contracts: dict[str, tuple[int, int, str]]) -> list[str]:
    return [
        row(symbol, number, lot=lot, name=name) for symbol, (number, lot, name) in contracts.items()
    ]


@given(before=CONTRACTS, after=CONTRACTS)
def test_counts_by_symbol_and_what_is_left_for_the_finer_comparison(
    before: dict[str, tuple[int, int, str]], after: dict[str, tuple[int, int, str]]
) -> None:
    one, other = table(*master(before)), table(*master(after))
    found = count_by_symbol(one, other)
    common = before.keys() & after.keys()
    same = sum(before[symbol] == after[symbol] for symbol in common)
    assert (found.added, found.removed) == (len(after) - len(common), len(before) - len(common))
    assert (found.changed, found.unchanged) == (len(common) - same, same)
    # Tokens are unique in a real master; only then do the pairs of two tokens mean anything.
    if len({each[0] for each in before.values()}) == len(before) and len(
        {each[0] for each in after.values()}
    ) == len(after):
        whole, rest = diff(one, other).counts(), diff(found.before, found.after).counts()
        assert {name: rest[name] for name in ("renamed", "moved", "reused")} == {
            name: whole[name] for name in ("renamed", "moved", "reused")
        }


def test_a_first_master_is_all_new() -> None:
    one = table(row("INFY", 1))
    found = count_by_symbol(one.slice(0, 0), one)
    assert (found.added, found.changed, found.removed, found.unchanged) == (1, 0, 0, 0)


def test_a_dump_that_holds_expired_contracts_is_older_than_said() -> None:
    rows = table(row("INFY", 1), future("NIFTY", EXPIRY, 2), future("NIFTY", date(2026, 9, 29), 3))
    check_day(rows, EXPIRY, "dump.csv")
    with pytest.raises(DumpRefused) as refused:
        check_day(rows, date(2026, 10, 1), "dump.csv")
    assert str(refused.value) == (
        "dump.csv is older than 2026-10-01: it holds 2 contracts that expired before, such as "
        "NIFTY26AUGFUT on 2026-08-25; say its day by --date, 2026-08-25 at the latest"
    )


@pytest.mark.parametrize(
    ("now", "before", "share", "refused"),
    [
        (80, 100, 0.2, False),
        (79, 100, 0.2, True),
        (0, 100, 0.99, True),
        (0, 100, 1.0, False),
        (1, None, 0.0, False),
        (0, 0, 0.0, False),
        (200, 100, 0.0, False),
        (99, 100, 0.0, True),
    ],
)
def test_the_row_count_guard(now: int, before: int | None, share: float, refused: bool) -> None:
    if not refused:
        check_drop("NFO", now, before, share)
        return
    with pytest.raises(DumpRefused, match="last good master stays"):
        check_drop("NFO", now, before, share)


def test_an_exchange_that_was_asked_for_must_be_there() -> None:
    check_exchanges(["NFO", "NSE"], ["NSE"], "dump.csv")
    with pytest.raises(DumpRefused, match=r"no row of MCX and CDS \(it has NFO, NSE\)"):
        check_exchanges(["NSE", "NFO"], ["MCX", "CDS"], "dump.csv")


def test_instruments_whose_row_was_refused_stay_as_they_were() -> None:
    call = option("M&M", EXPIRY, "3000", "CE", 5)
    before = table(row("INFY", 1), row("TCS", 2), call)
    bad = [row("INFY", 1).replace(",1,EQ", ",x,EQ"), row("NEW", 9).replace(",1,EQ", ",x,EQ")]
    found = parse(dump(*bad, row("TCS", 2), call), date(2026, 8, 12))
    assert kept_rows(before, found.table, found.refused)["tradingsymbol"].to_pylist() == ["INFY"]
    assert kept_rows(before, found.table, ()).num_rows == 0
