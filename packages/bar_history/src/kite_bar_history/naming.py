"""A symbol as a person types it, found among those that have bars; near ones where it is none."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from kite_runtime.errors import NotFound

NEAR_MAX: Final = 5
_ALIKE: Final = 0.6


def symbol_of(text: str, names: Sequence[str]) -> str:
    """The one of ``names`` (like ``NSE:SBIN``) that is meant; the exchange may be left out where
    one alone has the symbol. Raises NotFound, with near ones."""
    wanted = text.strip()
    exact = [name for name in names if name.upper() == wanted.upper()]
    bare = [name for name in names if name.partition(":")[2].upper() == wanted.upper()]
    for found in (exact, bare):
        if len(found) == 1:
            return found[0]
    if len(bare) > 1:
        raise NotFound(f"{wanted} has bars on several exchanges: name one of {', '.join(bare)}")
    if not names:
        raise NotFound(f"nothing is known of {wanted}: no bars were merged yet, see `daily --help`")
    like = near(wanted, names)
    rest = f": did you mean {' or '.join(like)}?" if like else "; `report` lists who has some"
    raise NotFound(f"no bars of {wanted} were ever merged{rest}")


def near(text: str, names: Sequence[str]) -> list[str]:
    """The names most alike, by symbol; those that begin with it come first."""
    symbol = text.rpartition(":")[2].upper()
    by_symbol: dict[str, list[str]] = {}
    for name in names:
        by_symbol.setdefault(name.partition(":")[2].upper(), []).append(name)
    begin = sorted(each for each in by_symbol if symbol and each.startswith(symbol))
    alike = get_close_matches(symbol, by_symbol, n=NEAR_MAX, cutoff=_ALIKE)
    chosen = dict.fromkeys([*begin[:NEAR_MAX], *alike])
    return [name for each in chosen for name in by_symbol[each]][:NEAR_MAX]
