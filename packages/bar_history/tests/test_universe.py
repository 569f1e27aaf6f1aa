"""Which instruments are asked for, with and without the instrument history."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from made_up_histories import (
    AUGUST,
    JULY,
    NOVEMBER,
    FakeMaster,
    ReusedTokens,
    dump,
    validity,
)

from kite_bar_history.universe import Listed, Named, read_tokens, resolve, universe
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


class NewToken(FakeMaster):
    """SBIN has had another token since 2024; its old one was given to another share."""

    known = (*FakeMaster.known[:2], validity("OTHER", 1, date(2024, 1, 1), None, "NSE"))


def test_the_past_is_asked_for_by_the_token_of_today() -> None:
    """Kite knows no token of yesterday: under the old one it has the bars of another instrument."""
    past = date(2023, 6, 1)
    found = resolve(Named("NSE", "SBIN"), past, NewToken(), NOVEMBER)
    assert found is not None
    assert (found.token, found.problem) == (2, "")
    bare = resolve(Named("", "", 1), past, NewToken(), NOVEMBER)
    assert bare is not None
    assert bare.problem.startswith("is no longer listed since 2024-01-01; its token 1 now names")


def test_a_symbol_that_another_company_has_now_has_no_past() -> None:
    class Reused(FakeMaster):
        known = (
            replace(validity("ABC", 1, date(2018, 1, 1), date(2020, 1, 1), "NSE"), name="OLD CO"),
            replace(validity("ABC", 2, date(2026, 1, 1), None, "NSE"), name="NEW CO"),
        )

    found = resolve(Named("NSE", "ABC"), date(2019, 6, 3), Reused(), NOVEMBER)
    assert found is not None
    assert (
        found.problem == "was another instrument on 2019-06-03: OLD CO, token 1; it is NEW CO now"
    )
    now = resolve(Named("NSE", "ABC"), NOVEMBER, Reused(), NOVEMBER)
    assert now is not None
    assert (now.token, now.problem) == (2, "")


def test_a_share_under_a_new_name_keeps_its_past() -> None:
    class Renamed(FakeMaster):
        known = (
            validity("ZOMATO", 5, date(2025, 1, 1), date(2026, 11, 2), "NSE"),
            validity("ETERNAL", 5, date(2026, 11, 2), None, "NSE"),
        )

    dumps = [dump(date(2025, 1, 1)), dump(date(2026, 11, 2))]
    found = resolve(Named("NSE", "ETERNAL"), date(2026, 6, 1), Renamed(), NOVEMBER, dumps)
    assert found is not None
    assert (found.since, found.until, found.problem) == (None, None, "")


def test_an_expiry_of_the_file_counts_without_a_history(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(
        "instrument_token,mode,exchange,tradingsymbol,expiry\n"
        "13622530,quote,NFO,BANKNIFTY25JULFUT,2025-07-31\n"
    )
    (found,) = universe(path, None, date(2025, 7, 31))
    assert (found.problem, found.until) == ("", date(2025, 8, 1))
    (found,) = universe(path, None, date(2025, 7, 31), today=NOVEMBER)
    assert found.problem == "expired on 2025-07-31"


def test_the_first_day_is_known_where_an_earlier_dump_lacks_the_instrument(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text("instrument_token,mode,exchange,tradingsymbol\n19714,quote,NFO,NIFTY26DECFUT\n")
    (found,) = universe(path, None, NOVEMBER, ReusedTokens())
    assert found.since == JULY + timedelta(1)  # it may have been listed on any day since
    first = ReusedTokens()
    first.days = lambda: [dump(AUGUST)]  # type: ignore[method-assign]
    (found,) = universe(path, None, NOVEMBER, first)
    assert found.since is None
