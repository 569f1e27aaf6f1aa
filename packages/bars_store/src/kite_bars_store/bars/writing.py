"""One chunk of bars into Postgres: what is new is appended, and the golden bars of those days made
again. All of it happens inside one transaction of the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kite_bars_store.bars.chunks import ROWS_MAX, Chunk, Part
from kite_bars_store.bars.columns import NO_OI, Columns, concat, take
from kite_bars_store.bars.grid import Grid, Sessions
from kite_bars_store.bars.loading import (
    OBSERVATION_FIELDS,
    Scope,
    load_observations,
    load_revisions,
)
from kite_bars_store.bars.observations import (
    Restated,
    differing,
    find_revisions,
    latest_of,
    observation_keys,
    with_known_oi,
)
from kite_bars_store.bars.projecting import project, setting_of
from kite_bars_store.bars.records import BatchResult, GoldenCount
from kite_bars_store.bars.rules import MergeRules
from kite_bars_store.bars.sql import statement, utc
from kite_bars_store.database import Cursor, lock
from kite_bars_store.database.binary import copy_arrays

_WORK_MEMORY: Final = "64MB"
_BATCH_LOCK: Final = "bar batches"
_INSERTED: Final = (*OBSERVATION_FIELDS, ("minutes", "int2"))


@dataclass(frozen=True)
class Writer:
    """What every chunk of a call needs; ``sources`` is the number by name."""

    rules: MergeRules
    sessions: Sessions
    sources: Mapping[str, int]

    @property
    def names(self) -> dict[int, str]:
        return {number: source for source, number in self.sources.items()}


@dataclass(frozen=True)
class _Step:
    """A part and what of it is new."""

    part: Part
    batch_id: int
    added: int
    appended: Columns
    restated: Sequence[Restated]

    @property
    def revised(self) -> int:
        return len(self.appended["cell"]) - self.added

    @property
    def unchanged(self) -> int:
        return len(self.part.columns["cell"]) - len(self.appended["cell"])


def month_lock(cursor: Cursor, grid: Grid) -> None:
    """Whoever writes bars of this length and month holds this lock."""
    lock(cursor, f"bars of {grid.minutes} in {grid.month}")
    cursor.execute(statement("tune"), {"work_mem": _WORK_MEMORY})


def batch_lock(cursor: Cursor) -> None:
    """Taken last, for times of recording that rise in the order of COMMIT."""
    lock(cursor, _BATCH_LOCK)


def record(cursor: Cursor, writer: Writer, chunk: Chunk) -> tuple[list[BatchResult], GoldenCount]:
    """Append what in each part differs from what its source had before, and project it."""
    month_lock(cursor, chunk.grid)
    month = _month(chunk.grid)
    stale = cursor.execute(statement("projection"), month).fetchone() != (writer.rules.sha256,)
    known = [_is_known(cursor, writer, chunk, part) for part in chunk.parts]
    if all(known):
        results = [_repeated(chunk, part) for part in chunk.parts]
        golden = rebuild_month(cursor, writer, chunk.grid) if stale else GoldenCount()
    else:
        rebuild = stale and cursor.execute(statement("has_batches"), month).fetchone() == (True,)
        results, golden = _extend(cursor, writer, chunk, rebuild)
    if stale:
        params = {**month, "rules_sha256": writer.rules.sha256}
        cursor.execute(statement("set_projection"), params)
    return results, golden


def _extend(
    cursor: Cursor, writer: Writer, chunk: Chunk, rebuild: bool
) -> tuple[list[BatchResult], GoldenCount]:
    """Appends what differs; ``rebuild``: all golden bars of the month, not only those days'."""
    scope = _span(chunk)
    observed = load_observations(cursor, scope, writer.names, writer.rules)
    latest = latest_of(observed)
    steps = [_compared(cursor, writer, chunk, part, latest) for part in chunk.parts]
    fresh = _merged([step.appended for step in steps])
    if len(fresh["cell"]):
        _append(cursor, chunk, writer, fresh)
    _note(cursor, writer, chunk, steps)
    golden = GoldenCount()
    if rebuild:
        golden = rebuild_month(cursor, writer, chunk.grid)
    elif len(fresh["cell"]):
        everything = concat([observed, fresh]) if len(observed["cell"]) else fresh
        revisions = load_revisions(cursor, scope, writer.names, writer.rules)
        days = np.unique(chunk.grid.days(fresh["cell"]))
        setting = setting_of(chunk.grid, chunk.exchanges, writer.rules, writer.sessions)
        golden = project(cursor, scope, everything, revisions, setting, writer.rules, days)
    return [_result(chunk, step) for step in steps], golden


def rebuild_month(cursor: Cursor, writer: Writer, grid: Grid) -> GoldenCount:
    """Make the month's golden bars from its observations alone; under `month_lock`."""
    whole = Scope.whole(grid, np.empty(0, np.int64)).params()
    rows = cursor.execute(statement("instruments_of_month"), whole).fetchall()
    numbers = [row[0] for row in rows]
    gone = cursor.execute(
        statement("delete_strangers", grid.minutes), {**whole, "ids": numbers}
    ).rowcount
    total = GoldenCount(deleted=gone)
    named = cursor.execute(statement("name_instruments"), {"ids": numbers}).fetchall()
    exchange = {row[0]: row[1] for row in named}
    for group in _bounded(rows):
        scope = Scope.whole(grid, np.array(group, np.int64))
        observed = load_observations(cursor, scope, writer.names, writer.rules)
        revisions = load_revisions(cursor, scope, writer.names, writer.rules)
        exchanges = [exchange[number] for number in group]
        setting = setting_of(grid, exchanges, writer.rules, writer.sessions)
        total += project(cursor, scope, observed, revisions, setting, writer.rules)
    return total


