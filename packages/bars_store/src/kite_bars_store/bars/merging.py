"""The merge: of a bar's latest observations the golden one, and why. Pure, over columns.

*Latest observations* are columns with at most one row a cell and source, by cell, then rank:
``cell``, ``rank`` (place of the source by precedence), ``batch``, ``open`` … ``oi``, ``scale``,
``tick``, ``heal`` (fetched to close a gap), ``held`` (a revision of it waits for a decision).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import NO_OI, PRICES, VALUES, Columns, Int64s, run_starts, take
from kite_bars_store.bars.grid import CLOSED, DAY_MINUTES, UNVERIFIED, Grid
from kite_bars_store.bars.quality import (
    Bools,
    Quality,
    beyond_points,
    is_flat,
    quality_of,
    rescaled,
)
from kite_bars_store.bars.records import Field, Flag, Verdict
from kite_bars_store.bars.rules import Limits, MergeRules

_OF_PRICES: Final = int(Field.OPEN | Field.HIGH | Field.LOW | Field.CLOSE)
_TICK_MAX: Final = 10**13
_ONLY: Final = int(Verdict.BROKER_ONLY)
_REPLACED: Final = int(Verdict.VOLUME_REPLACED)
CUMULATIVE_BPS: Final = 100
"""Two sources place trades at the edge of a minute in different ones, so sums are not equal."""
_CONFLICT: Final = int(Verdict.CONFLICT_BROKER_WON)


@dataclass(frozen=True)
class Setting:
    """What observations are judged by: the slots, and of each instrument its limits and hours.

    ``session`` has a row an instrument: the session minute of each slot, which may be UNVERIFIED,
    or CLOSED.
    """

    grid: Grid
    limits: Sequence[Limits]
    session: Sequence[npt.NDArray[np.int16]]


@dataclass(frozen=True)
class Golden:
    """``bars``: one row a cell, by cell, in the columns of the table. ``outside``: the cells of
    bars that are outside the session, which are never golden."""

    bars: Columns
    outside: Int64s


def merge(latest: Columns, setting: Setting, rules: MergeRules) -> Golden:
    """The golden bars of ``latest``. The order in which sources or batches came does not matter."""
    instruments = setting.grid.instruments(latest["cell"])
    minutes = _session_minutes(latest["cell"], instruments, setting)
    inside = minutes != CLOSED
    outside = np.unique(latest["cell"][~inside])
    if len(outside):
        latest, instruments, minutes = take(latest, inside), instruments[inside], minutes[inside]
    days = setting.grid.days(latest["cell"])
    jump_bps = np.array([each.jump_bps for each in setting.limits], np.int64)
    quality = quality_of(latest, days, jump_bps[instruments], rules.cumulative_after)
    cells = run_starts(latest["cell"])
    paired = np.zeros(len(cells), np.bool_)
    paired[:-1] = np.diff(cells) > 1
    if len(cells):
        paired[-1] = cells[-1] < len(latest["cell"]) - 1
    unverified = minutes >= UNVERIFIED - DAY_MINUTES
    minutes = np.where(unverified, minutes - UNVERIFIED, minutes).astype(np.int16)
    won = take(latest, cells)
    # A bar without a counterpart is compared with itself, which costs less than leaving it out.
    second = np.where(paired, cells + 1, cells)
    other = take(latest, second)
    bars, differs, beyond = _compare(won, other, instruments[cells], setting.limits)
    bars["verdict"] = _verdicts(latest, cells, days, rules, paired, differs, beyond)
    cumulative = paired & _is_cumulative(quality, cells, second, other["volume"], won["volume"])
    bars["from_other"] = _take_fields(bars, (won, other), rules, differs, cumulative)
    replaced = cumulative & (bars["from_other"] & int(Field.VOLUME) != 0)
    bars["verdict"] = np.where(replaced, _REPLACED, bars["verdict"]).astype(np.int16)
    bars["flags"] = quality.flags[cells] | quality.flags[second] | _held(latest, cells)
    bars["flags"] |= np.where(unverified[cells], Flag.UNVERIFIED_HOURS, 0).astype(np.int32)
    bars["differs"] = differs
    bars["other_batch"] = np.where(paired, other["batch"], 0)
    bars["session_minute"] = minutes[cells]
    return Golden(bars, outside)


def _session_minutes(cells: Int64s, instruments: Int64s, setting: Setting) -> npt.NDArray[np.int16]:
    tables = {id(table): table for table in setting.session}
    order = {key: n for n, key in enumerate(tables)}
    stacked = np.stack(list(tables.values())) if tables else np.empty((0, 0), np.int16)
    row = np.array([order[id(table)] for table in setting.session], np.int64)
    found: npt.NDArray[np.int16] = stacked[row[instruments], cells % setting.grid.slots]
    return found


def _compare(
    won: Columns, other: Columns, instruments: Int64s, limits: Sequence[Limits]
) -> tuple[Columns, npt.NDArray[Any], Bools]:
    """The winners at the scale of both, which values differ (`Field`), and what is beyond."""

    def limit(name: str) -> Int64s:
        return np.array([getattr(each, name) for each in limits], np.int64)[instruments]

    scale = np.maximum(won["scale"], other["scale"])
    bars: Columns = {name: won[name] for name in ("cell", "batch", "volume", "oi")}
    bars["scale"] = scale
    tick = np.minimum(rescaled(won["tick"], won["scale"], scale), _TICK_MAX)
    ticks = limit("price_ticks") * tick
    points = limit("price_bps")
    differs = np.zeros(len(scale), np.int16)
    beyond = np.zeros(len(scale), np.bool_)
    for bit, name in enumerate(PRICES):
        bars[name] = rescaled(won[name], won["scale"], scale)
        other[name] = rescaled(other[name], other["scale"], scale)
        gap = np.abs(bars[name] - other[name])
        differs |= (gap > 0).astype(np.int16) << bit
        beyond |= (gap > ticks) & beyond_points(gap, np.abs(bars[name]), points)
    units, points = limit("volume_units"), limit("volume_bps")
    for bit, name in enumerate(("volume", "oi"), len(PRICES)):
        gap = np.abs(won[name] - other[name])
        if name == "oi":
            gap[(won["oi"] == NO_OI) | (other["oi"] == NO_OI)] = 0
        differs |= (gap > 0).astype(np.int16) << bit
        most = np.maximum(won[name], other[name])
        beyond |= (gap > units) & beyond_points(gap, most, points)
    return bars, differs, beyond


def _verdicts(
    latest: Columns,
    cells: Int64s,
    days: Int64s,
    rules: MergeRules,
    paired: Bools,
    differs: npt.NDArray[Any],
    beyond: Bools,
) -> npt.NDArray[np.int16]:
    rank = latest["rank"][cells]
    roles = np.array([int(rules.roles[source]) for source in rules.sources], np.int16)
    role = roles[rank]
    alone = np.where(latest["heal"][cells], int(Verdict.HEALED), _ONLY + role)
    alone = np.where(_no_trade(latest, cells, days, paired), int(Verdict.AGREED_NO_TRADE), alone)
    both = np.where(differs != 0, int(Verdict.WITHIN_TOLERANCE), int(Verdict.AGREED))
    both = np.where(beyond, _CONFLICT + role, both)
    return np.where(paired, both, alone).astype(np.int16)


def _no_trade(latest: Columns, cells: Int64s, days: Int64s, paired: Bools) -> Bools:
    """Flat bars of one source between two bars that another source has on that day. Where no bar of
    the day has a volume, as of an index, that one has none is no sign."""
    traded = np.unique(days[latest["volume"] > 0])
    found = ~paired & is_flat(latest)[cells] & np.isin(days[cells], traded)
    flat = np.flatnonzero(found)
    if not len(flat):
        return found
    place = cells[flat]
    confirmed = np.zeros(len(flat), np.bool_)
    for rank in np.unique(latest["rank"]):
        own = np.flatnonzero(latest["rank"] == rank)
        starts = run_starts(days[own])
        first = latest["cell"][own[starts]]
        last = latest["cell"][own[np.append(starts[1:], len(own)) - 1]]
        known = days[own[starts]]
        at = np.minimum(np.searchsorted(known, days[place]), len(known) - 1)
        cell = latest["cell"][place]
        between = (known[at] == days[place]) & (first[at] < cell) & (cell < last[at])
        confirmed |= between & (latest["rank"][place] != rank)
    found[flat] = confirmed
    return found


def _is_cumulative(
    quality: Quality, won: Int64s, other: Int64s, others_volume: Int64s, volume: Int64s
) -> Bools:
    """Whether the winner's volume is proven to be the day's so far, and the other's is the bar's.

    The proof is a day whose volumes never fall, or that the other's volume and all that the winner
    has before make up the winner's, but for CUMULATIVE_BPS. ``won`` and ``other`` are rows.
    """
    suspect = quality.flags & Flag.CUMULATIVE_VOLUME != 0
    apart = np.abs(volume - quality.volume_before[won] - others_volume)
    equal = ~beyond_points(apart, volume, np.full(len(volume), CUMULATIVE_BPS, np.int64))
    found: Bools = suspect[won] & ~suspect[other] & (quality.rising[won] | equal)
    return found


def _take_fields(
    bars: Columns,
    pair: tuple[Columns, Columns],
    rules: MergeRules,
    differs: npt.NDArray[Any],
    cumulative: Bools,
) -> npt.NDArray[np.int16]:
    """Puts the other's values into ``bars`` where the rules say so; returns which (`Field`).

    Prices that would contradict each other then stay those of the winner.
    """
    won, other = pair
    taken = np.zeros(len(differs), np.int16)
    for bit, name in enumerate(VALUES):
        wanted = np.zeros(len(differs), np.bool_)
        if name in rules.fields:
            order = np.array(rules.field_ranks(name), np.int64)
            wanted = (order[other["rank"]] < order[won["rank"]]) & (differs >> bit & 1 == 1)
        if name == "volume":
            wanted |= cumulative & (differs >> bit & 1 == 1)
        if name == "oi":
            wanted |= (won["oi"] == NO_OI) & (other["oi"] != NO_OI)
        if wanted.any():
            taken |= wanted.astype(np.int16) << bit
            bars[name] = np.where(wanted, other[name], bars[name])
    if (taken & _OF_PRICES).any():
        top = np.maximum(bars["open"], bars["close"])
        bottom = np.minimum(bars["open"], bars["close"])
        bad = (bars["high"] < top) | (bars["low"] > bottom)
        for name in PRICES:
            own = rescaled(won[name], won["scale"], bars["scale"])
            bars[name] = np.where(bad, own, bars[name])
        taken = np.where(bad, taken & ~_OF_PRICES, taken).astype(np.int16)
    return taken


def _held(latest: Columns, cells: Int64s) -> npt.NDArray[Any]:
    """REVISION_RATIO for cells in which any observation has a revision that waits."""
    if not len(cells):
        return np.zeros(0, np.int32)
    held = np.logical_or.reduceat(latest["held"], cells)
    return np.where(held, Flag.REVISION_RATIO, 0).astype(np.int32)
