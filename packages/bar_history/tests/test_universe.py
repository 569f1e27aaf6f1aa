"""Which instruments are asked for, with and without the instrument history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from kite_bar_history.universe import Listed, read_tokens, universe
from kite_bars_store.instruments import Batch, Validity
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


def dump(day: date) -> Batch:
    when = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Batch(1, "kite", ("NSE", "NFO"), day, when, b"", None, *[0] * 7, {})


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

    def days(self) -> list[Batch]:
        return [dump(date(2022, 1, 3)), dump(date(2026, 8, 3))]


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


JULY, AUGUST, NOVEMBER = date(2025, 7, 1), date(2026, 8, 3), date(2026, 11, 20)


def contract(symbol: str, token: int, since: date, until: date | None, expiry: date) -> Validity:
    plain = validity(symbol, token, since, until, "NFO-FUT")
    return replace(plain, expiry=expiry)


class ReusedTokens(FakeMaster):
    """Masters of July 2025 and August 2026, between which Kite gave tokens to other contracts."""

    known = (
        contract("BANKNIFTY25JULFUT", 13622530, JULY, AUGUST, date(2025, 7, 31)),
        contract("BANKNIFTY26DEC45000PE", 13622530, AUGUST, None, date(2026, 12, 29)),
        contract("NIFTY26DECFUT", 19714, AUGUST, None, date(2026, 12, 29)),
        contract("NIFTY26OCTFUT", 19970, AUGUST, None, date(2026, 10, 27)),
        validity("SBIN", 779521, JULY, None, "NSE"),
        validity("DELISTED", 513, JULY, AUGUST, "NSE"),
    )


@pytest.mark.parametrize(
    ("row", "problem", "until"),
    [
        (
            "13622530,quote,NFO,BANKNIFTY25JULFUT",
            "expired on 2025-07-31; its token 13622530 now names NFO:BANKNIFTY26DEC45000PE",
            date(2025, 8, 1),
        ),
        ("13622530,quote,NFO,BANKNIFTY26DEC45000PE", "", date(2026, 12, 30)),
        # no dump tells of its end yet, and its expiry does
        ("19970,quote,NFO,NIFTY26OCTFUT", "expired on 2026-10-27", date(2026, 10, 28)),
        ("513,quote,NSE,DELISTED", "is no longer listed since 2026-08-03", AUGUST),
        # name and token disagree
        (
            "13622530,quote,NFO,NIFTY26DECFUT",
            "has the token 19714 in the instrument history, and not 13622530: its token 13622530 "
            "now names NFO:BANKNIFTY26DEC45000PE",
            date(2026, 12, 30),
        ),
        (
            "13622530,quote,NFO,NIFTY26NOVFUT",
            "is not in the instrument history, in which its token 13622530 now names "
            "NFO:BANKNIFTY26DEC45000PE",
            None,
        ),
        ("255746,quote,NFO,NIFTY26NOVFUT", "", None),  # a strike that was added in the day
        ("779521,quote,NSE,SBIN", "", None),
    ],
)
def test_kite_is_not_asked_by_a_name_that_its_token_has_no_more(
    tmp_path: Path, row: str, problem: str, until: date | None
) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(f"instrument_token,mode,exchange,tradingsymbol\n{row}\n")
    (found,) = universe(path, None, NOVEMBER, ReusedTokens())
    assert found.instrument.name == ":".join(row.split(",")[2:])
    assert (found.problem, found.until) == (problem, until)
    # days of its life are asked for today, or not at all
    (earlier,) = universe(path, None, date(2025, 7, 10), ReusedTokens(), NOVEMBER)
    assert earlier.problem == problem


def test_the_first_day_is_known_where_an_earlier_dump_lacks_the_instrument(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text("instrument_token,mode,exchange,tradingsymbol\n19714,quote,NFO,NIFTY26DECFUT\n")
    (found,) = universe(path, None, NOVEMBER, ReusedTokens())
    assert found.since == AUGUST
    first = ReusedTokens()
    first.days = lambda: [dump(AUGUST)]  # type: ignore[method-assign]
    (found,) = universe(path, None, NOVEMBER, first)
    assert found.since is None
