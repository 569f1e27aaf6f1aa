"""A call's bars cut into pieces of one month and a bounded count of rows. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kite_bars_store.bars.columns import INTERVALS, VALUES, Columns, Int64s, SourceBars, take
from kite_bars_store.bars.grid import Grid, month_starts
from kite_bars_store.bars.rules import MergeRules

ROWS_MAX: Final = 250_000
"""Of all sources in one transaction; one instrument's month is never cut."""
_SLOTS: Final = 1 << 32


@dataclass(frozen=True)
class Part:
    """What one source has in a chunk: ``columns`` are cell, values, scale and tick, by cell."""

    source: SourceBars
    rank: int
    columns: Columns
    sha256: bytes


@dataclass(frozen=True)
class Chunk:
    """One transaction: ``ids`` are the instruments' numbers in Postgres, ascending; a cell counts
    them from 0. ``exchanges`` goes with them."""

    grid: Grid
    ids: Int64s
    exchanges: Sequence[str]
    parts: Sequence[Part]


def chunks(
    sources: Sequence[SourceBars],
    ids: Mapping[tuple[str, str], int],
    rules: MergeRules,
    rows_max: int = ROWS_MAX,
) -> Iterator[Chunk]:
    """The bars of ``sources``, which are screened and of one interval, month by month."""
    exchange = {number: key[0] for key, number in ids.items()}
    sorted_parts = [(each, _by_instrument(each, ids)) for each in sources if len(each.bars)]
    if not sorted_parts:
        return
    times = [columns["ts_open_ns"] for _, columns in sorted_parts]
    first = min(int(each.min()) for each in times)
    last = max(int(each.max()) for each in times)
    for month in month_starts(first, last):
        grid = Grid(month, INTERVALS[sources[0].interval])
        inside = [
            (each, _between(columns, month.starts_ns, month.ends_ns))
            for each, columns in sorted_parts
        ]
        for group in _groups([columns["id"] for _, columns in inside], rows_max):
            parts = [_part(each, columns, group, grid, rules) for each, columns in inside]
            names = [exchange[number] for number in group.tolist()]
            yield Chunk(grid, group, names, [part for part in parts if len(part.columns["cell"])])


def _by_instrument(source: SourceBars, ids: Mapping[tuple[str, str], int]) -> Columns:
    """The columns with the instrument's number, scale and tick, by number and time."""
    own = source.instruments
    numbers = np.array([ids[each.exchange, each.tradingsymbol] for each in own], np.int64)
    columns = source.bars.as_dict()
    index = columns.pop("instrument")
    columns["id"] = numbers[index]
    columns["scale"] = np.array([each.price_scale for each in own], np.int64)[index]
    columns["tick"] = np.array([each.tick_size for each in own], np.int64)[index]
    key = columns["id"] * _SLOTS + columns["ts_open_ns"] // 60_000_000_000
    if (key[1:] > key[:-1]).all():
        return columns
    return take(columns, np.argsort(key, kind="stable"))


def _between(columns: Columns, starts_ns: int, ends_ns: int) -> Columns:
    inside = (columns["ts_open_ns"] >= starts_ns) & (columns["ts_open_ns"] < ends_ns)
    return columns if inside.all() else take(columns, inside)


def _groups(numbers: Sequence[Int64s], rows_max: int) -> Iterator[Int64s]:
    """The instruments in ascending groups of at most ``rows_max`` bars, or of one instrument."""
    found, counts = np.unique(np.concatenate(list(numbers)), return_counts=True)
    start = rows = 0
    for at, count in enumerate(counts.tolist()):
        if rows and rows + count > rows_max:
            yield found[start:at]
            start, rows = at, 0
        rows += count
    if rows:
        yield found[start:]


def _part(
    source: SourceBars, columns: Columns, group: Int64s, grid: Grid, rules: MergeRules
) -> Part:
    low = int(np.searchsorted(columns["id"], group[0]))
    high = int(np.searchsorted(columns["id"], group[-1], side="right"))
    own = {name: column[low:high] for name, column in columns.items()}
    numbers = own.pop("id")
    times = own.pop("ts_open_ns")
    digest = hashlib.sha256(f"{grid.month} {grid.minutes} {source.purpose}".encode())
    for array in (numbers, times, *(own[name] for name in (*VALUES, "scale"))):
        digest.update(np.ascontiguousarray(array).data)
    rank = rules.rank(source.source)
    own["cell"] = grid.cells(np.searchsorted(group, numbers), times)
    own["rank"] = np.full(len(times), rank, np.int64)
    own["heal"] = np.full(len(times), source.purpose == "heal")
    return Part(source, rank, own, digest.digest())
