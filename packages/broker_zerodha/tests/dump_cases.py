"""Instrument dumps for tests: lines as Kite writes them, and Hypothesis strategies of wild ones."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

HEADER: Final = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,"
    "lot_size,instrument_type,segment,exchange"
)
INFY: Final = '408065,1594,INFY,"INFOSYS",0,,0,0.05,1,EQ,NSE,NSE'
FUTURE: Final = '14866434,58072,NIFTY26AUGFUT,"NIFTY",0,2026-08-25,0,0.1,65,FUT,NFO-FUT,NFO'
CALL: Final = (
    '12345602,48225,HINDPETRO26AUG460.75CE,"HINDPETRO",0,2026-08-25,460.75,0.05,2025,CE,NFO-OPT,NFO'
)
RUPEE: Final = '412675,1612,USDINR26AUG87.5CE,"USDINR",0,2026-08-25,87.5,0.0025,1,CE,CDS-OPT,CDS'
ROWS: Final = (INFY, FUTURE, CALL, RUPEE)


def dump(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    """A dump of these lines."""
    return "".join(line + end for line in (header, *rows)).encode()


def cell(text: str) -> str:
    """A value as CSV."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",') else text


_NUMBERS = st.one_of(
    st.integers(-(2**33), 2**33).map(str),
    st.integers(-(10**19), 10**19).map(str),
    st.sampled_from(["", "0", "007", "-1", "4294967295", "4294967296", "9223372036854775807"]),
    st.sampled_from(["9223372036854775808", "abc", "1.0", " 1", "1e3", "٣", "--1"]),
)
_DECIMALS = st.one_of(
    st.decimals(-(10**6), 10**6, places=2).map(str),
    st.sampled_from(["", "0", "0.0", "-0.01", "0.05", "0.0025", "0.123456789", "1e5", "nan"]),
    st.sampled_from(["0.1234567891", "92233720368547758.07", "92233720368547758.08", ".5", "5."]),
)
_DAYS = st.one_of(
    st.dates().map(str),
    st.sampled_from(["", "2026-02-29", "2028-02-29", "2026-13-01", "25-08-2026", "2026-8-25"]),
    st.sampled_from(["2026-08-25 00:00:00", "0000-01-01", "tomorrow", "20260825"]),
)
_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters='\x85"'),
    max_size=12,
)
_NAMES = st.one_of(_TEXT, st.sampled_from(["M&M", "NIFTY 50", "BAJAJ-AUTO", "A,B", 'SAID "X"']))


def cells() -> st.SearchStrategy[list[str]]:
    """The twelve values of a row, likely wrong in one or two places."""
    good = [
        st.integers(1, 2**32 - 1).map(str),
        st.integers(0, 2**40).map(str),
        st.from_regex(r"[A-Z0-9&][A-Z0-9& -]{0,10}", fullmatch=True),
        _NAMES,
        st.just("0"),
        st.one_of(st.just(""), st.dates().map(str)),
        st.decimals(0, 10**6, places=2).map(str),
        st.sampled_from(["0", "0.05", "0.0025", "1"]),
        st.integers(0, 2**31 - 1).map(str),
        st.sampled_from(["EQ", "FUT", "CE", "PE", "SPOT"]),
        st.sampled_from(["NSE", "INDICES", "NFO-OPT"]),
        st.sampled_from(["NSE", "NFO", "MCX"]),
    ]
    wild = [
        *(_NUMBERS, _NUMBERS, _TEXT, _NAMES, _TEXT, _DAYS),
        *(_DECIMALS, _DECIMALS, _NUMBERS, st.sampled_from(["", "CE", "PE", "FUT"]), _TEXT, _TEXT),
    ]
    return st.tuples(
        st.tuples(*good), st.tuples(*wild), st.sets(st.integers(0, 11), max_size=2)
    ).map(
        lambda drawn: [
            drawn[1][place] if place in drawn[2] else drawn[0][place] for place in range(12)
        ]
    )
