"""What a dump changes, counted by symbol (pure)."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from bars_store.instruments import SCHEMA

_KEY = ["exchange", "tradingsymbol"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Symbols that are new, say something else, are gone, and say the same."""

    added: int
    changed: int
    removed: int
    unchanged: int


def count(before: pa.Table, after: pa.Table) -> Counts:
    """Both with the columns of ``SCHEMA``; a symbol occurs once in each."""
    both = pa.concat_tables([before.select(SCHEMA.names), after.select(SCHEMA.names)])
    common = _twice(both, _KEY)
    unchanged = _twice(both, SCHEMA.names)
    return Counts(
        added=after.num_rows - common,
        changed=common - unchanged,
        removed=before.num_rows - common,
        unchanged=unchanged,
    )


def _twice(rows: pa.Table, columns: list[str]) -> int:
    groups = rows.select(columns).group_by(columns).aggregate([([], "count_all")])
    return int(pc.sum(pc.equal(groups["count_all"], 2).cast(pa.int64())).as_py() or 0)
