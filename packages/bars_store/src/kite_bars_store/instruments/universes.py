"""``configs/universes.toml``: named selections of the master (pure).

Each ``[universe.NAME]`` becomes ``universe_NAME.csv``. Its keys:

    exchange    required, such as "NFO"
    mode        "full" (default), "quote" or "ltp"
    symbols     these tradingsymbols; or else what follows
    underlying  one name or several, as in the master's column ``name``
    types       of "EQ", "FUT", "CE", "PE"
    segment     such as "NFO-OPT"
    expiry      "front", "next", "month" or a date; or
    expiries    the nearest so many
    strike_from, strike_to    in rupees, included
    strikes     so many on each side of the spot; needs ``spot``
    spot        whose last price that is, such as "NSE:NIFTY 50"
    about       for people
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from kite_bars_store.errors import ExpressionError, UniverseError
from kite_bars_store.instruments.selection import TYPES, Query, an_expiry
from kite_runtime.toml_files import parse_toml, read_text

MODES: Final = ("ltp", "quote", "full")
"""From the least to the most data."""
STEPS_MAX: Final = 1_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
_SPOT: Final = re.compile(r"[A-Z0-9]{2,10}:\S.{0,60}")
_KEYS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "exchange": str,
    "mode": str,
    "symbols": list,
    "underlying": (str, list),
    "types": list,
    "segment": str,
    "expiry": (str, date),
    "expiries": int,
    "strike_from": (int, float),
    "strike_to": (int, float),
    "strikes": int,
    "spot": str,
    "about": str,
}
_SELECTORS: Final = frozenset(_KEYS) - {"exchange", "mode", "symbols", "about"}


@dataclass(frozen=True, slots=True)
class Universe:
    """One selection. ``spot`` is the key of the price that the query's ``around`` waits for."""

    name: str
    mode: str
    query: Query
    spot: str | None = None

    @property
    def file_name(self) -> str:
        return f"universe_{self.name}.csv"

    def at(self, spot: Decimal) -> Query:
        """The query around this price."""
        return replace(self.query, around=spot)


def load(path: Path) -> list[Universe]:
    """The universes of the file, in its order. Raises UniverseError."""
    return parse(path, read_text(path, partial(UniverseError, path, None)))


def parse(path: Path, text: str) -> list[Universe]:
    """The universes of a file's text. Raises UniverseError."""
    content = parse_toml(text, partial(UniverseError, path, None), Decimal)
    entries = content.get("universe")
    if set(content) != {"universe"} or not isinstance(entries, dict) or not entries:
        raise UniverseError(path, None, "must hold [universe.NAME] tables and nothing else")
    return [_universe(path, name, entry) for name, entry in entries.items()]


def _universe(path: Path, name: str, entry: Any) -> Universe:
    def fault(problem: str) -> UniverseError:
        return UniverseError(path, name, problem)

    if not _NAME.fullmatch(name):
        raise fault("a name is up to 40 small letters, digits and _")
    if not isinstance(entry, dict):
        raise fault("must be a table [universe.NAME]")
    _check_types(entry, fault)
    if not entry.get("exchange"):
        raise fault('is missing exchange, for example exchange = "NFO"')
    if entry.get("mode", "full") not in MODES:
        raise fault(f"mode {entry['mode']!r} is none of {', '.join(MODES)}")
    if ("symbols" in entry) == bool(_SELECTORS & set(entry)):
        raise fault("give symbols, or what selects them (underlying, types, expiry …), not both")
    if ("strikes" in entry) != ("spot" in entry):
        raise fault(
            'strikes and spot belong together, for example strikes = 20, spot = "NSE:NIFTY 50"'
        )
    if "expiry" in entry and "expiries" in entry:
        raise fault("expiry and expiries exclude each other")
    return Universe(name, entry.get("mode", "full"), _query(entry, fault), entry.get("spot"))


def _check_types(entry: dict[str, Any], fault: Any) -> None:
    for key, value in entry.items():
        if key not in _KEYS:
            raise fault(f"unknown key {key!r}; known are {', '.join(_KEYS)}")
        kinds = _KEYS[key]
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        if float in wanted:
            wanted = (int, Decimal)
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise fault(f"{key} has a value of the wrong kind")
        if isinstance(value, list) and not (value and all(isinstance(v, str) and v for v in value)):
            raise fault(f"{key} must be a list of texts")
    if not 1 <= entry.get("expiries", 1) <= 100 or not 0 <= entry.get("strikes", 0) <= STEPS_MAX:
        raise fault(f"expiries must be 1 to 100, strikes 0 to {STEPS_MAX}")
    if "spot" in entry and not _SPOT.fullmatch(entry["spot"]):
        raise fault('spot must be EXCHANGE:SYMBOL, for example "NSE:NIFTY 50"')
    if set(entry.get("types", ())) - set(TYPES):
        raise fault(f"types must be of {', '.join(TYPES)}")


def _query(entry: dict[str, Any], fault: Any) -> Query:
    underlying = entry.get("underlying", ())
    expiry = entry.get("expiry")
    try:
        when = an_expiry(expiry) if isinstance(expiry, str) else expiry
    except ExpressionError as error:
        raise fault(str(error)) from error
    low, high = (
        None if entry.get(key) is None else Decimal(entry[key])
        for key in ("strike_from", "strike_to")
    )
    if low is not None and high is not None and low > high:
        raise fault("strike_from is above strike_to")
    return Query(
        exchanges=(entry["exchange"],),
        symbols=tuple(entry.get("symbols", ())),
        underlyings=(underlying,) if isinstance(underlying, str) else tuple(underlying),
        types=tuple(entry.get("types", ())),
        segments=(entry["segment"],) if "segment" in entry else (),
        expiry=when,
        expiries=entry.get("expiries"),
        strike_low=low,
        strike_high=high,
        steps=entry.get("strikes", 0),
    )
