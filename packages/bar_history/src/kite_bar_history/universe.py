"""The instruments that are asked for: those of tokens.csv, or those that a person names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

from kite_bars_store.bars import BarInstrument
from kite_bars_store.instruments import Batch, Validity
from kite_bars_store.instruments.lifetime import end_of, holds, lifetime
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
    since: date | None = None
    """Its first day; None where it is not known."""
    until: date | None = None
    """The day after its last one; None while it is listed."""
    problem: str = ""
    """Why Kite must not be asked for it today, as the end of a sentence; empty where it may be."""


@dataclass(frozen=True)
class Named:
    """An instrument as a person or tokens.csv names it; empty or None where nothing is said."""

    exchange: str
    tradingsymbol: str
    token: int | None = None
    expiry: date | None = None


class Master(Protocol):
    """The part of InstrumentStore that is asked here."""

    def by_symbol(
        self, tradingsymbol: str, exchange: str | None = None, as_of: date | None = None
    ) -> list[Validity]: ...

    def by_token(self, token: int, as_of: date | None = None) -> list[Validity]: ...

    def days(self) -> Sequence[Batch]: ...


def universe(
    file: Path,
    symbols: Sequence[str] | None,
    day: date,
    master: Master | None = None,
    today: date | None = None,
) -> list[Listed]:
    """The instruments of ``symbols`` (``NSE:SBIN``), or else of ``file``, as of ``day``, by name.

    ``today`` is the day on which Kite may be asked for them; None: the same.

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
    dumps = [] if master is None else master.days()
    for each in wanted:
        listed = resolve(each, day, master, today, dumps)
        if listed is None:
            raise NotFound(
                f"{file} names the token {each.token} without a symbol, and the instrument history "
                f"does not have it on {day}: run `instruments sync`, or add exchange and "
                "tradingsymbol"
            )
        found[listed.instrument.name] = listed
    return [found[name] for name in sorted(found)]


def resolve(
    named: Named,
    day: date,
    master: Master | None,
    today: date | None = None,
    dumps: Sequence[Batch] = (),
) -> Listed | None:
    """What is known of the instrument on ``day``; before its first dump what is known first, after
    its last one what is known last. ``dumps`` are all that the master has.

    None for a bare token that the master does not have on that day.
    """
    today = day if today is None else today
    ranges = _ranges(named, master)
    known = _nearest(ranges, day)
    over = None if known is None else end_of(known)
    if known is None or (not named.tradingsymbol and over is not None and over <= day):
        if not named.tradingsymbol:
            return None
        instrument = BarInstrument(
            named.exchange, named.tradingsymbol, _SCALES.get(named.exchange, 2)
        )
        other = _other(named.token, instrument, master, today)
        problem = f"is not in the instrument history, in which {other}" if other else ""
        until = None if named.expiry is None else named.expiry + timedelta(1)
        if until is not None and until <= today:
            problem = f"expired on {named.expiry}" + (f"; {other}" if other else "")
        segment = _segment(named.exchange)
        return Listed(instrument, segment, named.token, until=until, problem=problem)
    segment = INDICES if known.segment == INDICES else known.exchange
    instrument = BarInstrument(
        known.exchange, known.tradingsymbol, known.price_scale, known.tick_size
    )
    own = [each for each in ranges if each.tradingsymbol == known.tradingsymbol]
    life = lifetime(own, dumps)
    since, until = life.since if life.is_contract else None, life.until
    current = _nearest(own, today) or known
    token, problem = current.instrument_token, ""  # Kite has the past under the token of today
    if until is not None and until <= today:
        other = _other(token, instrument, master, today)
        problem = f"{life.ended}; {other}" if other else life.ended
    elif not _is_one(own, known, current):
        problem = (
            f"was another instrument on {day}: {known.name or 'one without a name'}, token "
            f"{known.instrument_token}; it is {current.name or 'one without a name'} now"
        )
    elif named.token not in (None, current.instrument_token):
        other = _other(named.token, instrument, master, today)
        problem = (
            f"has the token {current.instrument_token} in the instrument history, and not "
            f"{named.token}" + (f": {other}" if other else "")
        )
    return Listed(instrument, _segment(segment), token, since, until, problem)


def read_tokens(path: Path) -> list[Named]:
    """The instruments of tokens.csv. Raises SubscriptionFileError, one sentence."""
    return [
        Named(each.exchange, each.tradingsymbol, each.token, each.expiry)
        for each in load_tokens(path)
    ]


def _ranges(named: Named, master: Master | None) -> list[Validity]:
    if master is None:
        return []
    if named.tradingsymbol:
        return master.by_symbol(named.tradingsymbol, named.exchange)
    return [] if named.token is None else master.by_token(named.token)


def _nearest(ranges: Sequence[Validity], day: date) -> Validity | None:
    """The range of the day, else the last one before it, else the first."""
    begun = [each for each in ranges if each.valid_from <= day]
    return begun[-1] if begun else next(iter(ranges), None)


def _is_one(own: Sequence[Validity], then: Validity, now: Validity) -> bool:
    """Whether the symbol has meant one instrument from one range to the other: it was never
    without one in between, or the company has the same name."""
    if then.instrument_token == now.instrument_token or (then.name and then.name == now.name):
        return True
    between = [each for each in own if then.valid_from <= each.valid_from <= now.valid_from]
    return all(a.valid_to == b.valid_from for a, b in pairwise(between))


def _other(token: int | None, instrument: BarInstrument, master: Master | None, today: date) -> str:
    """What else the token names today; empty where it names nothing else."""
    if token is None or master is None:
        return ""
    names = [
        f"{each.exchange}:{each.tradingsymbol}"
        for each in master.by_token(token)
        if holds(each, today)
    ]
    others = [name for name in names if name != instrument.name]
    return f"its token {token} now names {others[-1]}" if others else ""


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
