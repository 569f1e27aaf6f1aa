"""The instruments that are asked for: those of tokens.csv, or those that a person names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Protocol

from kite_bars_store.bars import BarInstrument
from kite_bars_store.instruments import Validity
from kite_broker_zerodha.subscriptions import load_tokens
from kite_contracts.sessions import INDICES, SEGMENTS
from kite_runtime.errors import NotFound

NEAR_MAX: Final = 5
_ALIKE: Final = 0.6
_SCALES: Final = {"CDS": 4, "BCD": 4}
"""Decimals of an exchange's prices where the master is not there to say them."""


@dataclass(frozen=True)
class Listed:
    """An instrument as it was listed on the days in question."""

    instrument: BarInstrument
    segment: str
    """The segment of the session calendar: NSE, NFO, CDS, MCX, …"""
    token: int | None = None
    """Kite's instrument token on these days; None when it is not known (files need none)."""


@dataclass(frozen=True)
class Named:
    """An instrument as a person or tokens.csv names it; empty or None where nothing is said."""

    exchange: str
    tradingsymbol: str
    token: int | None = None


class Master(Protocol):
    """The part of InstrumentStore that is asked here."""

    def by_symbol(
        self, tradingsymbol: str, exchange: str | None = None, as_of: date | None = None
    ) -> list[Validity]: ...

    def by_token(self, token: int, as_of: date | None = None) -> list[Validity]: ...


def universe(
    file: Path, symbols: Sequence[str] | None, day: date, master: Master | None = None
) -> list[Listed]:
    """The instruments of ``symbols`` (``NSE:SBIN``), or else of ``file``, as of ``day``, by name.

    The master, where it is there, gives token, tick size and segment; without it tokens come from
    the file, and tick sizes are not known. Raises SubscriptionFileError for a file that cannot be
    used, and NotFound for a symbol that neither master nor file has when a master is there.
    """
    members = read_tokens(file) if symbols is None or file.exists() else []
    if symbols is None:
        wanted: Iterable[Named] = members
    else:
        by_name = {(each.exchange, each.tradingsymbol): each for each in members}
        keys = [tuple(each.split(":", 1)) for each in dict.fromkeys(symbols)]
        wanted = [by_name.get((key[0], key[1]), Named(key[0], key[1])) for key in keys]
    found = {}
    for each in wanted:
        listed = resolve(each, day, master)
        if listed is None:
            raise NotFound(
                f"{file} names the token {each.token} without a symbol, and the instrument history "
                f"does not have it on {day}: run `instruments sync`, or add exchange and "
                "tradingsymbol"
            )
        found[listed.instrument.name] = listed
    return [found[name] for name in sorted(found)]


def resolve(named: Named, day: date, master: Master | None) -> Listed | None:
    """What is known of the instrument on ``day``; before the first dump, what is known first.

    None for a bare token that the master does not have.
    """
    known = _known(named, day, master)
    if known is not None:
        segment = INDICES if known.segment == INDICES else known.exchange
        instrument = BarInstrument(
            known.exchange, known.tradingsymbol, known.price_scale, known.tick_size
        )
        return Listed(instrument, _segment(segment), known.instrument_token)
    if not named.tradingsymbol:
        return None
    scale = _SCALES.get(named.exchange, 2)
    instrument = BarInstrument(named.exchange, named.tradingsymbol, scale)
    return Listed(instrument, _segment(named.exchange), named.token)


def read_tokens(path: Path) -> list[Named]:
    """The instruments of tokens.csv. Raises SubscriptionFileError, one sentence."""
    return [Named(each.exchange, each.tradingsymbol, each.token) for each in load_tokens(path)]


def _known(named: Named, day: date, master: Master | None) -> Validity | None:
    if master is None:
        return None
    if named.tradingsymbol:
        ranges = master.by_symbol(named.tradingsymbol, named.exchange)
    elif named.token is not None:
        ranges = master.by_token(named.token)
    else:
        return None
    inside = [each for each in ranges if _holds(each, day)]
    return inside[0] if inside else (ranges[0] if ranges and day < ranges[0].valid_from else None)


def _holds(known: Validity, day: date) -> bool:
    return known.valid_from <= day and (known.valid_to is None or day < known.valid_to)


def _segment(name: str) -> str:
    return name if name in SEGMENTS else "NSE"


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
