"""Derivatives that a file names by underlying, expiry, strike and type, or by their place in the
row of expiries (``NIFTY-I``): to the contract of the instrument history.

Kite's symbols are never put together or taken apart here; what a contract is, the history states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Final, Protocol

from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files.times import day_of_text
from kite_bars_store.instruments import Validity
from kite_bars_store.instruments.lifetime import holds

FUTURE: Final = "FUT"
OPTIONS: Final = ("CE", "PE")
_NO_OPTION: Final = ("", "FUT", "XX")
_DERIVATIVES: Final = ("NFO", "BFO", "CDS", "BCD", "MCX", "NCO")
_RANKS: Final = {"I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}


@dataclass(frozen=True)
class Contract:
    """``strike`` is in rupees, None of a future. ``text`` is how the file names it."""

    exchange: str
    underlying: str
    expiry: date
    strike: Decimal | None
    type: str
    text: str = field(compare=False)


@dataclass(frozen=True)
class Rolling:
    """The future that on the day is number ``rank`` of its underlying by expiry, from 1."""

    exchange: str
    underlying: str
    rank: int
    text: str = field(compare=False)


Name = tuple[str, str] | Contract | Rolling
"""Exchange and tradingsymbol, or what a contract is."""


def named(exchange: str, parts: Mapping[str, str], expiry_format: str) -> Contract | Rolling | None:
    """Of texts by `layouts.CONTRACT`, or with ``rank``; None where they name no contract."""
    underlying = parts["underlying"]
    text = parts.get("text") or " ".join(parts[key] for key in parts if parts[key])
    if "rank" in parts:
        rank = _RANKS.get(parts["rank"].upper())
        return None if rank is None else Rolling(exchange, underlying, rank, text)
    kind = parts.get("type", "").upper()
    kind = FUTURE if kind in _NO_OPTION else kind
    try:
        expiry = day_of_text(parts["expiry"], expiry_format)
        strike = Decimal(parts.get("strike", "")) if kind in OPTIONS else None
    except (ValueError, InvalidOperation):
        return None
    if not underlying or (kind not in OPTIONS and kind != FUTURE):
        return None
    return Contract(exchange, underlying, expiry, strike, kind, text)


class History(Protocol):
    """The part of InstrumentStore that is asked here."""

    def histories(
        self, keys: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], list[Validity]]: ...

    def futures(self, exchange: str, underlying: str) -> list[Validity]: ...


class Contracts:
    """The contracts among the instruments asked for, by what they are. It asks the history when
    it is first used, and then once for each underlying."""

    def __init__(self, asked: Sequence[Listed], history: History) -> None:
        self._asked = asked
        self._history = history
        self._series: dict[tuple[str, str], list[Validity]] = {}

    def number(self, contract: Contract) -> int | None:
        """Its place among the instruments asked for."""
        return self._numbers.get(contract)

    def has_future(self, rolling: Rolling) -> bool:
        """Whether any future of the underlying is asked for."""
        return (rolling.exchange, rolling.underlying) in self._underlyings

    def on_day(self, rolling: Rolling, day: date) -> tuple[str, str] | None:
        """Exchange and tradingsymbol of the contract that is meant on ``day``; None where the
        history has not so many that were listed then, as before its first dump."""
        key = rolling.exchange, rolling.underlying
        if key not in self._series:
            self._series[key] = self._history.futures(*key)
        listed = {
            each.expiry: (each.exchange, each.tradingsymbol)
            for each in self._series[key]
            if each.expiry is not None and holds(each, day)
        }
        expiries = sorted(listed)
        return listed[expiries[rolling.rank - 1]] if rolling.rank <= len(expiries) else None

    def undescribed(self) -> list[str]:
        """The names on exchanges of derivatives of which the history has no expiry."""
        known = set(self._numbers.values())
        return [
            each.instrument.name
            for at, each in enumerate(self._asked)
            if at not in known and each.instrument.exchange in _DERIVATIVES
        ]

    @cached_property
    def _numbers(self) -> dict[Contract, int]:
        keys = [(e.instrument.exchange, e.instrument.tradingsymbol) for e in self._asked]
        known = self._history.histories(keys)
        found = {}
        for at, key in enumerate(keys):
            for each in known.get(key, ()):
                if each.expiry is not None and each.name is not None:
                    strike = each.strike_price if each.instrument_type in OPTIONS else None
                    what = each.exchange, each.name, each.expiry, strike, each.instrument_type
                    found[Contract(*what, text=key[1])] = at
        return found

    @cached_property
    def _underlyings(self) -> frozenset[tuple[str, str]]:
        own = [each for each in self._numbers if each.type == FUTURE]
        return frozenset((each.exchange, each.underlying) for each in own)
