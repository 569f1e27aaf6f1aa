"""Which instruments of a master are meant: the one engine of `lookup` and `export` (pure).

Strike and expiry come from their columns; symbols are never taken apart. `lookup` takes
words, such as ``NIFTY front 24000:24500 CE``: first the underlying, the others in any order:

    front | next | month | 2026-08-25    expiry
    24350 | 24000:24500 | 24000: | :24500    strike, or strikes from and to
    CE | PE | FUT | EQ    type
    NFO, BFO, MCX …    exchange (those that the master has)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.errors import ExpressionError

TYPES: Final = ("CE", "PE", "FUT", "EQ")
_STRIKE: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_HELP: Final = (
    "after the underlying come front, next, month or a date, strikes such as 24000:24500, and CE, "
    "PE, FUT or EQ"
)

SCALE_MAX: Final = 9
"""The contract's finest price scale; strikes are compared there."""
SORTED: Final = [("exchange", "ascending"), ("tradingsymbol", "ascending")]

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class When(StrEnum):
    """Which expiries of an underlying; those before the day do not count."""

    FRONT = "front"
    """The nearest."""
    NEXT = "next"
    """The one after it."""
    MONTH = "month"
    """The nearest that is the last of its calendar month."""


@dataclass(frozen=True, slots=True)
class Query:
    """Everything that is set must hold; an empty query means all.

    ``expiry`` is a day or one of `When`; ``expiries`` 2 means the nearest two. ``strike_low`` and
    ``strike_high`` are inclusive, in rupees. With ``around`` and ``steps`` those strikes are meant
    that lie up to so many steps from the one nearest to ``around``, on each side.
    """

    exchanges: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    underlyings: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    expiry: date | When | None = None
    expiries: int | None = None
    strike_low: Decimal | None = None
    strike_high: Decimal | None = None
    around: Decimal | None = None
    steps: int = 0


def select(table: pa.Table, query: Query, day: date) -> pa.Table:
    """The rows that the query means on ``day``, ordered by exchange and symbol."""
    found = _by_values(table, query)
    if query.expiry is not None or query.expiries is not None:
        found = _by_expiry(found, query, day)
    if query.strike_low is not None or query.strike_high is not None:
        found = _between(found, query.strike_low, query.strike_high)
    if query.around is not None:
        found = _around(found, query.around, query.steps)
    return found.sort_by(SORTED)


def _by_values(table: pa.Table, query: Query) -> pa.Table:
    wanted = {
        "exchange": query.exchanges,
        "tradingsymbol": query.symbols,
        "instrument_type": query.types,
        "segment": query.segments,
    }
    for column, values in wanted.items():
        if values:
            table = table.filter(pc.is_in(table[column], pa.array(values, pa.string())))
    if query.underlyings:
        names = pa.array([name.upper() for name in query.underlyings], pa.string())
        table = table.filter(pc.is_in(pc.utf8_upper(table["name"]), names))
    return table


def _by_expiry(table: pa.Table, query: Query, day: date) -> pa.Table:
    if isinstance(query.expiry, date):
        return table.filter(pc.equal(table["expiry"], pa.scalar(query.expiry)))
    table = table.filter(pc.greater_equal(table["expiry"], pa.scalar(day)))
    pairs = table.select(["exchange", "name", "expiry"]).group_by(["exchange", "name", "expiry"])
    by_underlying: dict[tuple[str, str], list[date]] = {}
    for row in pairs.aggregate([]).to_pylist():
        by_underlying.setdefault((row["exchange"], row["name"]), []).append(row["expiry"])
    meant = [
        {"exchange": exchange, "name": name, "expiry": expiry}
        for (exchange, name), days in by_underlying.items()
        for expiry in _meant(sorted(days), query)
    ]
    schema = pa.schema([table.schema.field(name) for name in ("exchange", "name", "expiry")])
    wanted = pa.Table.from_pylist(meant, schema=schema)
    return _semi_join(table, wanted, ["exchange", "name", "expiry"])


def _meant(days: list[date], query: Query) -> Sequence[date]:
    """Of one underlying's expiries, in order."""
    if query.expiries is not None:
        return days[: query.expiries]
    match query.expiry:
        case When.FRONT:
            return days[:1]
        case When.NEXT:
            return days[1:2]
    last_of_month = {(each.year, each.month): each for each in days}
    return list(last_of_month.values())[:1]


def _semi_join(table: pa.Table, wanted: pa.Table, by: list[str]) -> pa.Table:
    numbered = table.select(by).append_column("row", pa.array(np.arange(table.num_rows)))
    joined = numbered.join(wanted, by, join_type="left semi")
    return table.take(joined["row"].combine_chunks())


def _between(table: pa.Table, low: Decimal | None, high: Decimal | None) -> pa.Table:
    strikes, there = _strikes(table)
    keep = there.copy()
    if low is not None:
        keep &= strikes >= _scaled(low)
    if high is not None:
        keep &= strikes <= _scaled(high)
    return table.filter(pa.array(keep))


def _around(table: pa.Table, middle: Decimal, steps: int) -> pa.Table:
    """Per underlying and expiry, because each has strikes of its own."""
    strikes, there = _strikes(table)
    keep = np.zeros(table.num_rows, np.bool_)
    groups: dict[tuple[Any, ...], list[int]] = {}
    keys = zip(*(table[name].to_pylist() for name in ("exchange", "name", "expiry")), strict=True)
    for row, key in enumerate(keys):
        if there[row]:
            groups.setdefault(key, []).append(row)
    for rows in groups.values():
        levels = np.unique(strikes[rows])
        nearest = int(np.argmin(np.abs(levels - _scaled(middle))))
        low = levels[max(0, nearest - steps)]
        high = levels[min(len(levels) - 1, nearest + steps)]
        inside = (strikes[rows] >= low) & (strikes[rows] <= high)
        keep[np.array(rows)[inside]] = True
    return table.filter(pa.array(keep))


def _strikes(table: pa.Table) -> tuple[Ints, Flags]:
    """Strikes at one scale, and which rows have one. 64 bits hold nine billion rupees there."""
    strike = table["strike"]
    there: Flags = pc.is_valid(strike).to_numpy().astype(np.bool_)
    numbers: Ints = pc.fill_null(strike, 0).to_numpy()
    scales = table["price_scale"].to_numpy().astype(np.int64)
    found: Ints = numbers * 10 ** (SCALE_MAX - scales)
    return found, there


def _scaled(price: Decimal) -> int:
    limit = np.iinfo(np.int64).max
    return max(-limit, min(limit, int(price.scaleb(SCALE_MAX))))


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
