"""Which instruments are asked for, with and without the instrument history."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kite_bar_history.universe import Listed, read_tokens, universe
from kite_bars_store.instruments import Validity
from kite_broker_zerodha.subscriptions import SubscriptionFileError
from kite_runtime.errors import EXIT_CONFIGURATION, NotFound, exit_code_of

DAY = date(2024, 1, 5)
TOKENS = """\
# written by hand
instrument_token,mode,exchange,tradingsymbol
779521,full,NSE,SBIN

256265,full,NSE,NIFTY 50
13244674,full,,
"""


def validity(symbol: str, token: int, since: date, until: date | None, segment: str) -> Validity:
    exchange = "NFO" if segment.startswith("NFO") else "NSE"
    return Validity(
        *(exchange, symbol, token, token >> 8, None, None, None, 2, 5, 1, "EQ", segment),
        *(since, until, 1),
    )


class FakeMaster:
    """A history of three instruments; SBIN had another token until 2024."""

    known = (
        validity("SBIN", 1, date(2023, 1, 1), date(2024, 1, 1), "NSE"),
        validity("SBIN", 2, date(2024, 1, 1), None, "NSE"),
        validity("NIFTY 50", 256265, date(2023, 1, 1), None, "INDICES"),
        validity("NIFTY24JANFUT", 13244674, date(2023, 11, 1), date(2024, 1, 26), "NFO-FUT"),
    )

    def by_symbol(
        self, tradingsymbol: str, exchange: str | None = None, as_of: date | None = None
    ) -> list[Validity]:
        return [e for e in self.known if (e.tradingsymbol, e.exchange) == (tradingsymbol, exchange)]

    def by_token(self, token: int, as_of: date | None = None) -> list[Validity]:
        return [each for each in self.known if each.instrument_token == token]


@pytest.fixture()
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.csv"
    path.write_text(TOKENS)
    return path


def shown(listed: list[Listed]) -> list[tuple[str, str, int | None, int]]:
    return [(e.instrument.name, e.segment, e.token, e.instrument.tick_size) for e in listed]


def test_the_history_gives_token_segment_and_tick_of_the_day(tokens: Path) -> None:
    assert shown(universe(tokens, None, DAY, FakeMaster())) == [
        ("NFO:NIFTY24JANFUT", "NFO", 13244674, 5),
        ("NSE:NIFTY 50", "INDICES", 256265, 5),
        ("NSE:SBIN", "NSE", 2, 5),
    ]
    (before,) = universe(tokens, ["NSE:SBIN"], date(2023, 6, 1), FakeMaster())
    assert before.token == 1
    (earliest,) = universe(tokens, ["NSE:SBIN"], date(2016, 6, 1), FakeMaster())
    assert earliest.instrument.tick_size == 5


def test_without_history_the_file_gives_what_it_has(tokens: Path) -> None:
    found = universe(tokens, ["NSE:SBIN", "CDS:USDINR24JANFUT"], DAY)
    assert shown(found) == [("CDS:USDINR24JANFUT", "CDS", None, 0), ("NSE:SBIN", "NSE", 779521, 0)]
    assert found[0].instrument.price_scale == 4
    with pytest.raises(NotFound, match="names the token 13244674 without a symbol"):
        universe(tokens, None, DAY)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the file does not exist"),
        ("instrument_token\n", "holds no instrument"),
        ("instrument_token,mode\nx,full\n", "line 2: 'x' is no instrument token"),
        ("token\n5\n", "line 1: the column instrument_token is missing"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | None, problem: str) -> None:
    path = tmp_path / "tokens.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SubscriptionFileError, match=problem) as refused:
        read_tokens(path)
    assert exit_code_of(refused.value) == EXIT_CONFIGURATION
