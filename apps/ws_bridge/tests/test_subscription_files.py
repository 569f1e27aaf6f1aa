"""Subscription files: what is accepted, and one sentence for everything that is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_broker_zerodha.subscriptions import Plan, make_plan
from kite_contracts.tick_batch import TickMode
from kite_live_feed.errors import SubscriptionFileError
from kite_live_feed.subscription_files import (
    TOKENS_MAX,
    Instrument,
    load_subscriptions,
    parse_subscriptions,
)
from kite_ws_bridge.subscription_watch import SubscriptionWatch

HEADER = "instrument_token,mode,exchange,tradingsymbol\n"
MASTER = HEADER + "408065,,NSE,INFY\n519937,quote,NSE,M&M\n256265,ltp,NSE,NIFTY 50\n"


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


def test_tokens_with_everything(tokens: Path) -> None:
    assert load_subscriptions(tokens).instruments == (
        Instrument(408065, TickMode.FULL, "NSE", "INFY"),
        Instrument(519937, TickMode.QUOTE, "NSE", "M&M"),
        Instrument(256265, TickMode.LTP, "NSE", "NIFTY 50"),
    )


def test_tokens_alone(tokens: Path) -> None:
    tokens.write_text("instrument_token\n408065\n")
    subscriptions = load_subscriptions(tokens)
    assert subscriptions.instruments == (Instrument(408065, TickMode.FULL, "", ""),)
    assert make_plan(subscriptions.wishes()).shards == ({408065: TickMode.FULL},)


@pytest.mark.parametrize(
    "text",
    [
        MASTER.replace("\n", "\r\n"),
        "\ufeff" + MASTER,
        "# mine, all mine\n\n" + MASTER.replace("519937", "\n# next, a comma\n519937"),
        MASTER.rstrip("\n"),
        MASTER.replace("M&M", '"M&M"').replace(",", " , "),
        MASTER.replace("instrument_token,mode", "Instrument_Token,MODE"),
        "\n".join(f"{line},x" for line in MASTER.splitlines()),
    ],
)
def test_harmless_differences(tokens: Path, text: str) -> None:
    expected = load_subscriptions(tokens)
    tokens.write_bytes(text.replace(' "M&M"', '"M&M"').encode())
    assert load_subscriptions(tokens) == expected


def test_a_universe_takes_its_tokens_from_the_list(tokens: Path, universe: Path) -> None:
    assert load_subscriptions(tokens, [universe]).instruments == (
        Instrument(519937, TickMode.LTP, "NSE", "M&M"),
        Instrument(408065, TickMode.FULL, "NSE", "INFY"),
    )


def test_universes_may_overlap_but_not_contradict(tokens: Path, universe: Path) -> None:
    other = universe.with_name("universe_b.csv")
    other.write_text("exchange,tradingsymbol\nNSE,INFY\nNSE,NIFTY 50\n")
    found = load_subscriptions(tokens, [universe, other, universe]).instruments
    assert [each.tradingsymbol for each in found] == ["M&M", "INFY", "NIFTY 50"]
    other.write_text("exchange,tradingsymbol,mode\nNSE,INFY,ltp\n")
    with pytest.raises(SubscriptionFileError, match=r"universe_b\.csv, line 2: NSE:INFY stands in"):
        load_subscriptions(tokens, [universe, other])


WRONG_TOKENS = {
    "": (None, "the file is empty"),
    "# only a comment\n": (None, "the file is empty"),
    "instrument_token\n": (None, "holds no instrument"),
    "token,mode\n1,full\n": (1, "the column instrument_token is missing"),
    "instrument_token,instrument_token\n": (1, "is there twice"),
    "instrument_token\n408065\nINFY\n": (3, "'INFY' is no instrument token"),
    "instrument_token\n-1\n": (2, "'-1' is no instrument token"),
    "instrument_token\n0\n": (2, "'0' is no instrument token"),
    "instrument_token\n4294967296\n": (2, "no instrument token"),
    f"instrument_token\n{'9' * 5000}\n": (2, "no instrument token"),
    "instrument_token\n408065.0\n": (2, "no instrument token"),
    "instrument_token\n\u0664\u0660\u0668\n": (2, "no instrument token"),
    "instrument_token,mode\n,full\n": (2, "'' is no instrument token"),
    "instrument_token\n1594\n": (2, "unknown token 1594: Kite has no segment 58"),
    "instrument_token,mode\n408065,fast\n": (2, "unknown mode 'fast'"),
    "instrument_token\n408065\n\n408065\n": (4, "token 408065 stands on line 2 too"),
    "instrument_token,mode\n408065\n": (2, "1 values for 2 columns"),
    'instrument_token\n"408065\n': (2, "malformed CSV"),
}


@pytest.mark.parametrize("text", WRONG_TOKENS)
def test_a_wrong_token_file_is_one_sentence(tokens: Path, text: str) -> None:
    tokens.write_text(text)
    line, problem = WRONG_TOKENS[text]
    with pytest.raises(SubscriptionFileError) as caught:
        load_subscriptions(tokens)
    message = str(caught.value)
    assert message.startswith(str(tokens) + (": " if line is None else f", line {line}: "))
    assert problem in message
    assert "; " in message  # what to do follows
    assert "\n" not in message
    assert len(message) < 400 + len(str(tokens))
    assert (caught.value.line, caught.value.path) == (line, tokens)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exchange,tradingsymbol\nNSE,TYPO\n", "line 2: unknown instrument NSE:TYPO; add it to"),
        ("exchange,tradingsymbol\n,\nNSE,\n", "line 3: unknown instrument NSE:"),
        ("exchange,tradingsymbol\nNSE,INFY\nNSE,INFY\n", "line 3: NSE:INFY stands in"),
        ("exchange,symbol\nNSE,INFY\n", "line 1: the column tradingsymbol is missing"),
        ("exchange,tradingsymbol\n", "holds no instrument"),
        ("exchange,tradingsymbol,mode\nNSE,INFY,slow\n", "line 2: unknown mode 'slow'"),
    ],
)
def test_a_wrong_universe_is_one_sentence(
    tokens: Path, universe: Path, text: str, problem: str
) -> None:
    universe.write_text(text)
    with pytest.raises(SubscriptionFileError) as caught:
        load_subscriptions(tokens, [universe])
    assert problem in str(caught.value)
    assert str(universe) in str(caught.value)


def test_a_universe_needs_symbols_in_the_list(tokens: Path, universe: Path) -> None:
    tokens.write_text("instrument_token\n408065\n")
    with pytest.raises(SubscriptionFileError, match="exchange and tradingsymbol is missing"):
        load_subscriptions(tokens, [universe])
    tokens.write_text(MASTER + "738561,full,NSE,INFY\n")
    with pytest.raises(SubscriptionFileError, match="NSE:INFY has two tokens, 408065 and 738561"):
        load_subscriptions(tokens, [universe])


def test_no_more_than_kite_takes(tokens: Path, universe: Path) -> None:
    lines = [f"{(number << 8) + 1},ltp,NSE,S{number}" for number in range(1, TOKENS_MAX + 2)]
    tokens.write_text(HEADER + "\n".join(lines[:-1]))
    assert len(load_subscriptions(tokens).instruments) == TOKENS_MAX == 9000
    tokens.write_text(HEADER + "\n".join(lines))
    with pytest.raises(SubscriptionFileError, match="9001 instruments are 1 more than Kite takes"):
        load_subscriptions(tokens)
    # As a list to look symbols up in, it may be as long as it likes.
    universe.write_text("exchange,tradingsymbol\nNSE,S9001\n")
    assert load_subscriptions(tokens, [universe]).instruments[0].tradingsymbol == "S9001"


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
    path = Path("tokens.csv")
    content = HEADER.encode() + data if header else data
    problem = ""
    try:
        parse_subscriptions({path: content}, path)
    except SubscriptionFileError as exc:
        problem = str(exc)
    assert "\n" not in problem


def test_the_examples_of_the_repository() -> None:
    folder = next(
        parent / "configs" for parent in Path(__file__).parents if (parent / "configs").is_dir()
    )
    everything = load_subscriptions(folder / "tokens.csv")
    chosen = load_subscriptions(folder / "tokens.csv", [folder / "universe_example.csv"])
    assert set(chosen.wishes()) < set(everything.wishes())
    assert "M&M" in {each.tradingsymbol for each in chosen.instruments}


def watched(*files: Path) -> tuple[SubscriptionWatch, Plan]:
    watch = SubscriptionWatch(files[0], files[1:])
    return watch, watch.load()


def test_a_change_is_seen_once(tokens: Path) -> None:
    watch, plan = watched(tokens)
    assert watch.changed(plan) is None
    tokens.write_text("instrument_token\n738561\n")
    new = watch.changed(plan)
    assert new is not None
    assert new.shards == ({738561: TickMode.FULL},)
    assert watch.changed(new) is None


def test_a_broken_version_changes_nothing(tokens: Path) -> None:
    watch, plan = watched(tokens)
    tokens.write_text("instrument_token\n738561\noops\n")
    assert watch.changed(plan) is None
    assert "line 3" in str(watch.problem)
    tokens.unlink()
    assert watch.changed(plan) is None
    assert "does not exist" in str(watch.problem)
    tokens.write_text(MASTER)
    assert watch.changed(plan) is None
    assert watch.problem is None
    tokens.write_text("instrument_token\n738561\n")
    assert watch.changed(plan) is not None


def test_a_touched_file_is_no_change(tokens: Path, universe: Path) -> None:
    watch, plan = watched(tokens, universe)
    os.utime(tokens, (1, 1))
    assert watch.changed(plan) is None
    tokens.write_text(MASTER + "# a comment\n")
    assert watch.changed(plan) is None
    assert watch.problem is None
    universe.write_text("exchange,tradingsymbol\nNSE,M&M\n")
    new = watch.changed(plan)
    assert new is not None
    assert new.shards == ({519937: TickMode.FULL},)


def test_a_file_replaced_by_one_of_equal_size_and_time(tokens: Path, tmp_path: Path) -> None:
    watch, plan = watched(tokens)
    stat = tokens.stat()
    other = tmp_path / "other.csv"
    other.write_text(MASTER.replace("408065", "738561"))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert other.stat().st_size == stat.st_size
    other.replace(tokens)
    new = watch.changed(plan)
    assert new is not None
    assert new.shard_of(738561) == 0
