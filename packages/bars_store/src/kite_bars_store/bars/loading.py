"""Observations and golden bars out of Postgres as columns. Inside a transaction of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from kite_bars_store.bars.columns import Columns, Int64s, take
from kite_bars_store.bars.grid import Grid
from kite_bars_store.bars.observations import Revision, no_observations
from kite_bars_store.bars.rules import MergeRules
from kite_bars_store.bars.sql import nanoseconds, statement, utc
from kite_bars_store.database import Cursor
from kite_bars_store.database.binary import read_arrays

ALL_KNOWN: Final = "infinity"
OBSERVATION_FIELDS: Final = (
    ("ts_open", "timestamptz"),
    ("batch_id", "int8"),
    *((name, "int8") for name in ("open", "high", "low", "close", "volume", "oi")),
    ("instrument_id", "int4"),
    ("tick_size", "int4"),
    ("source_id", "int2"),
    ("price_scale", "int2"),
)
GOLDEN_FIELDS: Final = (
    ("ts_open", "timestamptz"),
    ("batch_id", "int8"),
    ("other_batch_id", "int8"),
    *((name, "int8") for name in ("open", "high", "low", "close", "volume", "oi")),
    ("instrument_id", "int4"),
    ("flags", "int4"),
    *((name, "int2") for name in ("price_scale", "verdict", "differs", "from_other")),
    ("session_minute", "int2"),
)


@dataclass(frozen=True)
class Scope:
    """What is read or made: instruments (``ids``, ascending), and a span of the grid's month."""

    grid: Grid
    ids: Int64s
    since_ns: int
    until_ns: int

    @classmethod
    def whole(cls, grid: Grid, ids: Int64s) -> Scope:
        return cls(grid, ids, grid.month.starts_ns, grid.month.ends_ns)

    def params(self, known_at: datetime | str = ALL_KNOWN) -> dict[str, Any]:
        return {
            "minutes": self.grid.minutes,
            "month": self.grid.month.first,
            "ids": self.ids.tolist(),
            "since": utc(self.since_ns),
            "until": utc(self.until_ns),
            "known_at": known_at,
        }


def load_observations(
    cursor: Cursor,
    scope: Scope,
    sources: Mapping[int, str],
    rules: MergeRules,
    known_at: datetime | str = ALL_KNOWN,
) -> Columns:
    """All that was observed and recorded until ``known_at``, in the order of batches.

    ``sources`` is the name by number. Raises RulesFaulty for one that the rules do not have.
    """
    params = scope.params(known_at)
    rows = read_arrays(cursor, statement("read_observations"), OBSERVATION_FIELDS, params)
    if not len(rows["ts_open"]):
        return no_observations()
    batches = cursor.execute(statement("batches_of_month"), params).fetchall()
    later = np.array([each[0] for each in batches if each[2]], np.int64)
    if len(later):
        rows = take(rows, ~np.isin(rows["batch_id"], later))
    ranks = np.zeros(max(sources, default=0) + 1, np.int64)
    for number in np.unique(rows["source_id"]).tolist():
        ranks[number] = rules.rank(sources[number])
    heals = np.array([each[0] for each in batches if each[1]], np.int64)
    position = np.searchsorted(scope.ids, rows.pop("instrument_id"))
    found: Columns = {
        "cell": scope.grid.cells(position, rows.pop("ts_open")),
        "rank": ranks[rows.pop("source_id")],
        "batch": rows.pop("batch_id"),
        "scale": rows.pop("price_scale"),
        "tick": rows.pop("tick_size"),
        **rows,
    }
    found["heal"] = np.isin(found["batch"], heals) if len(heals) else np.zeros(len(position), bool)
    return found


def load_revisions(
    cursor: Cursor,
    scope: Scope,
    sources: Mapping[int, str],
    rules: MergeRules,
    known_at: datetime | str = ALL_KNOWN,
) -> list[Revision]:
    """Revisions of these instruments that do not count by what was decided until ``known_at``."""
    rows = cursor.execute(statement("read_revisions"), scope.params(known_at)).fetchall()
    return [
        Revision(
            batch=row[0],
            instrument=int(np.searchsorted(scope.ids, row[1])),
            rank=rules.rank(sources[row[2]]),
            first_ns=nanoseconds(row[3]),
            last_ns=nanoseconds(row[4]),
            waits=row[5] is None,
        )
        for row in rows
    ]


def load_golden(cursor: Cursor, scope: Scope) -> Columns:
    """The golden bars of the scope by cell, in the names of `merging`."""
    query = statement("read_golden", scope.grid.minutes)
    rows = read_arrays(cursor, query, GOLDEN_FIELDS, scope.params())
    position = np.searchsorted(scope.ids, rows.pop("instrument_id"))
    found: Columns = {
        "cell": scope.grid.cells(position, rows.pop("ts_open")),
        "batch": rows.pop("batch_id"),
        "other_batch": rows.pop("other_batch_id"),
        "scale": rows.pop("price_scale"),
        **rows,
    }
    return take(found, np.argsort(found["cell"], kind="stable"))
