"""The files that the bridge subscribes to, made from a master and the universes (pure).

``tokens.csv`` (instrument_token, mode, exchange, tradingsymbol, expiry) has every instrument of
every universe; ``universe_NAME.csv`` (exchange, tradingsymbol, mode) has those of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.instruments.selection import select
from kite_bars_store.instruments.universes import Universe
from kite_broker_zerodha.subscriptions import (
    SHARD_TOKENS_MAX,
    SHARDS_MAX,
    Instrument,
    Member,
    SubscriptionFileError,
    parse_tokens,
    parse_universe,
    tokens_csv,
    universe_csv,
)
from kite_contracts.tick_batch import TickMode
from kite_runtime.errors import ConfigurationError

TOKENS_FILE: Final = "tokens.csv"
TOKENS_MAX: Final = SHARDS_MAX * SHARD_TOKENS_MAX
"""What Kite takes for one API key."""
_TOKENS_COMMENT: Final = (
    "Written by `instruments export` from universes.toml: every instrument of every universe.\n"
    "The next export replaces it. Columns: docs/configs.md."
)
_UNIVERSE_COMMENT: Final = (
    "Written by `instruments export` from universes.toml: universe {name}.\n"
    "The next export replaces it; tokens.csv has the tokens."
)


Known = Mapping[tuple[str, str], tuple[int, date | None]]
"""Exchange and symbol → token and expiry."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines that a file gains and loses, comments aside."""

    gained: int
    lost: int


