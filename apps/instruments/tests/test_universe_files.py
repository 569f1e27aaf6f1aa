"""The subscription files: content, order, what happens when a universe cannot be made."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from dumps import future, option, row, table, weeks

from kite_bars_store.instruments.universes import parse
from kite_broker_zerodha.subscriptions import Instrument, SubscriptionFileError
from kite_contracts.tick_batch import TickMode
from kite_instruments.universe_files import TOKENS_FILE, Export, difference, make, union
from kite_runtime.errors import EXIT_CONFIGURATION, exit_code_of
from kite_runtime.files import write_whole

DAY = date(2026, 8, 12)
WEEKS = weeks(date(2026, 8, 18), 3)
UNIVERSES = parse(
    Path("universes.toml"),
    """
[universe.stocks]
exchange = "NSE"
symbols = ["M&M", "NIFTY 50", "BAJAJ-AUTO", "GONE"]
[universe.options]
exchange = "NFO"
mode = "quote"
underlying = "NIFTY"
types = ["CE", "PE"]
expiries = 2
strikes = 1
spot = "NSE:NIFTY 50"
[universe.all]
exchange = "NFO"
mode = "ltp"
underlying = "NIFTY"
""",
)
MASTER = table(
    row("M&M", 1),
    row("NIFTY 50", 2),
    row("BAJAJ-AUTO", 3),
    row("OTHER", 4),
    future("NIFTY", WEEKS[1], 9),
    *(
        option("NIFTY", day, str(strike), kind, 100 + 20 * week + 2 * step + (kind == "PE"))
        for week, day in enumerate(WEEKS)
        for step, strike in enumerate(range(24000, 24250, 50))
        for kind in ("CE", "PE")
    ),
)
SPOTS: dict[str, Decimal | str] = {"NSE:NIFTY 50": Decimal("24110.5")}
OPTIONS = "universe_options.csv"


def rows(data: bytes) -> list[dict[str, str]]:
    lines = [line for line in data.decode().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def made(
    spots: dict[str, Decimal | str] | None = None,
    old: dict[str, bytes] | None = None,
    only: str = "",
) -> Export:
    return make(
        UNIVERSES, MASTER, DAY, SPOTS if spots is None else spots, old or {}, only and [only]
    )


def test_universes_name_symbols_and_tokens_has_each_instrument_once_in_its_fullest_mode() -> None:
    export = made()
    assert set(export.files) == {TOKENS_FILE, "universe_stocks.csv", OPTIONS, "universe_all.csv"}
    assert [each["tradingsymbol"] for each in rows(export.files["universe_stocks.csv"])] == [
        *("BAJAJ-AUTO", "M&M", "NIFTY 50")
    ]
    strikes = [each["tradingsymbol"] for each in rows(export.files[OPTIONS])]
    assert strikes == sorted(
        f"NIFTY{day:%y%m%d}{strike}{kind}"
        for day in WEEKS[:2]
        for strike in (24050, 24100, 24150)
        for kind in ("CE", "PE")
    )
    tokens = rows(export.files[TOKENS_FILE])
    assert list(tokens[0]) == [*("instrument_token", "mode", "exchange", "tradingsymbol", "expiry")]
    assert len(tokens) == len({each["instrument_token"] for each in tokens}) == 3 + 31
    assert {each["mode"] for each in tokens if each["tradingsymbol"] in strikes} == {"quote"}
    assert [each["mode"] for each in tokens].count("ltp") == 31 - 12
    assert export.problems == []
    assert export.warnings == ["universe stocks: 1 of 4 symbols are not in the master of NSE: GONE"]


def test_a_universe_without_a_price_keeps_its_file_and_its_instruments() -> None:
    old = dict(made().files)
    export = made(spots={"NSE:NIFTY 50": "not logged in"}, old=old)
    assert export.problems == [
        "universe options: no price of NSE:NIFTY 50 (not logged in); "
        "--spot 'NSE:NIFTY 50=PRICE' gives it by hand"
    ]
    assert OPTIONS not in export.files
    assert export.files[TOKENS_FILE] == old[TOKENS_FILE]


def test_one_universe_alone_leaves_the_others() -> None:
    old = {OPTIONS: b"exchange,tradingsymbol,mode\nNFO,NIFTY26081824000CE,full\n"}
    export = made(old=old, only="stocks")
    assert set(export.files) == {TOKENS_FILE, "universe_stocks.csv"}
    found = {each["tradingsymbol"]: each for each in rows(export.files[TOKENS_FILE])}
    assert set(found) == {"BAJAJ-AUTO", "M&M", "NIFTY 50", "NIFTY26081824000CE"}
    assert found["NIFTY26081824000CE"]["mode"] == "full"


@pytest.mark.parametrize("how", ["another universe alone", "no spot price"])
def test_an_old_universe_is_not_handed_on_with_what_has_expired(how: str) -> None:
    old = {OPTIONS: b"exchange,tradingsymbol,mode\nNFO,NIFTY26081824000CE,full\nNFO,ENDED,full\n"}
    # Kite has given its token to another contract since.
    old[TOKENS_FILE] = b"instrument_token,mode,exchange,tradingsymbol\n4098,full,NFO,ENDED\n"
    if how == "no spot price":
        export = made({"NSE:NIFTY 50": "not logged in"}, old)
    else:
        export = made(old=old, only="stocks")
    assert "ENDED" not in {each["tradingsymbol"] for each in rows(export.files[TOKENS_FILE])}
    assert [each["tradingsymbol"] for each in rows(export.files[OPTIONS])] == ["NIFTY26081824000CE"]
    assert any("1 of 2 instruments that are not in today's master" in e for e in export.warnings)


def test_two_symbols_on_one_token_are_one_subscription() -> None:
    """Kite's master has had such rows; `plan` refuses a universe whose symbol has no token."""
    master = pa.concat_tables([MASTER, table(row("M&M-BE", 1))])
    universes = parse(
        Path("universes.toml"),
        '[universe.both]\nexchange = "NSE"\nsymbols = ["M&M", "M&M-BE", "OTHER"]\n',
    )
    export = make(universes, master, DAY, {}, {})
    tokens = {each["tradingsymbol"] for each in rows(export.files[TOKENS_FILE])}
    listed = {each["tradingsymbol"] for each in rows(export.files["universe_both.csv"])}
    assert tokens == listed
    assert len(tokens & {"M&M", "M&M-BE"}) == 1
    assert "in common with another symbol of the master" in export.warnings[0]


