"""What the words of a lookup mean: a token, a symbol, or an expression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.instruments import InstrumentStore, Validity
from kite_bars_store.instruments.lifetime import holds
from kite_bars_store.instruments.selection import Query, parse, select
from kite_runtime.errors import NotFound

SHOWN: Final = 5
_CANDIDATES_MAX: Final = 5_000


@dataclass(frozen=True)
class Ranges:
    """What a symbol or token was and is. ``others`` is what the same tokens named besides."""

    ranges: list[Validity]
    others: list[Validity]


def find(
    store: InstrumentStore, words: Sequence[str], flags: Query, as_of: date | None, today: date
) -> Ranges | pa.Table:
    """Ranges for a token or a symbol, a table for anything else. Raises NotFound and
    ExpressionError; ``as_of`` None means every range, and today for expressions."""
    term = " ".join(words)
    if len(words) == 1 and term.isascii() and term.isdigit():
        return _token(store, int(term[:20]), as_of)
    if words:
        found = _symbol(store, term, flags.exchanges, as_of)
        if found:
            return Ranges(found, _others(store, found))
    day = as_of or today
    master = store.at(day)
    if not master.num_rows:
        raise NotFound(
            f"the history has no instrument that holds on {day}: run `instruments sync`, or give "
            "--as-of a day that `instruments days` lists"
        )
    query = _merged(words, flags, master) if words else flags
    rows = select(master, query, day)
    if not rows.num_rows:
        raise NotFound(_sentence(term or "that", master, day))
    return rows


def _merged(words: Sequence[str], flags: Query, master: pa.Table) -> Query:
    """The words, and the flags where they say something."""
    underlyings = {name.upper() for name in pc.unique(master["name"]).to_pylist() if name}
    if words[0].upper() not in underlyings:
        raise NotFound(_sentence(" ".join(words), master, None))
    query = parse(words, pc.unique(master["exchange"]).to_pylist())
    given = {
        name: value
        for name in Query.__slots__
        if name != "underlyings" and (value := getattr(flags, name)) not in ((), None, 0)
    }
    return replace(query, **given)


def _symbol(
    store: InstrumentStore, term: str, exchanges: Sequence[str], as_of: date | None
) -> list[Validity]:
    exchange, colon, symbol = term.partition(":")
    names: list[tuple[str | None, str]] = [(None, term), (None, term.upper())]
    if colon and exchange.isalnum() and symbol:
        names = [(exchange.upper(), symbol), (exchange.upper(), symbol.upper())]
    for where, name in dict.fromkeys(names):
        found = store.by_symbol(name, where, as_of)
        if exchanges:
            found = [each for each in found if each.exchange in exchanges]
        if found:
            return found
    return []


def _token(store: InstrumentStore, token: int, as_of: date | None) -> Ranges:
    every = store.by_token(token) if token < 2**63 else []
    if not every:
        raise NotFound(f"no instrument has or had the token {token} in the recorded dumps")
    if as_of is None:
        return Ranges(every, [])
    found = [each for each in every if holds(each, as_of)]
    if not found:
        spans = ", ".join(f"{each.tradingsymbol} ({span(each)})" for each in every)
        raise NotFound(f"token {token} named nothing on {as_of}; it named {spans}")
    return Ranges(found, [each for each in every if each not in found])


def _others(store: InstrumentStore, found: list[Validity]) -> list[Validity]:
    """What the tokens of these ranges named at other times."""
    known = set(found)
    tokens = dict.fromkeys(each.instrument_token for each in found)
    return [
        each
        for token in tokens
        for each in store.by_token(token)
        if each not in known and not any(_same_symbol(each, mine) for mine in found)
    ]


def _same_symbol(one: Validity, other: Validity) -> bool:
    return (one.exchange, one.tradingsymbol) == (other.exchange, other.tradingsymbol)


def span(each: Validity) -> str:
    """``2026-08-12 to 2026-08-25``, or ``since 2026-08-12``; both days are included."""
    if each.valid_to is None:
        return f"since {each.valid_from}"
    last = date.fromordinal(each.valid_to.toordinal() - 1)
    return f"{each.valid_from} to {last}"


def _sentence(term: str, master: pa.Table, day: date | None) -> str:
    names = {name for name in pc.unique(master["name"]).to_pylist() if name}
    close = near(term.split(" ")[0], {*master["tradingsymbol"].to_pylist(), *names})
    hint = f"; near: {', '.join(close)}" if close else ""
    when = f" on {day}" if day else ""
    return f"no instrument is meant by {term!r}{when}{hint}"


def near(term: str, symbols: Iterable[str]) -> list[str]:
    """The closest symbols, best first: those that begin or contain it, then similar ones."""
    wanted = term.upper()
    all_symbols = sorted(set(symbols), key=lambda symbol: (len(symbol), symbol))
    begins = [each for each in all_symbols if each.upper().startswith(wanted)]
    holds = [each for each in all_symbols if wanted in each.upper()]
    letters = [each for each in all_symbols if each[:1].upper() == wanted[:1]][:_CANDIDATES_MAX]
    similar = get_close_matches(wanted, letters, SHOWN, 0.6)
    return list(dict.fromkeys([*begins, *holds, *similar]))[:SHOWN]
