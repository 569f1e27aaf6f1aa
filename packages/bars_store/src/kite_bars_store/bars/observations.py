"""Of each cell and source the latest observation that counts, and whether a source restated a
stretch by one ratio, as after a bonus or a split. Pure.

*Observations* are columns like those of `merging`, in the order of their batches, with as many rows
a cell and source as were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from kite_bars_store.bars.columns import (
    NO_OI,
    PRICES,
    VALUES,
    Columns,
    Int64s,
    run_starts,
    take,
)
from kite_bars_store.bars.grid import Grid
from kite_bars_store.bars.quality import Bools
from kite_bars_store.bars.rules import SOURCES_MAX, MergeRules

OBSERVED: Final = ("cell", "rank", "batch", *VALUES, "scale", "tick", "heal")


@dataclass(frozen=True)
class Revision:
    """A restated stretch that does not count: its observations from ``batch`` on are left out.

    ``instrument`` is the number within the grid; ``waits`` until somebody decides.
    """

    batch: int
    instrument: int
    rank: int
    first_ns: int
    last_ns: int
    waits: bool


def no_observations() -> Columns:
    empty: Columns = {name: np.empty(0, np.int64) for name in OBSERVED}
    empty["heal"] = np.empty(0, np.bool_)
    return empty


def observation_keys(observed: Columns) -> Int64s:
    """Equal for observations of one cell and source; ascending by cell, then rank."""
    keys: Int64s = observed["cell"] * SOURCES_MAX + observed["rank"]
    return keys


def latest_of(observed: Columns) -> Columns:
    """The last observation of each cell and source, sorted by cell, then rank."""
    batch = observed["batch"]
    if not (batch[1:] >= batch[:-1]).all():
        observed = take(observed, np.argsort(batch, kind="stable"))
    keys = observation_keys(observed)
    if (keys[1:] > keys[:-1]).all():
        return observed
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] != keys[:-1]
    return take(observed, order[last])


def counting_of(observed: Columns, revisions: Sequence[Revision], grid: Grid) -> Columns:
    """The latest observations without those of ``revisions``; ``held`` where one of these waits."""
    if not revisions:
        latest = latest_of(observed)
        return {**latest, "held": np.zeros(len(latest["cell"]), np.bool_)}
    dropped = np.zeros(len(observed["cell"]), np.bool_)
    waits = np.zeros(len(observed["cell"]), np.bool_)
    for each in revisions:
        masked = _of(each, observed, grid)
        dropped |= masked
        if each.waits:
            waits |= masked
    latest = latest_of(take(observed, ~dropped))
    held = np.isin(latest["cell"], observed["cell"][waits])
    return {**latest, "held": held}


def _of(revision: Revision, observed: Columns, grid: Grid) -> Bools:
    cell = observed["cell"]
    times = grid.times(cell)
    masked: Bools = (
        (grid.instruments(cell) == revision.instrument)
        & (observed["rank"] == revision.rank)
        & (observed["batch"] >= revision.batch)
        & (times >= revision.first_ns)
        & (times <= revision.last_ns)
    )
    return masked


def with_known_oi(new: Columns, latest: Columns) -> Columns:
    """``new`` with the open interest that its source had where it now carries none: what a file
    does not carry, it does not take back. Both are sorted by their keys."""
    keys, known = observation_keys(new), observation_keys(latest)
    if not len(known):
        return new
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    kept = (known[at] == keys) & (new["oi"] == NO_OI)
    return {**new, "oi": np.where(kept, latest["oi"][at], new["oi"])} if kept.any() else new


def differing(new: Columns, latest: Columns) -> tuple[Bools, Bools, Int64s]:
    """Which rows of ``new`` are unlike the latest: those that are added, those that are
    revised, and where in ``latest`` each row has its own. Both are sorted by their keys."""
    keys, known = observation_keys(new), observation_keys(latest)
    if not len(known):
        everything = np.ones(len(keys), np.bool_)
        return everything, ~everything, np.zeros(len(keys), np.int64)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    there = known[at] == keys
    unlike = new["scale"] != latest["scale"][at]
    for name in VALUES:
        unlike |= new[name] != latest[name][at]
    return ~there, there & unlike, at


_POINTS: Final = 10_000
_CLEAR: Final = 2  # times what rounding can do: smaller changes are corrections


@dataclass(frozen=True)
class Restated:
    """From the cell ``first`` to ``last`` of one instrument; ``ratio`` is new by old."""

    instrument: int
    first: int
    last: int
    bars: int
    ratio: Decimal


def find_revisions(
    before: Columns, after: Columns, instruments: Int64s, rules: MergeRules
) -> list[Restated]:
    """The instruments whose bars all differ by one ratio from what their source had before.

    ``before`` and ``after`` are what differs, row by row, by cell; ``instruments`` is of each row.
    """
    starts = run_starts(instruments)
    ends = np.append(starts[1:], len(instruments))
    found = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        part = slice(start, end)
        ratio = constant_ratio(
            {name: column[part] for name, column in before.items()},
            {name: column[part] for name, column in after.items()},
            rules,
        )
        if ratio is not None:
            first, last = int(after["cell"][start]), int(after["cell"][end - 1])
            found.append(Restated(int(instruments[start]), first, last, end - start, ratio))
    return found


def constant_ratio(before: Columns, after: Columns, rules: MergeRules) -> Decimal | None:
    """New prices by old ones, when one ratio explains every price but for rounding to a tick."""
    count = len(before["close"])
    if count < max(rules.revision_min_bars, 1) or (before["scale"] != after["scale"]).any():
        return None
    old, new = (
        np.stack([each[name] for name in PRICES]).astype(np.float64) for each in (before, after)
    )
    if (old <= 0).any() or (new <= 0).any():
        return None
    ratio = float(new.sum() / old.sum())
    if abs(ratio - 1) * _POINTS < rules.revision_min_change_bps:
        return None
    rounding = np.maximum(after["tick"], 1).astype(np.float64)
    if (np.abs(new - old * ratio) > rounding).any():
        return None
    if np.median(np.abs(new - old)) <= _CLEAR * float(np.median(rounding)):
        return None
    return Decimal(f"{ratio:.8f}")
