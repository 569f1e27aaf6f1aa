"""Whether a source restated a stretch by one ratio, as after a bonus or a split. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from kite_bars_store.bars.columns import PRICES, Columns, Int64s, run_starts
from kite_bars_store.bars.rules import MergeRules

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
    """The instruments whose bars all differ by one ratio from what their source said before.

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