def _bounded(rows: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Instruments in groups of a bounded count of observations."""
    groups: list[list[int]] = []
    size = ROWS_MAX
    for number, count in rows:
        if size + count > ROWS_MAX:
            groups.append([])
            size = 0
        groups[-1].append(number)
        size += count
    return groups


def _span(chunk: Chunk) -> Scope:
    """From the first to the last day that the chunk has bars of."""
    grid = chunk.grid
    slots = [part.columns["cell"] % grid.slots for part in chunk.parts]
    first = min(int(each.min()) for each in slots) // grid.slots_a_day
    last = max(int(each.max()) for each in slots) // grid.slots_a_day
    day_ns = (grid.month.ends_ns - grid.month.starts_ns) // grid.month.days
    starts_ns = grid.month.starts_ns
    return Scope(grid, chunk.ids, starts_ns + first * day_ns, starts_ns + (last + 1) * day_ns)


def _compared(cursor: Cursor, writer: Writer, chunk: Chunk, part: Part, latest: Columns) -> _Step:
    columns = with_known_oi(part.columns, latest)
    added, revised, at = differing(columns, latest)
    new = added | revised
    count = int(np.count_nonzero(new))
    row = cursor.execute(statement("next_batch")).fetchone()
    assert row is not None
    restated: list[Restated] = []
    if revised.any():
        changed = take(columns, revised)
        owners = chunk.grid.instruments(changed["cell"])
        restated = find_revisions(take(latest, at[revised]), changed, owners, writer.rules)
    appended = columns if count == len(new) else take(columns, new)
    appended = {**appended, "batch": np.full(count, row[0], np.int64)}
    return _Step(part, row[0], int(np.count_nonzero(added)), appended, restated)


def _is_known(cursor: Cursor, writer: Writer, chunk: Chunk, part: Part) -> bool:
    """Whether these very bars are the last that the source has of their times."""
    params = {
        **_month(chunk.grid),
        "source_id": writer.sources[part.source.source],
        "content_sha256": part.sha256,
    }
    return cursor.execute(statement("is_known"), params).fetchone() == (True,)


def _merged(parts: Sequence[Columns]) -> Columns:
    """Rows of all sources by cell, then source: the order of the key."""
    rows = concat(parts)
    if len(parts) == 1:
        return rows
    return take(rows, np.argsort(observation_keys(rows), kind="stable"))


def _append(cursor: Cursor, chunk: Chunk, writer: Writer, fresh: Columns) -> None:
    cells = fresh["cell"]
    numbers = np.array([writer.sources.get(each, 0) for each in writer.rules.sources], np.int64)
    columns = {
        **fresh,
        "ts_open": chunk.grid.times(cells),
        "batch_id": fresh["batch"],
        "instrument_id": chunk.ids[chunk.grid.instruments(cells)],
        "tick_size": fresh["tick"],
        "source_id": numbers[fresh["rank"]],
        "price_scale": fresh["scale"],
        "minutes": np.full(len(cells), chunk.grid.minutes),
    }
    nulls = {"oi": fresh["oi"] == NO_OI}
    copy_arrays(cursor, "bar_observation", _INSERTED, columns, nulls)


def _note(cursor: Cursor, writer: Writer, chunk: Chunk, steps: Sequence[_Step]) -> None:
    """The batches and the revisions that were found in them."""
    batch_lock(cursor)
    for step in steps:
        source, cells = step.part.source, step.part.columns["cell"]
        times = chunk.grid.times(cells)
        params: dict[str, Any] = {
            **_month(chunk.grid),
            "batch_id": step.batch_id,
            "source_id": writer.sources[source.source],
            "purpose": source.purpose,
            "first_instrument": int(chunk.ids[chunk.grid.instruments(cells[0])]),
            "last_instrument": int(chunk.ids[chunk.grid.instruments(cells[-1])]),
            "first_open": utc(int(times.min())),
            "last_open": utc(int(times.max())),
            "content_sha256": step.part.sha256,
            "file_sha256": source.file_sha256,
            "file_name": source.file_name,
            "rules_sha256": writer.rules.sha256,
            "rows_good": len(times),
            "rows_refused": source.rows_refused,
            "added": step.added,
            "revised": step.revised,
            "unchanged": step.unchanged,
            "parameters": json.dumps(dict(source.parameters)),
        }
        cursor.execute(statement("append_batch"), params)
        for each in step.restated:
            restated = {
                **params,
                "instrument_id": int(chunk.ids[each.instrument]),
                "first_open": utc(int(chunk.grid.times(np.array([each.first]))[0])),
                "last_open": utc(int(chunk.grid.times(np.array([each.last]))[0])),
                "bars": each.bars,
                "ratio": each.ratio,
            }
            cursor.execute(statement("append_revision"), restated)


def _result(chunk: Chunk, step: _Step) -> BatchResult:
    return BatchResult(
        step.part.source.source,
        chunk.grid.month.first,
        step.batch_id,
        step.added,
        step.revised,
        step.unchanged,
        len(step.restated),
    )


def _repeated(chunk: Chunk, part: Part) -> BatchResult:
    unchanged = len(part.columns["cell"])
    return BatchResult(part.source.source, chunk.grid.month.first, None, 0, 0, unchanged, 0)


def _month(grid: Grid) -> dict[str, Any]:
    return {"minutes": grid.minutes, "month": grid.month.first}
