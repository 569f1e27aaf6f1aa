"""The instrument master: exact values, refused rows, and bytes that are no master."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date
from typing import Any

import pytest
from dump_cases import CALL, FUTURE, HEADER, INFY, ROWS, RUPEE, cell, cells, dump
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_broker_zerodha.errors import NotADump
from kite_broker_zerodha.instrument_dump import Dump, parse
from kite_broker_zerodha.instrument_dump.columns import SCHEMA
from kite_broker_zerodha.instrument_dump.rows import fault_of, record_of
from kite_broker_zerodha.instrument_dump.text import BLOCK_ROWS
from kite_contracts.reasons import ReasonCode

DAY = date(2026, 8, 12)


def rows(data: bytes) -> list[dict[str, Any]]:
    return list(parse(data, DAY).table.to_pylist())


def parsed(data: bytes) -> Dump | str:
    """The dump, or the sentence that refuses it."""
    try:
        return parse(data, DAY)
    except NotADump as error:
        return str(error)


def test_values_are_exact_and_scaled_as_the_ticks_are() -> None:
    stock, future, call, rupee = rows(dump(*ROWS))
    assert call == {
        "exchange": "NFO",
        "tradingsymbol": "HINDPETRO26AUG460.75CE",
        "instrument_token": 12345602,
        "exchange_token": 48225,
        "name": "HINDPETRO",
        "expiry": date(2026, 8, 25),
        "strike": 46075,
        "price_scale": 2,
        "tick_size": 5,
        "lot_size": 2025,
        "instrument_type": "CE",
        "segment": "NFO-OPT",
    }
    assert (stock["expiry"], stock["strike"], stock["tick_size"]) == (None, None, 5)
    assert (future["strike"], future["tick_size"], future["price_scale"]) == (None, 10, 2)
    assert (rupee["strike"], rupee["tick_size"], rupee["price_scale"]) == (875_000_000, 25_000, 7)


def test_more_decimals_than_the_ticks_have_make_a_finer_scale() -> None:
    (found,) = rows(dump(CALL.replace("460.75", "460.755")))
    assert (found["strike"], found["price_scale"], found["tick_size"]) == (460_755, 3, 50)


@pytest.mark.parametrize("strike", ["0", "0.0", "-0.01", "", "none"])
def test_only_options_have_a_strike(strike: str) -> None:
    (found,) = rows(dump(FUTURE.replace(",0,0.1,", f",{strike},0.1,")))
    assert found["strike"] is None


@pytest.mark.parametrize("symbol", ["M&M", "NIFTY 50", "BAJAJ-AUTO", "726GS2032-GS", "&", "É"])
def test_symbols_are_kept_as_they_are(symbol: str) -> None:
    (found,) = rows(dump(INFY.replace(",INFY,", f",{symbol},")))
    assert found["tradingsymbol"] == symbol


@pytest.mark.parametrize(
    "data",
    [
        dump(*ROWS, end="\r\n"),
        dump(*ROWS)[:-1],
        b"\xef\xbb\xbf" + dump(*ROWS),
        dump(*ROWS).replace(b"\n", b"\n\n"),
        dump(*ROWS).replace(HEADER.encode(), HEADER.upper().replace(",", " , ").encode()),
    ],
    ids=["CRLF", "no last line end", "BOM", "blank lines", "header in capitals"],
)
def test_other_forms_of_the_same_file(data: bytes) -> None:
    # Without a line end the last exchange must be known from another line: CDS is not.
    if not data.endswith(b"\n"):
        data = dump(RUPEE, *ROWS[:3])[:-1]
    assert len(rows(data)) == 4


def test_gzip_is_unpacked_and_the_digest_is_of_the_plain_bytes() -> None:
    plain = dump(*ROWS)
    two_members = gzip.compress(plain[:100]) + gzip.compress(plain[100:])
    for data in (plain, gzip.compress(plain), two_members):
        found = parse(data, DAY)
        assert found.table.num_rows == 4
        assert found.content_sha256 == hashlib.sha256(plain).digest()


def test_other_columns_are_ignored_and_named() -> None:
    data = dump(f"X,{INFY},Y", header=f"isin,{HEADER},isin")
    found = parse(data, DAY)
    assert found.ignored == ("isin", "isin")
    assert found.table["tradingsymbol"].to_pylist() == ["INFY"]
    assert parse(dump(INFY), DAY).ignored == ()


def test_the_order_of_columns_does_not_matter() -> None:
    names = HEADER.split(",")
    values = CALL.split(",")
    backwards = dump(",".join(values[::-1]), header=",".join(names[::-1]))
    assert rows(backwards) == rows(dump(CALL))


REFUSED = [
    (INFY.replace("408065", "0"), ReasonCode.SEMANTIC_RANGE, "/instrument_token", "minimum"),
    (INFY.replace("408065", "4294967296"), ReasonCode.SEMANTIC_RANGE, "/instrument_token", "max"),
    (INFY.replace("408065", "abc"), ReasonCode.SCHEMA_INVALID, "/instrument_token", "'abc' is not"),
    (INFY.replace(",INFY,", ",,"), ReasonCode.SCHEMA_INVALID, "/tradingsymbol", "non-empty"),
    (INFY.replace(",1,EQ", ",-1,EQ"), ReasonCode.SEMANTIC_RANGE, "/lot_size", "-1 is less"),
    (INFY.replace(",1,EQ", ",1.5,EQ"), ReasonCode.SCHEMA_INVALID, "/lot_size", "'1.5' is not"),
    (INFY.replace("0.05", "-0.05"), ReasonCode.SEMANTIC_RANGE, "/tick_size", "-5 is less"),
    (INFY.replace("0.05", ""), ReasonCode.SCHEMA_INVALID, "/tick_size", "'' is not"),
    (INFY.replace("0.05", "0.0000000001"), ReasonCode.SEMANTIC_RANGE, "/price_scale", "10 is gre"),
    (CALL.replace("460.75,", ","), ReasonCode.SCHEMA_INVALID, "/strike", "'' is not of type"),
    (CALL.replace("460.75,", "1e3,"), ReasonCode.SCHEMA_INVALID, "/strike", "'1e3' is not"),
    (CALL.replace("2026-08-25", "25-08-2026"), ReasonCode.SCHEMA_INVALID, "/expiry", "spreadsheet"),
    (CALL.replace("2026-08-25", "8/25/26"), ReasonCode.SCHEMA_INVALID, "/expiry", "spreadsheet"),
    (CALL.replace("2026-08-25", "25-Aug-26"), ReasonCode.SCHEMA_INVALID, "/expiry", "spreadsheet"),
    (CALL.replace("2026-08-25", "2026/08/25"), ReasonCode.SCHEMA_INVALID, "/expiry", "not match"),
    (CALL.replace("2026-08-25", "2026-02-31"), ReasonCode.SCHEMA_INVALID, "/expiry", "is no day"),
    (INFY.replace(",EQ,", ",,"), ReasonCode.SCHEMA_INVALID, "/instrument_type", "non-empty"),
    (INFY.rpartition(",")[0], ReasonCode.SCHEMA_INVALID, None, "11 values for 12 columns"),
    (INFY + ",more", ReasonCode.SCHEMA_INVALID, None, "13 values for 12 columns"),
    (INFY.replace('"INFOSYS"', '"INFOSYS'), ReasonCode.SCHEMA_INVALID, None, "quote is not closed"),
    (INFY.replace('"INFOSYS"', 'A"B,"C'), ReasonCode.SCHEMA_INVALID, None, "quote is not closed"),
]


@pytest.mark.parametrize(("row", "reason", "path", "says"), REFUSED)
def test_a_bad_row_is_refused_alone(
    row: str, reason: ReasonCode, path: str | None, says: str
) -> None:
    found = parse(dump(FUTURE, "", row, CALL), DAY)
    assert found.table["tradingsymbol"].to_pylist() == ["NIFTY26AUGFUT", "HINDPETRO26AUG460.75CE"]
    (refused,) = found.refused
    assert (refused.line, refused.reason, refused.error_path) == (4, reason, path)
    assert refused.raw == row.encode()
    assert says in refused.message
    assert found.rows_read == 3


def test_a_refused_row_keeps_its_key_and_counts_for_its_exchange() -> None:
    found = parse(dump(FUTURE, INFY.replace("408065", "0"), INFY.replace("INFY", "TCS")), DAY)
    assert [(each.exchange, each.tradingsymbol) for each in found.refused] == [("NSE", "INFY")]
    assert found.reasons() == {"SEMANTIC_RANGE": 1}
    assert found.exchanges == ("NFO", "NSE")
    assert (found.only("NFO").rows_read, found.only("NSE").rows_read) == (1, 2)


LARGE = gzip.compress(b"a" * (65 << 20))
NO_MASTER = [
    (b"", "it is empty"),
    (b" \n\r\n", "it is empty"),
    (b"<!DOCTYPE html><html></html>", "an HTML page"),
    (b"\n <html>", "an HTML page"),
    (b'{"status":"error","message":"x"}', "it is JSON"),
    (dump(), "a header and no row"),
    (dump(*ROWS)[:-8], "in the middle of line 5"),
    (dump(*ROWS, INFY)[:-2], "in the middle of line 6"),
    (dump(*ROWS, INFY[:20]), "in the middle of line 6"),
    (dump(*ROWS)[:60], "in the middle of line 1"),
    (gzip.compress(dump(*ROWS))[:-9], "the gzip file ends in the middle"),
    (gzip.compress(dump(*ROWS))[:30] + b"\xff" * 20, "the gzip file is damaged"),
    (LARGE, "larger than 64 MiB"),
    (gzip.compress(b"a" * (10 << 20)) * 100, "larger than 64 MiB"),  # 1 MB of 1 GB
    (gzip.compress(b"") * 50_000, "it is empty"),
    (gzip.compress(dump(*ROWS)) + b"rubbish", "the gzip file is damaged"),
    (dump(*ROWS, header=HEADER.replace("tick_size", "tick")), "no column tick_size"),
    (dump(*ROWS, header=HEADER.replace("last_price", "strike")), "the column strike twice"),
    (b"symbol,price\nINFY,1\n", "no column instrument_token (its first line is 'symbol,price')"),
    (dump(*ROWS).replace(b"INFOSYS", b"INFOSYS\xff"), "line 2 is not UTF-8"),
    (dump(*ROWS).replace(b"INFOSYS", b"INFO\0SYS"), "NUL bytes"),
    (dump(*ROWS, FUTURE), "NFO:NIFTY26AUGFUT stands on line 3 and on line 6 (1 such keys)"),
    (dump(INFY.replace("408065", "x")), "none of its 1 rows keeps the contract; line 2"),
    (dump(*["x" + INFY] * 5_001), "more than 5000 of its 5001 rows look wrong"),
    (
        dump(INFY, *[CALL.replace("2026-08-25", "25-08-2026")] * 5_001),
        "line 3: /expiry: '25-08-2026' is no date like 2026-08-25: a spreadsheet program",
    ),
    (dump(*[INFY + ",more"] * 5_001), "line 2: 13 values for 12 columns"),
]


@pytest.mark.parametrize(("data", "says"), NO_MASTER, ids=[says for _, says in NO_MASTER])
def test_bytes_that_must_not_replace_a_master(data: bytes, says: str) -> None:
    with pytest.raises(NotADump) as refused:
        parse(data, DAY)
    assert says in str(refused.value)


def test_a_dump_of_several_blocks_is_read_in_its_order() -> None:
    many = [INFY.replace(",INFY,", f",S{number},") for number in range(2 * BLOCK_ROWS + 5)]
    many[BLOCK_ROWS + 1] = many[BLOCK_ROWS + 1].replace("408065", "0")
    found = parse(dump(*many), DAY)
    expected = [f"S{number}" for number in range(len(many)) if number != BLOCK_ROWS + 1]
    assert found.table["tradingsymbol"].to_pylist() == expected
    assert [row.line for row in found.refused] == [BLOCK_ROWS + 3]
    with pytest.raises(NotADump, match=f"NSE:S0 stands on line 2 and on line {len(many) + 2} "):
        parse(dump(*many, many[0]), DAY)


def test_one_symbol_may_stand_in_two_exchanges() -> None:
    other = INFY.replace(",NSE,NSE", ",BSE,BSE")
    assert [row["exchange"] for row in rows(dump(INFY, other))] == ["NSE", "BSE"]


@settings(max_examples=300, deadline=None)
@given(st.lists(cells(), min_size=1, max_size=8))
def test_all_rows_at_once_say_what_the_reference_says_row_by_row(drawn: list[list[str]]) -> None:
    names = HEADER.split(",")
    for number, values in enumerate(drawn):
        values[2] = values[2] and f"{values[2]}{number}"  # keys are unique; that is another test
    lines = [",".join(map(cell, values)) for values in drawn]
    if not lines[-1].strip(","):
        lines[-1] = INFY
        drawn[-1] = INFY.replace('"', "").split(",")
    records = [record_of(dict(zip(names, values, strict=True)), DAY) for values in drawn]
    good = [record for record in records if fault_of(record) is None]
    found = parsed(dump(*lines))
    if isinstance(found, str):
        assert not good, found
        return
    assert [
        {**row, "expiry": row["expiry"] and row["expiry"].isoformat()}
        for row in found.table.to_pylist()
    ] == [{name: record[name] for name in SCHEMA.names} for record in good]
    assert len(found.refused) == len(records) - len(good)


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_a_sentence(data: bytes) -> None:
    for candidate in (data, dump(*ROWS) + data, b"\x1f\x8b" + data):
        found = parsed(candidate)
        assert not isinstance(found, str) or "\n" not in found
