"""The words of a lookup, such as ``NIFTY front 24000:24500 CE``, as a query (pure).

The first word is the underlying; the others may come in any order:

    front | next | month | 2026-08-25    expiry
    24350 | 24000:24500 | 24000: | :24500    strike, or strikes from and to
    CE | PE | FUT | EQ    type
    NFO, BFO, MCX …    exchange (those that the master has)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from kite_bars_store.errors import ExpressionError
from kite_bars_store.instruments.selection import Query, When

TYPES: Final = ("CE", "PE", "FUT", "EQ")
_STRIKE: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_HELP: Final = (
    "after the underlying come front, next, month or a date, strikes such as 24000:24500, and CE, "
    "PE, FUT or EQ"
)


def parse(words: Sequence[str], exchanges: Collection[str]) -> Query:
    """The query of the words, the first of which is an underlying. Raises ExpressionError."""
    query = Query(underlyings=(words[0],))
    for word in words[1:]:
        query = _with(query, word, exchanges)
    return query


def an_expiry(text: str) -> date | When:
    """front, next, month or a date. Raises ExpressionError."""
    if text.lower() in set(When):
        return When(text.lower())
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ExpressionError(
            f"{text!r} is no expiry: give front, next, month or a date such as 2026-08-25"
        ) from error


def strikes(text: str) -> tuple[Decimal | None, Decimal | None]:
    """``A:B``, ``A:``, ``:B`` or ``A``: lowest and highest strike. Raises ExpressionError."""
    low, colon, high = text.partition(":")
    ends = [low, high if colon else low]
    if not any(ends) or any(end and not _STRIKE.fullmatch(end) for end in ends):
        raise ExpressionError(f"{text!r} is no strike: give 24350, or from and to as 24000:24500")
    first, last = (Decimal(end) if end else None for end in ends)
    if first is not None and last is not None and first > last:
        raise ExpressionError(f"{text!r} has the higher strike first: give {last}:{first}")
    return first, last


def _with(query: Query, word: str, exchanges: Collection[str]) -> Query:
    upper = word.upper()
    if upper in TYPES:
        return replace(query, types=(*query.types, upper))
    if upper in exchanges:
        return replace(query, exchanges=(*query.exchanges, upper))
    if word.lower() in set(When) or re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word):
        return replace(query, expiry=an_expiry(word))
    if word[:1].isdigit() or ":" in word:
        low, high = strikes(word)
        return replace(query, strike_low=low, strike_high=high)
    raise ExpressionError(f"{word!r} is not understood: {_HELP}")
