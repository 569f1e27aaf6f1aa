"""What looks odd about one source's bars, seen alone. Pure; nothing is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import PRICES, Columns, Int64s, run_starts
from kite_bars_store.bars.records import Flag

Bools = npt.NDArray[np.bool_]
_POINTS: Final = 10_000


@dataclass(frozen=True)
class Quality:
    """Of each observation: its flags (`Flag`, int32), whether it is of a day whose volumes never
    fall, and the sum of the volumes that its source has before it on that day."""

    flags: npt.NDArray[Any]
    rising: Bools
    volume_before: Int64s


def quality_of(latest: Columns, days: Int64s, jump_bps: Int64s, after: int) -> Quality:
    """``latest`` are sorted by cell, then source; ``days`` names the instrument's day of each."""
    rising, before = np.zeros(len(days), np.bool_), np.zeros(len(days), np.int64)
    flags = np.where(is_flat(latest), Flag.FLAT, 0).astype(np.int32)
    flags |= np.where(_off_tick(latest), Flag.OFF_TICK, 0).astype(np.int32)
    for rank in np.unique(latest["rank"]):
        own = np.flatnonzero(latest["rank"] == rank)
        flags[own[_jumps(latest, own, days, jump_bps)]] |= Flag.JUMP
        alike, rising[own], before[own] = _cumulative(latest["volume"][own], days[own], after)
        flags[own[alike]] |= Flag.CUMULATIVE_VOLUME
    return Quality(flags, rising, before)


def is_flat(latest: Columns) -> Bools:
    """One price and no volume: how a source pads a minute without a trade."""
    flat: Bools = (latest["high"] == latest["low"]) & (latest["volume"] == 0)
    return flat


def beyond_points(difference: Int64s, base: Int64s, points: Int64s) -> Bools:
    """Whether ``difference`` is more than so many basis points of ``base``, in exact integers."""
    allowed = base // _POINTS * points + base % _POINTS * points // _POINTS
    beyond: Bools = difference > allowed
    return beyond


def rescaled(values: Int64s, scale: npt.NDArray[Any], target: npt.NDArray[Any]) -> Int64s:
    """Prices of ``scale`` decimals as prices of ``target`` decimals, which are not fewer."""
    if (scale == target).all():
        return values
    scaled: Int64s = values * 10 ** (target - scale).astype(np.int64)
    return scaled


def _off_tick(latest: Columns) -> Bools:
    tick = latest["tick"]
    known = tick > 0
    step = np.where(known, tick, 1)
    off = np.zeros(len(tick), np.bool_)
    for name in PRICES:
        off |= latest[name] % step != 0
    return off & known


def _jumps(latest: Columns, own: Int64s, days: Int64s, jump_bps: Int64s) -> Bools:
    """Whose open or close lies far from the close before it on the same day."""
    found = np.zeros(len(own), np.bool_)
    now, before = own[1:], own[:-1]
    scale = np.maximum(latest["scale"][now], latest["scale"][before])
    base = rescaled(latest["close"][before], latest["scale"][before], scale)
    for name in ("open", "close"):
        moved = np.abs(rescaled(latest[name][now], latest["scale"][now], scale) - base)
        found[1:] |= beyond_points(moved, np.abs(base), jump_bps[now])
    found[1:] &= days[now] == days[before]
    return found


def _cumulative(volume: Int64s, days: Int64s, after: int) -> tuple[Bools, Bools, Int64s]:
    """Which volumes look cumulative, which are those of a day that proves it, and the sum of all
    before each on its day.

    One looks so when it is the sum of all before it and no more than the largest of them: a block
    trade is as large without being near that sum. A day proves it when its volumes never fall.
    """
    if not len(volume):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_), volume
    starts = run_starts(days)
    run = np.cumsum(np.bincount(starts, minlength=len(days))) - 1
    total = np.cumsum(volume)
    before = total - volume
    before = before - before[starts][run]
    lift = run * (int(volume.max()) + 1)  # a day's maximum starts afresh
    largest = np.maximum.accumulate(volume + lift) - lift
    largest = np.concatenate([volume[:1], largest[:-1]])
    position = np.arange(len(days)) - starts[run]
    alike: Bools = (position >= after) & (volume >= before) & (volume <= before + largest)
    alike &= before > largest  # else it says no more than that a volume is large
    step = np.diff(volume, prepend=volume[:1])
    step[starts] = 0
    falls = np.add.reduceat((step < 0).astype(np.int64), starts)
    rises = np.add.reduceat((step > 0).astype(np.int64), starts)
    rising: Bools = ((falls == 0) & (rises >= max(after, 1)))[run]
    return alike | rising, rising, before
