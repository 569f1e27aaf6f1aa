"""Which instrument a gap's token is asked for by: the one that it names today, or none."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_up_histories import AUGUST, JULY, NOVEMBER, ReusedTokens, contract, validity

from kite_bar_history.healing import token_finder

EXPIRED = contract("BANKNIFTY25JULFUT", 13622530, JULY, None, date(2025, 7, 31))


class JulyAlone(ReusedTokens):
    known = (EXPIRED,)


class Nothing(ReusedTokens):
    known = (validity("SBIN", 779521, AUGUST, None, "NSE"),)


@pytest.mark.parametrize(
    ("master", "day", "problem"),
    [
        (ReusedTokens(), date(2025, 7, 10), "expired on 2025-07-31; its token 13622530 now names"),
        (ReusedTokens(), date(2025, 8, 5), "expired on 2025-07-31; its token 13622530 now names"),
        (ReusedTokens(), date(2026, 3, 10), "expired on 2025-07-31; its token 13622530 now names"),
        (JulyAlone(), NOVEMBER, "expired on 2025-07-31"),
        (Nothing(), NOVEMBER, ""),
    ],
)
def test_an_expired_contract_is_never_asked_for(
    tmp_path: Path, master: ReusedTokens, day: date, problem: str
) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(
        "instrument_token,mode,exchange,tradingsymbol\n13622530,quote,NFO,BANKNIFTY25JULFUT\n"
    )
    resources: Any = SimpleNamespace(
        universe_file=path, stores=SimpleNamespace(instruments=master), today=lambda: NOVEMBER
    )
    found = token_finder(resources)[0](13622530, day)
    assert found is not None
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)