@dataclass
class Export:
    """The files by name with what belongs in them, and what needs attention.

    ``problems`` are universes that could not be made: their files stay as they were, and tokens.csv
    keeps their instruments, but for those that the master of the day has no more. ``warnings`` did
    not prevent anything.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def make(
    universes: Sequence[Universe],
    master: pa.Table,
    day: date,
    spots: Mapping[str, Decimal | str],
    old: Mapping[str, bytes | None],
    only: Collection[str] = (),
) -> Export:
    """All files. ``spots`` has each price needed, or why there is none; ``old`` the present
    content of each file; ``only`` limits which universes are made again.

    Raises SubscriptionFileError for a present file that must be kept and cannot be read, and for
    one that the bridge would refuse.
    """
    export = Export()
    known = _known(master)
    chosen: list[tuple[Universe, bool, list[Instrument]]] = []
    for universe in universes:
        made = None
        if not only or universe.name in only:
            made = _selected(universe, master, day, spots, export)
        if made is None:
            chosen.append((universe, False, _as_before(universe, known, old, export)))
        else:
            chosen.append((universe, True, made))
    tokens = union((made for *_, made in chosen), known)
    named = {_name(each) for each in tokens}
    for universe, is_new, made in chosen:
        members = [
            Member(each.exchange, each.tradingsymbol, each.mode)
            for each in made
            if _name(each) in named
        ]
        if not is_new and not members and _count(universe, old):
            raise ConfigurationError(
                f"universe {universe.name} cannot be made ({'; '.join(export.problems)}), and all "
                f"instruments of its file {universe.file_name} are gone from the master: give it "
                "what it needs, or remove both"
            )
        if len(members) < len(made):
            twice = next(each for each in made if _name(each) not in named)
            export.warnings.append(
                f"universe {universe.name}: {twice.tradingsymbol} has its token {twice.token} in "
                "common with another symbol of the master, which alone is in the files"
            )
        if is_new or (members and len(members) < _count(universe, old)):
            comment = _UNIVERSE_COMMENT.format(name=universe.name)
            export.files[universe.file_name] = universe_csv(universe.name, members, comment)
    if tokens:
        export.files[TOKENS_FILE] = tokens_csv(tokens, _TOKENS_COMMENT)
    if len(tokens) > TOKENS_MAX:
        export.warnings.append(
            f"{TOKENS_FILE} has {len(tokens):,} instruments, {len(tokens) - TOKENS_MAX:,} more "
            "than Kite takes for one key: narrow the universes, or name some in WS_BRIDGE_UNIVERSE"
        )
    return export


def union(universes: Iterable[Iterable[Instrument]], known: Known) -> list[Instrument]:
    """Each instrument once, in its fullest mode; of two with one token the listed one."""
    found: dict[tuple[str, str], Instrument] = {}
    for each in chain.from_iterable(universes):
        other = found.get(_name(each))
        if other is None or each.mode > other.mode:
            found[_name(each)] = each
    by_token: dict[int, Instrument] = {}
    for name, each in sorted(found.items()):
        if each.token not in by_token or name in known:
            by_token[each.token] = each
    return sorted(by_token.values(), key=_name)


def difference(name: str, old: bytes | None, new: bytes) -> Difference:
    """The rows that the file of this name gains and loses; one that cannot be read has none."""
    parse = parse_tokens if name == TOKENS_FILE else parse_universe
    before: set[Instrument | Member] = set()
    with suppress(SubscriptionFileError):
        before.update(parse(Path(name), old or b"").values())
    after = set(parse(Path(name), new).values())
    return Difference(len(after - before), len(before - after))


def _selected(
    universe: Universe,
    master: pa.Table,
    day: date,
    spots: Mapping[str, Decimal | str],
    export: Export,
) -> list[Instrument] | None:
    """The universe made again; None, with a problem noted, when it cannot be made."""
    (exchange,) = universe.query.exchanges
    name = f"universe {universe.name}"
    if exchange not in pc.unique(master["exchange"]).to_pylist():
        export.problems.append(
            f"{name}: the master has no {exchange}: run `instruments sync --exchange {exchange}`"
        )
        return None
    query = universe.query
    if universe.spot is not None:
        spot = spots.get(universe.spot, "it was not asked for")
        if isinstance(spot, str):
            export.problems.append(
                f"{name}: no price of {universe.spot} ({spot}); "
                f"--spot '{universe.spot}=PRICE' gives it by hand"
            )
            return None
        query = universe.at(spot)
    rows = select(master, query, day)
    missing = sorted(set(query.symbols) - set(rows["tradingsymbol"].to_pylist()))
    if not rows.num_rows:
        export.problems.append(f"{name}: selects nothing on {day}: correct it in universes.toml")
        return None
    if missing:
        export.warnings.append(
            f"{name}: {len(missing)} of {len(query.symbols)} symbols are not in the master of "
            f"{exchange}: {', '.join(missing[:10])}{' …' if len(missing) > 10 else ''}"
        )
    columns = ("instrument_token", "exchange", "tradingsymbol", "expiry")
    values = zip(*(rows[column].to_pylist() for column in columns), strict=True)
    mode = TickMode[universe.mode.upper()]
    made = [Instrument(token, mode, *name) for token, *name in values]
    return sorted(made, key=_name)


def _as_before(
    universe: Universe,
    known: Known,
    old: Mapping[str, bytes | None],
    export: Export,
) -> list[Instrument]:
    """What its file has now and the master still has; what has expired is left out and named."""
    data = old.get(universe.file_name)
    if data is None:
        return []
    members = list(parse_universe(Path(universe.file_name), data).values())
    gone = [each for each in members if _name(each) not in known]
    if gone:
        export.warnings.append(
            f"universe {universe.name} stays as it was but for {len(gone)} of {len(members)} "
            f"instruments that are not in today's master, such as {gone[0].tradingsymbol}: they "
            "are left out"
        )
    return [
        Instrument(known[_name(each)][0], each.mode, *_name(each), known[_name(each)][1])
        for each in members
        if _name(each) in known
    ]


def _count(universe: Universe, old: Mapping[str, bytes | None]) -> int:
    """How many instruments its file has now."""
    data = old.get(universe.file_name)
    return 0 if data is None else len(parse_universe(Path(universe.file_name), data))


def _name(each: Instrument | Member) -> tuple[str, str]:
    return each.exchange, each.tradingsymbol


def _known(master: pa.Table) -> Known:
    names = ("exchange", "tradingsymbol", "instrument_token", "expiry")
    columns = [master[name].to_pylist() for name in names]
    return {(row[0], row[1]): (row[2], row[3]) for row in zip(*columns, strict=True)}