def test_a_file_whose_rows_must_be_kept_is_not_taken_for_an_empty_one() -> None:
    old = {OPTIONS: b"exchange,tradingsymbol,mode\nNFO,A,fast\n"}
    problem = f"{OPTIONS}, line 2: unknown mode 'fast'"
    with pytest.raises(SubscriptionFileError, match=problem) as refused:
        made(old=old, only="stocks")
    assert exit_code_of(refused.value) == EXIT_CONFIGURATION
    assert made(old=old).files[TOKENS_FILE] == made().files[TOKENS_FILE]


def test_a_token_that_another_contract_has_now_is_the_listed_ones() -> None:
    ended = Instrument(1794, TickMode.FULL, "NFO", "ENDED")
    listed = Instrument(1794, TickMode.LTP, "NFO", "LISTED")
    for order in ([ended], [listed]), ([listed], [ended]):
        assert union(order, {("NFO", "LISTED"): (1794, None)}) == [listed]


def test_an_exchange_or_a_selection_that_is_not_there() -> None:
    universes = parse(
        Path("u"),
        '[universe.m]\nexchange="MCX"\ntypes=["FUT"]\n[universe.n]\nexchange="NFO"\nunderlying="X"',
    )
    export = make(universes, MASTER, DAY, {}, {})
    assert export.problems == [
        "universe m: the master has no MCX: run `instruments sync --exchange MCX`",
        "universe n: selects nothing on 2026-08-12: correct it in universes.toml",
    ]
    assert export.files == {}


def test_more_than_kite_takes_is_a_warning() -> None:
    many = table(*(row(f"S{number}", number) for number in range(1, 9_002)))
    universes = parse(Path("u"), '[universe.u]\nexchange="NSE"\ntypes=["EQ"]')
    (warning,) = make(universes, many, DAY, {}, {}).warnings
    assert "9,001 instruments, 1 more than Kite takes" in warning


@pytest.mark.parametrize(
    ("old", "gained", "lost"),
    [
        (None, 3, 0),
        (b"# a comment\nexchange,tradingsymbol,mode\nNSE,M&M,full\nNSE,OLD,full\n", 2, 1),
        (b'"broken\n', 3, 0),
    ],
)
def test_the_difference_is_of_rows(old: bytes | None, gained: int, lost: int) -> None:
    step = difference("universe_stocks.csv", old, made().files["universe_stocks.csv"])
    assert (step.gained, step.lost) == (gained, lost)


def test_a_file_that_stays_is_not_touched_and_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "tokens.csv"
    real.write_bytes(b"a")
    real.chmod(0o640)
    link.symlink_to(real)
    before = real.stat()
    assert not write_whole(link, b"a")
    assert (real.stat().st_mtime_ns, real.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert write_whole(link, b"b")
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"b", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real.csv", "tokens.csv"]
