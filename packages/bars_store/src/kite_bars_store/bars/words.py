"""Observations → words: of each cell and source the last observation that counts. Pure.

*Observations* are columns like words (`merging`), in the order of their batches, with as many rows
a cell and source as were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kite_bars_store.bars.columns import VALUES, Columns, Int64s, take
from kite_bars_store.bars.grid import Grid
from kite_bars_store.bars.quality import Bools
from kite_bars_store.bars.rules import SOURCES_MAX

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


def word_keys(observed: Columns) -> Int64s:
    """Equal for observations of one cell and source; ascending by cell, then rank."""
    keys: Int64s = observed["cell"] * SOURCES_MAX + observed["rank"]
    return keys


def last_words(observed: Columns) -> Columns:
    """The last observation of each cell and source, sorted by cell, then rank."""
    batch = observed["batch"]
    if not (batch[1:] >= batch[:-1]).all():
        observed = take(observed, np.argsort(batch, kind="stable"))
    keys = word_keys(observed)
    if (keys[1:] > keys[:-1]).all():
        return observed
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] != keys[:-1]
    return take(observed, order[last])


def counting_words(observed: Columns, revisions: Sequence[Revision], grid: Grid) -> Columns:
    """The last words without those of ``revisions``; ``held`` where one of these waits."""
    if not revisions:
        words = last_words(observed)
        return {**words, "held": np.zeros(len(words["cell"]), np.bool_)}
    dropped = np.zeros(len(observed["cell"]), np.bool_)
    waits = np.zeros(len(observed["cell"]), np.bool_)
    for each in revisions:
        masked = _of(each, observed, grid)
        dropped |= masked
        if each.waits:
            waits |= masked
    words = last_words(take(observed, ~dropped))
    held = np.isin(words["cell"], observed["cell"][waits])
    return {**words, "held": held}


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


def differing(new: Columns, words: Columns) -> tuple[Bools, Bools, Int64s]:
    """Which rows of ``new`` are unlike the last words: those that are added, those that are
    revised, and where in ``words`` each row has its last word. Both are sorted by their keys."""
    keys, known = word_keys(new), word_keys(words)
    if not len(known):
        everything = np.ones(len(keys), np.bool_)
        return everything, ~everything, np.zeros(len(keys), np.int64)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    there = known[at] == keys
    unlike = new["scale"] != words["scale"][at]
    for name in VALUES:
        unlike |= new[name] != words[name][at]
    return ~there, there & unlike, at
