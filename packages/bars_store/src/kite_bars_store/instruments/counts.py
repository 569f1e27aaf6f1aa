"""What a dump changes, counted by symbol (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.instruments import SCHEMA

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Comparison:
    """Symbols that are new, say something else, are gone, and say the same.

    ``before`` and ``after`` are what is left of the two masters without the symbols that are on the
    same token in both: all that can be renamed, moved or reused.
    """

    added: int
    changed: int
    removed: int
    unchanged: int
    before: pa.Table
    after: pa.Table


def compare(before: pa.Table, after: pa.Table) -> Comparison:
    """Both with the columns of ``SCHEMA``; a symbol occurs once in each."""
    place = pc.index_in(_keys(after), value_set=_keys(before))
    common = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
    earlier = place.drop_null().to_numpy()
    same = np.ones(len(common), np.bool_)
    same_token = same
    for name in SCHEMA.names:
        agrees = _equal(before[name].take(pa.array(earlier)), after[name].take(pa.array(common)))
        same = same & agrees
        if name == "instrument_token":
            same_token = agrees
    unchanged = int(same.sum())
    return Comparison(
        added=after.num_rows - len(common),
        changed=len(common) - unchanged,
        removed=before.num_rows - len(common),
        unchanged=unchanged,
        before=_without(before, earlier[same_token]),
        after=_without(after, common[same_token]),
    )


def _keys(table: pa.Table) -> Any:
    keys = pc.binary_join_element_wise(table["exchange"], table["tradingsymbol"], _SEPARATOR)
    return keys.combine_chunks()


def _equal(left: Any, right: Any) -> npt.NDArray[np.bool_]:
    """Null is the same as null."""
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    found: npt.NDArray[np.bool_] = (
        pc.or_(pc.fill_null(pc.equal(left, right), False), both_null).to_numpy().astype(np.bool_)
    )
    return found


def _without(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    keep = np.ones(table.num_rows, np.bool_)
    keep[rows] = False
    return table.filter(pa.array(keep))
