"""The files that the bridge subscribes to, made from a master and the universes (pure).

``tokens.csv`` (instrument_token, mode, exchange, tradingsymbol) has every instrument of every
universe; ``universe_NAME.csv`` (exchange, tradingsymbol, mode) has those of one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import Final, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.instruments.selection import select
from kite_bars_store.instruments.universes import MODES, Universe

TOKENS_FILE: Final = "tokens.csv"
TOKENS_MAX: Final = 9_000
"""What Kite takes for one API key: 3 connections with 3000 instruments each."""
_TOKENS_HEAD: Final = (
    "# Written by `instruments export` from universes.toml: every instrument of every universe.\n"
    "# The next export replaces it. Columns: docs/configs.md.\n"
)
_UNIVERSE_HEAD: Final = (
    "# Written by `instruments export` from universes.toml: universe {name}.\n"
    "# The next export replaces it; tokens.csv has the tokens.\n"
)
_TOKEN_COLUMNS: Final = ("instrument_token", "mode", "exchange", "tradingsymbol")
_UNIVERSE_COLUMNS: Final = ("exchange", "tradingsymbol", "mode")


class Member(NamedTuple):
    """One subscribed instrument; ordered by exchange and symbol."""

    exchange: str
    tradingsymbol: str
    token: int
    mode: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines that a file gains and loses, comments aside."""

    gained: int
    lost: int


@dataclass
class Export:
    """The files by name with what belongs in them, and what a person should know.

    ``problems`` are universes that could not be made: their files stay as they were, and tokens.csv
    keeps their instruments. ``warnings`` did not prevent anything.
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
    content of each file; ``only`` limits which universes are made anew."""
    export = Export()
    known = _known(master)
    members: list[list[Member]] = []
    for universe in universes:
        made = None
        if not only or universe.name in only:
            made = _members(universe, master, day, spots, export)
        if made is None:
            made = _as_before(universe, known, old)
        else:
            export.files[universe.file_name] = universe_csv(universe.name, made)
        members.append(made)
    tokens = union(members, known)
    export.files[TOKENS_FILE] = tokens_csv(tokens)
    if len(tokens) > TOKENS_MAX:
        export.warnings.append(
            f"{TOKENS_FILE} has {len(tokens):,} instruments, {len(tokens) - TOKENS_MAX:,} more "
            "than Kite takes for one key: narrow the universes, or name some in WS_BRIDGE_UNIVERSE"
        )
    return export


def union(
    universes: Iterable[Iterable[Member]], known: Mapping[tuple[str, str], int]
) -> list[Member]:
    """Each instrument once, in its fullest mode; of two with one token the listed one."""
    found: dict[tuple[str, str], Member] = {}
    for member in chain.from_iterable(universes):
        key = (member.exchange, member.tradingsymbol)
        other = found.get(key)
        if other is None or MODES.index(member.mode) > MODES.index(other.mode):
            found[key] = member
    by_token: dict[int, Member] = {}
    for key, member in sorted(found.items()):
        other = by_token.get(member.token)
        if other is None or key in known:
            by_token[member.token] = member
    return sorted(by_token.values())


def tokens_csv(members: Iterable[Member]) -> bytes:
    """The content of tokens.csv."""
    rows = ((each.token, each.mode, each.exchange, each.tradingsymbol) for each in members)
    return _csv(_TOKENS_HEAD, _TOKEN_COLUMNS, rows)


def universe_csv(name: str, members: Iterable[Member]) -> bytes:
    """The content of universe_NAME.csv."""
    rows = ((each.exchange, each.tradingsymbol, each.mode) for each in members)
    return _csv(_UNIVERSE_HEAD.format(name=name), _UNIVERSE_COLUMNS, rows)


def difference(old: bytes | None, new: bytes) -> Difference:
    """What a git diff will show of the rows."""
    before, after = set(_rows(old or b"")), set(_rows(new))
    return Difference(len(after - before), len(before - after))


def _members(
    universe: Universe,
    master: pa.Table,
    day: date,
    spots: Mapping[str, Decimal | str],
    export: Export,
) -> list[Member] | None:
    """The universe anew; None, with a problem said, when it cannot be made."""
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
    columns = ("exchange", "tradingsymbol", "instrument_token")
    values = zip(*(rows[column].to_pylist() for column in columns), strict=True)
    return sorted(
        Member(exchange, symbol, token, universe.mode) for exchange, symbol, token in values
    )


def _as_before(
    universe: Universe, known: Mapping[tuple[str, str], int], old: Mapping[str, bytes | None]
) -> list[Member]:
    """What its file says now, with the tokens of the master, else of the present tokens.csv."""
    tokens = {
        (row["exchange"], row["tradingsymbol"]): row["instrument_token"]
        for row in _dicts(old.get(TOKENS_FILE), _TOKEN_COLUMNS)
    }
    found = []
    for row in _dicts(old.get(universe.file_name), _UNIVERSE_COLUMNS):
        key = (row["exchange"], row["tradingsymbol"])
        token = known.get(key) or tokens.get(key, "")
        mode = row["mode"] if row["mode"] in MODES else universe.mode
        if str(token).isdigit():
            found.append(Member(*key, int(token), mode))
    return sorted(set(found))


def _known(master: pa.Table) -> dict[tuple[str, str], int]:
    names = ("exchange", "tradingsymbol", "instrument_token")
    columns = [master[name].to_pylist() for name in names]
    return {(row[0], row[1]): row[2] for row in zip(*columns, strict=True)}


def _csv(head: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    out.write(head)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()


def _rows(data: bytes) -> list[tuple[str, ...]]:
    """The rows of a file, header and comments aside; of one that is no CSV, none."""
    text = data.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return [tuple(row) for row in csv.reader(lines)][1:]
    except csv.Error:
        return []


def _dicts(data: bytes | None, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a file of ours; none when it is missing or of another form."""
    rows = _rows(data or b"")
    return [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]
