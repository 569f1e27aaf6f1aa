"""Subscription files: what is accepted, and one sentence for everything that is not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_broker_zerodha.packets import Segment
from kite_broker_zerodha.subscriptions import (
    Instrument,
    Member,
    SubscriptionFileError,
    load_subscriptions,
    load_tokens,
    make_plan,
    parse_tokens,
    parse_universe,
    tokens_csv,
    universe_csv,
)
from kite_broker_zerodha.subscriptions.files import EXCHANGES, MEMBER_COLUMNS, TOKEN_COLUMNS
from kite_contracts.tick_batch import TickMode

LTP, QUOTE, FULL = TickMode
HEADER = "instrument_token,mode,exchange,tradingsymbol\n"
MASTER = HEADER + "408065,,NSE,INFY\n519937,quote,NSE,M&M\n256265,ltp,NSE,NIFTY 50\n"
INFY = Instrument(408065, FULL, "NSE", "INFY")
ALONE = Instrument(408065, FULL, "", "")
PATH = Path("tokens.csv")

SEGMENTS = "1 NSE, 2 NFO, 3 CDS, 4 BSE, 5 BFO, 6 BCD, 7 MCX, 8 MCXSX, 9 INDICES, 12 NCO"
NUMBER = "write a whole number from 1 to 4294967295, such as 408065"
COLUMN = "begin the file with the line instrument_token"
TOKEN_FILES: dict[str, tuple[str, list[Instrument] | str]] = {
    # Accepted: the meaning is plain.
    "token alone": ("instrument_token\n408065\n", [ALONE]),
    "case of the header": ("Instrument_Token,Mode\n408065,full\n", [ALONE]),
    "case of mode and exchange": (HEADER + "408065,Full,nse,INFY\n", [INFY]),
    "spaces around values": (HEADER.replace(",", " , ") + ' 408065, full , NSE, "INFY"\n', [INFY]),
    "blank lines": ("\n" + HEADER + " \t\n408065,full,NSE,INFY\n,,,\n\n", [INFY]),
    "comments, one indented": (
        '# don"t, mind\n' + HEADER + "  # SBIN,\n408065,full,NSE,INFY\n",
        [INFY],
    ),
    "byte order mark": ("\ufeff" + HEADER + "408065,full,NSE,INFY\n", [INFY]),
    "CRLF": (HEADER.replace("\n", "\r\n") + "408065,full,NSE,INFY\r\n", [INFY]),
    "CR alone": (HEADER.replace("\n", "\r") + "408065,full,NSE,INFY", [INFY]),
    "no end of line": (HEADER + "408065,full,NSE,INFY", [INFY]),
    "other columns, any order": (
        "name,tradingsymbol,exchange,instrument_token,\nInfosys,INFY,NSE,408065,\n",
        [INFY],
    ),
    "half a name is none": (
        HEADER + "408065,full,NSE,\n519937,full,,M&M\n",
        [ALONE, Instrument(519937, FULL, "", "")],
    ),
    "an index of any exchange": (
        HEADER + "291849,ltp,NSEIX,GIFT NIFTY\n",
        [Instrument(291849, LTP, "NSEIX", "GIFT NIFTY")],
    ),
    "zeros in front": ("instrument_token\n0000408065\n", [ALONE]),
    # Refused: the file as a whole.
    "empty": ("", "tokens.csv: the file is empty; begin it with the line instrument_token"),
    "only a comment": (
        "# none yet\n",
        "tokens.csv: the file is empty; begin it with the line instrument_token",
    ),
    "only a header": (
        "instrument_token\n",
        "tokens.csv: holds no instrument; add lines such as 408065,full,NSE,INFY",
    ),
    "no header": (
        "408065,full,NSE,INFY\n",
        "tokens.csv, line 1: the column instrument_token is missing, found "
        f"408065,full,nse,infy; {COLUMN}",
    ),
    "another header": (
        "# one\ntoken,mode\n1,full\n",
        f"tokens.csv, line 2: the column instrument_token is missing, found token,mode; {COLUMN}",
    ),
    "semicolons": (
        HEADER.replace(",", ";") + "408065;full;NSE;INFY\n",
        "tokens.csv, line 1: the column instrument_token is missing, found "
        f"instrument_token;mode;exchange;tradingsymbol; {COLUMN}",
    ),
    "a column twice": (
        "instrument_token,Mode,mode\n408065,ltp,full\n",
        "tokens.csv, line 1: the column 'mode' is there twice; remove one",
    ),
    # Refused: a row.
    "a value too many": (
        "instrument_token,mode\n408065,full,NSE\n",
        "tokens.csv, line 2: 3 values for 2 columns; write one for each of instrument_token,mode",
    ),
    "a value too few": (
        "instrument_token,mode\n408065\n",
        "tokens.csv, line 2: 1 value for 2 columns; write one for each of instrument_token,mode",
    ),
    "a quoted newline": (
        'instrument_token\n"40\n8065"\n',
        "tokens.csv, line 2: malformed CSV (unexpected end of data); "
        "correct the quotes of this line",
    ),
    "text after a quote": (
        'instrument_token\n"408065"1\n',
        "tokens.csv, line 2: malformed CSV (',' expected after '\"'); "
        "correct the quotes of this line",
    ),
    "the same line twice": (
        "instrument_token\n408065\n\n408065\n",
        "tokens.csv, line 4: token 408065 stands on line 2 too; "
        "remove one: duplicates count for Kite's limit",
    ),
    "a token in two modes": (
        "instrument_token,mode\n408065,ltp\n408065,full\n",
        "tokens.csv, line 3: token 408065 stands on line 2 too; "
        "remove one: duplicates count for Kite's limit",
    ),
    "a name with two tokens": (
        MASTER + "738561,full,NSE,INFY\n",
        "tokens.csv, line 5: NSE:INFY has two tokens, 408065 and 738561; "
        "remove the one that is out of date",
    ),
    "a mode that is none": (
        "instrument_token,mode\n408065,fast\n",
        "tokens.csv, line 2: unknown mode 'fast'; write ltp, quote or full",
    ),
    "no token": (
        "instrument_token,mode\n,full\n",
        f"tokens.csv, line 2: '' is no instrument token; {NUMBER}",
    ),
    **{
        f"the token {token[:12]}": (
            f"instrument_token\n408065\n{token}\n",
            f"tokens.csv, line 3: {token[:40]!r} is no instrument token; {NUMBER}",
        )
        for token in (
            *("INFY", "-1", "+408065", "0", "4294967296", "408065.0", "408_065", "4.08E5", "4 08"),
            *("\u0664\u0660\u0668\u0660\u0666\u0665", "\uff14", "9" * 5020, "0" * 5020 + "1"),
        )
    },
    "a segment that Kite does not have": (
        "instrument_token\n1594\n",
        f"tokens.csv, line 2: unknown token 1594: Kite has no segment 58, only {SEGMENTS}; "
        "take instrument_token, not exchange_token, from Kite's instruments list",
    ),
    "an exchange that Kite does not have": (
        HEADER + "408065,full,NASDAQ,INFY\n",
        "tokens.csv, line 2: Kite has no exchange 'NASDAQ'; write one of "
        "BCD, BFO, BSE, CDS, GLOBAL, MCX, MCXSX, NCO, NFO, NSE, NSEIX",
    ),
    "a token of another exchange": (
        HEADER + "408065,full,BSE,INFY\n",
        "tokens.csv, line 2: token 408065 is of NSE, not of BSE; "
        "copy token and names from one line of Kite's instruments list",
    ),
    "a line separator that is no end of line": (
        HEADER + "408065,full,NSE,IN\u2028FY\n",
        "tokens.csv, line 2: the tradingsymbol 'IN\\u2028FY' has a character that cannot be seen; "
        "type it again",
    ),
    "a character that cannot be seen": (
        HEADER + "408065,full,NSE,IN\u200bFY\n",
        "tokens.csv, line 2: the tradingsymbol 'IN\\u200bFY' has a character that cannot be seen; "
        "type it again",
    ),
}


def outcome(parse: Callable[[Path, bytes], Mapping[int, object]], path: str, data: bytes) -> Any:
    """The rows, or the sentence of the refusal."""
    try:
        return list(parse(Path(path), data).values())
    except SubscriptionFileError as exc:
        return str(exc)


@pytest.mark.parametrize("case", TOKEN_FILES)
def test_a_tokens_file(case: str) -> None:
    text, expected = TOKEN_FILES[case]
    assert outcome(parse_tokens, "tokens.csv", text.encode()) == expected


UNIVERSES: dict[str, tuple[str, list[Member] | str]] = {
    "mode left out": ("exchange,tradingsymbol\nNSE,INFY\n", [Member("NSE", "INFY", FULL)]),
    "all columns": (
        "Exchange,TradingSymbol,Mode\n nse, NIFTY 50 ,LTP\n  # M&M\n,,\n",
        [Member("NSE", "NIFTY 50", LTP)],
    ),
    "half a name": (
        "exchange,tradingsymbol\n,\nNSE,\n",
        "u.csv, line 3: unknown instrument NSE:; write both, exchange and tradingsymbol",
    ),
    "the same line twice": (
        "exchange,tradingsymbol\nNSE,INFY\nNSE,INFY\n",
        "u.csv, line 3: NSE:INFY stands in u.csv, line 2 too; remove one of the two",
    ),
    "a missing column": (
        "exchange,symbol\nNSE,INFY\n",
        "u.csv, line 1: the column tradingsymbol is missing, found exchange,symbol; "
        "begin the file with the line exchange,tradingsymbol",
    ),
    "only a header": (
        "exchange,tradingsymbol\n",
        "u.csv: holds no instrument; add lines such as NSE,INFY,full",
    ),
    "a mode that is none": (
        "exchange,tradingsymbol,mode\nNSE,INFY,slow\n",
        "u.csv, line 2: unknown mode 'slow'; write ltp, quote or full",
    ),
    "a value too many": (
        "exchange,tradingsymbol\nNSE,INFY,full\n",
        "u.csv, line 2: 3 values for 2 columns; write one for each of exchange,tradingsymbol",
    ),
}


@pytest.mark.parametrize("case", UNIVERSES)
def test_a_universe(case: str) -> None:
    text, expected = UNIVERSES[case]
    assert outcome(parse_universe, "u.csv", text.encode()) == expected


@pytest.fixture()
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.csv"
    path.write_text(MASTER)
    return path


@pytest.fixture()
def universe(tmp_path: Path) -> Path:
    path = tmp_path / "universe_a.csv"
    path.write_text("exchange,tradingsymbol,mode\nNSE,M&M,ltp\nNSE,INFY,\n")
    return path


def test_all_of_the_tokens_or_what_a_universe_names(tokens: Path, universe: Path) -> None:
    assert (
        load_subscriptions(tokens)
        == tuple(load_tokens(tokens))
        == (
            INFY,
            Instrument(519937, QUOTE, "NSE", "M&M"),
            Instrument(256265, LTP, "NSE", "NIFTY 50"),
        )
    )
    chosen = load_subscriptions(tokens, [universe])
    assert chosen == (Instrument(519937, LTP, "NSE", "M&M"), INFY)
    assert make_plan(each.subscription for each in chosen).shards == ({408065: FULL, 519937: LTP},)


def test_universes_may_overlap_but_not_contradict(tokens: Path, universe: Path) -> None:
    other = universe.with_name("universe_b.csv")
    other.write_text("exchange,tradingsymbol\nNSE,INFY\nNSE,NIFTY 50\n")
    found = load_subscriptions(tokens, [universe, other, universe])
    assert [each.tradingsymbol for each in found] == ["M&M", "INFY", "NIFTY 50"]
    other.write_text("exchange,tradingsymbol,mode\nNSE,INFY,ltp\n")
    with pytest.raises(SubscriptionFileError, match=r"universe_b\.csv, line 2: NSE:INFY stands in"):
        load_subscriptions(tokens, [universe, other])


def test_a_universe_needs_names_in_the_list(tokens: Path, universe: Path) -> None:
    universe.write_text("exchange,tradingsymbol\nNSE,TYPO\n")
    with pytest.raises(SubscriptionFileError, match=r"2: unknown instrument NSE:TYPO; add it to"):
        load_subscriptions(tokens, [universe])
    tokens.write_text("instrument_token\n408065\n")
    with pytest.raises(SubscriptionFileError, match="exchange and tradingsymbol is missing"):
        load_subscriptions(tokens, [universe])


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(SubscriptionFileError, match="is no regular file"):
            load_tokens(path)


def test_a_header_of_a_hundred_thousand_columns_is_looked_through_once(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    columns = [f"c{number}" for number in range(100_000)]
    path.write_text(",".join(["instrument_token", *columns]) + "\n408065\n")
    began_s = time.monotonic()
    with pytest.raises(SubscriptionFileError, match="1 value for 100001 columns"):
        load_tokens(path)
    assert time.monotonic() - began_s < 10


def test_files_that_cannot_be_read(tokens: Path, tmp_path: Path) -> None:
    with pytest.raises(SubscriptionFileError, match="does not exist; create it"):
        load_subscriptions(tmp_path / "none.csv")
    with pytest.raises(SubscriptionFileError, match="cannot be read"):
        load_subscriptions(tmp_path)
    tokens.write_bytes(MASTER.encode() + b"408065,full,NSE,\xff\n")
    with pytest.raises(SubscriptionFileError, match="line 5: is not UTF-8 text"):
        load_subscriptions(tokens)
    tokens.write_bytes(MASTER.encode("utf-16"))
    with pytest.raises(SubscriptionFileError, match="not UTF-8"):
        load_subscriptions(tokens)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)), st.booleans())
def test_no_bytes_raise_anything_else(data: bytes, header: bool) -> None:
    for parse, columns in (parse_tokens, TOKEN_COLUMNS), (parse_universe, MEMBER_COLUMNS):
        content = f"{','.join(columns)}\n".encode() + data if header else data
        found = outcome(parse, "tokens.csv", content)
        assert isinstance(found, list) or (found.isprintable() and len(found) < 400)


SYMBOLS = (
    st.text(
        st.characters(whitelist_categories=("L", "N", "P", "S")) | st.just(" "),
        min_size=1,
        max_size=12,
    )
    .map(str.strip)
    .filter(bool)
)
NAMES = st.tuples(st.sampled_from(EXCHANGES), SYMBOLS)
MODES = st.sampled_from(TickMode)


def _token(number: int, exchange: str) -> int:
    segment = Segment[exchange] if exchange in Segment.__members__ else Segment.INDICES
    return number << 8 | segment


@given(st.lists(st.tuples(NAMES, MODES), min_size=1, unique_by=lambda each: each[0]), st.text())
def test_what_is_written_reads_back(
    named: list[tuple[tuple[str, str], TickMode]], comment: str
) -> None:
    rows = [
        Instrument(_token(number, name[0]), mode, *name)
        for number, (name, mode) in enumerate(named, start=1)
    ]
    assert list(parse_tokens(PATH, tokens_csv(rows, comment)).values()) == rows
    members = [Member(*name, mode) for name, mode in named]
    assert list(parse_universe(PATH, universe_csv("a", members, comment)).values()) == members


ANY_TEXT = st.text(max_size=6) | st.sampled_from(["NSE", "#NSE", "IN\nFY", '"', " INFY", "\ud800"])


@given(st.lists(st.tuples(st.integers(0, 2**33), ANY_TEXT, ANY_TEXT), max_size=3))
def test_nothing_is_written_that_does_not_read_back(rows: list[tuple[int, str, str]]) -> None:
    instruments = [Instrument(token, FULL, exchange, symbol) for token, exchange, symbol in rows]
    members = [Member(exchange, symbol, LTP) for _, exchange, symbol in rows]
    with suppress(SubscriptionFileError):
        assert list(parse_tokens(PATH, tokens_csv(instruments)).values()) == instruments
    with suppress(SubscriptionFileError):
        assert list(parse_universe(PATH, universe_csv("a", members)).values()) == members


def test_a_name_that_would_be_read_otherwise_is_not_written() -> None:
    for other in INFY._replace(tradingsymbol=" INFY"), INFY._replace(exchange=""):
        with pytest.raises(SubscriptionFileError, match=r"tokens\.csv: cannot hold Instrument"):
            tokens_csv([other])
    with pytest.raises(SubscriptionFileError, match=r"universe_a\.csv: cannot hold Member"):
        universe_csv("a", [Member("nse", "INFY", FULL)])


def test_the_examples_of_the_repository() -> None:
    folder = next(
        parent / "configs" for parent in Path(__file__).parents if (parent / "configs").is_dir()
    )
    everything = load_subscriptions(folder / "tokens.csv")
    chosen = load_subscriptions(folder / "tokens.csv", [folder / "universe_example.csv"])
    assert {each.subscription for each in chosen} < {each.subscription for each in everything}
    assert "M&M" in {each.tradingsymbol for each in chosen}
