"""The golden bars of a scope made from its observations; only what differs is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kite_bars_store.bars.columns import NO_OI, Columns, Int64s, find, take
from kite_bars_store.bars.grid import Grid, Sessions, session_table
from kite_bars_store.bars.loading import GOLDEN_FIELDS, Scope, load_golden
from kite_bars_store.bars.merging import Golden, Setting, merge
from kite_bars_store.bars.observations import Revision, counting_of
from kite_bars_store.bars.records import Flag, GoldenCount, Verdict
from kite_bars_store.bars.rules import MergeRules
from kite_bars_store.bars.sql import GOLDEN, statement, utc
from kite_bars_store.database import Cursor
from kite_bars_store.database.binary import copy_arrays


def setting_of(
    grid: Grid, exchanges: Sequence[str], rules: MergeRules, sessions: Sessions
) -> Setting:
    """What the bars of these exchanges are judged by; one exchange for each instrument."""
    tables = {each: session_table(grid, each, sessions) for each in set(exchanges)}
    return Setting(
        grid,
        [rules.limits_of(each) for each in exchanges],
        [tables[each] for each in exchanges],
    )


def project(
    cursor: Cursor,
    scope: Scope,
    observed: Columns,
    revisions: Sequence[Revision],
    setting: Setting,
    rules: MergeRules,
    days: Int64s | None = None,
) -> GoldenCount:
    """Bring the golden bars of the scope in line with ``observed``, all its observations.

    With ``days`` (of `Grid.days`, ascending) only those are looked at.
    """
    latest = counting_of(observed, revisions, scope.grid)
    held = load_golden(cursor, scope)
    if days is not None:
        latest = take(latest, _within(scope.grid.days(latest["cell"]), days))
        held = take(held, _within(scope.grid.days(held["cell"]), days))
    golden = merge(latest, setting, rules)
    return _write(cursor, scope, golden, held)


def _within(wanted: Int64s, days: Int64s) -> Int64s:
    return np.flatnonzero(find(days, wanted)[1])


def _write(cursor: Cursor, scope: Scope, golden: Golden, held: Columns) -> GoldenCount:
    bars = golden.bars
    at, there = find(held["cell"], bars["cell"])
    unlike = np.zeros(len(at), np.bool_)
    if len(held["cell"]):
        for name, column in held.items():
            unlike |= bars[name] != column[at]
    fresh, changed = np.flatnonzero(~there), np.flatnonzero(there & unlike)
    gone = np.flatnonzero(~find(bars["cell"], held["cell"])[1])
    minutes = scope.grid.minutes
    if len(gone):
        cells = held["cell"][gone]
        params = {
            "ids": scope.ids[scope.grid.instruments(cells)].tolist(),
            "times": [utc(each) for each in scope.grid.times(cells).tolist()],
        }
        cursor.execute(statement("delete_golden", minutes), params)
    if len(fresh):
        _copy(cursor, GOLDEN[minutes], scope, bars if len(fresh) == len(at) else take(bars, fresh))
    if len(changed):
        cursor.execute(statement("make_staging", minutes))
        _copy(cursor, "bar_staging", scope, take(bars, changed))
        cursor.execute(statement("upsert_golden", minutes))
        cursor.execute("DROP TABLE bar_staging")
    return GoldenCount(
        inserted=len(fresh),
        updated=len(changed),
        deleted=len(gone),
        outside=len(golden.outside),
        verdicts=_counted(bars),
        flags=Counter({flag: _have(bars, flag) for flag in Flag if _have(bars, flag)}),
    )


def _copy(cursor: Cursor, target: str, scope: Scope, bars: Columns) -> None:
    columns = {
        **bars,
        "instrument_id": scope.ids[scope.grid.instruments(bars["cell"])],
        "ts_open": scope.grid.times(bars["cell"]),
        "batch_id": bars["batch"],
        "other_batch_id": bars["other_batch"],
        "price_scale": bars["scale"],
    }
    nulls = {"other_batch_id": bars["other_batch"] == 0, "oi": bars["oi"] == NO_OI}
    copy_arrays(cursor, target, GOLDEN_FIELDS, columns, nulls)


def _counted(bars: Columns) -> Counter[Verdict]:
    numbers = np.bincount(bars["verdict"], minlength=len(Verdict) + 1).tolist()
    return Counter({verdict: numbers[verdict] for verdict in Verdict if numbers[verdict]})


def _have(bars: Columns, flag: Flag) -> int:
    return int(np.count_nonzero(bars["flags"] & int(flag)))
