"""What somebody may have meant by a symbol that is not there (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

SHOWN: Final = 5
_CANDIDATES_MAX: Final = 5_000


def near(term: str, symbols: Iterable[str]) -> list[str]:
    """The closest symbols, best first: those that begin or contain it, then similar ones."""
    wanted = term.upper()
    all_symbols = sorted(set(symbols), key=lambda symbol: (len(symbol), symbol))
    begins = [each for each in all_symbols if each.upper().startswith(wanted)]
    holds = [each for each in all_symbols if wanted in each.upper()]
    letters = [each for each in all_symbols if each[:1].upper() == wanted[:1]][:_CANDIDATES_MAX]
    similar = get_close_matches(wanted, letters, SHOWN, 0.6)
    return list(dict.fromkeys([*begins, *holds, *similar]))[:SHOWN]
