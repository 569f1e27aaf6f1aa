"""configs/universes.toml: what it may say, and what is wrong."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from kite_bars_store.errors import UniverseError
from kite_bars_store.instruments.selection import Query, When
from kite_bars_store.instruments.universes import load, parse

PATH = Path("universes.toml")
DELIVERED = Path(__file__).parents[3] / "configs" / "universes.toml"


def test_the_delivered_universes() -> None:
    found = {each.name: each for each in load(DELIVERED)}
    assert list(found) == ["nifty50", "nifty_options", "nfo_futures"]
    assert len(found["nifty50"].query.symbols) == 51
    options = found["nifty_options"]
    assert (options.spot, options.query.steps, options.query.expiries) == ("NSE:NIFTY 50", 20, 2)
    assert found["nfo_futures"].file_name == "universe_nfo_futures.csv"


def test_every_key() -> None:
    text = """
    [universe.a_1]
    about = "a page"
    exchange = "NFO"
    mode = "ltp"
    underlying = ["NIFTY", "M&M"]
    types = ["CE"]
    segment = "NFO-OPT"
    expiry = 2026-08-25
    strike_from = 24000.5
    strike_to = 25000
    strikes = 0
    spot = "NSE:NIFTY 50"
    """
    (found,) = parse(PATH, text)
    assert (found.name, found.mode, found.spot) == ("a_1", "ltp", "NSE:NIFTY 50")
    assert found.query == Query(
        ("NFO",),
        (),
        ("NIFTY", "M&M"),
        ("CE",),
        ("NFO-OPT",),
        date(2026, 8, 25),
        None,
        Decimal("24000.5"),
        Decimal(25000),
    )
    assert found.at(Decimal(1)).around == Decimal(1)
    (other,) = parse(PATH, '[universe.b]\nexchange="NFO"\nunderlying="NIFTY"\nexpiry="month"')
    assert other.query.expiry is When.MONTH


U = '[universe.u]\nexchange = "NFO"\n'
WRONG = [
    ("", "must hold [universe.NAME] tables"),
    ("x = 1\n" + U + 'types = ["FUT"]', "must hold [universe.NAME] tables"),
    ("[universe]\nu = 1", "must be a table"),
    ("[universe.u", "is no TOML"),
    ('[universe.U]\nexchange = "NFO"\ntypes = ["FUT"]', "small letters"),
    ('[universe.u]\ntypes = ["FUT"]', "is missing exchange"),
    (U, "give symbols, or what selects them"),
    (U + 'symbols = ["A"]\ntypes = ["FUT"]', "not both"),
    (U + "symbols = []", "symbols must be a list of texts"),
    (U + "symbols = [1]", "symbols must be a list of texts"),
    (U + 'types = ["FUTURE"]', "types must be of CE"),
    (U + 'types = "FUT"', "types has a value of the wrong kind"),
    (U + 'types = ["FUT"]\nmode = "fast"', "mode 'fast' is none of ltp, quote, full"),
    (U + 'types = ["FUT"]\ncolour = "red"', "unknown key 'colour'"),
    (U + "strikes = 20", "strikes and spot belong together"),
    (U + 'strikes = true\nspot = "NSE:NIFTY 50"', "strikes has a value of the wrong kind"),
    (U + 'strikes = 5\nspot = "NIFTY 50"', "spot must be EXCHANGE:SYMBOL"),
    (U + 'strikes = -1\nspot = "NSE:NIFTY 50"', "strikes 0 to"),
    (U + "expiries = 0", "expiries must be 1"),
    (U + 'expiries = 1\nexpiry = "front"', "exclude each other"),
    (U + 'expiry = "soon"', "'soon' is no expiry"),
    (U + "strike_from = 2\nstrike_to = 1", "strike_from is above strike_to"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_wrong_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(UniverseError) as wrong:
        parse(PATH, text)
    assert str(wrong.value).startswith("universes.toml")
    assert says in str(wrong.value)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "universes.toml"
    with pytest.raises(UniverseError, match=r"universes\.toml: cannot be read: No such file"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UniverseError, match="is no UTF-8 text: save it as UTF-8"):
        load(path)
    path.write_bytes(b'\xef\xbb\xbf[universe.u]\nexchange = "NSE"\nsymbols = ["INFY"]\n')
    assert [each.name for each in load(path)] == ["u"]
