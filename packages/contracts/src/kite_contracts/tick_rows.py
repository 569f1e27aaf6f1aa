"""Between a row of the tick batch and a record of the Tick contract, one field at a time.

This is the slow, plain form: what fastavro writes, ``jsonschema`` checks and a person reads. The
compiled loops must agree with it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from kite_contracts.errors import RecordError
from kite_contracts.shape import is_integer
from kite_contracts.tick_batch import (
    ABSENT,
    DEPTH,
    DEPTH_LEVELS,
    FIELDS,
    HEADER_FIELDS,
    INDEX_CHANGE,
    LAST_TRADE_TIME_NS,
    OHLC,
    OHLC_FIELDS,
    OPEN_INTEREST,
    TRADE,
    TRADE_FIELDS,
    TS_EVENT_NS,
    Group,
    TickBatch,
    TickMode,
)

Record = dict[str, Any]

NULLABLE_COLUMNS: Final = (TS_EVENT_NS, LAST_TRADE_TIME_NS)
_SIDES: Final = ("bids", "asks")
_LEVEL_FIELDS: Final = ("price", "quantity", "orders")
# Group -> its name in the contract, its first column, and the names of its fields there.
_FLAT_GROUPS: Final[dict[Group, tuple[str, int, tuple[str, ...]]]] = {
    Group.OHLC: ("ohlc", OHLC, OHLC_FIELDS),
    Group.TRADE: ("trade", TRADE, TRADE_FIELDS),
    Group.OPEN_INTEREST: ("open_interest", OPEN_INTEREST, ("oi", "day_high", "day_low")),
    Group.INDEX: ("index_change", INDEX_CHANGE, ("change",)),
}
GROUP_NAMES: Final[dict[Group, str]] = {
    **{group: name for group, (name, _, _) in _FLAT_GROUPS.items()},
    Group.DEPTH: "depth",
}


def _paths() -> tuple[str, ...]:
    paths = [f"/{name}" for name in HEADER_FIELDS]
    for name, _, fields in _FLAT_GROUPS.values():
        paths += [f"/{name}/{field}" for field in fields]
    for side in _SIDES:
        for level in range(DEPTH_LEVELS):
            paths += [f"/depth/{side}/{level}/{field}" for field in _LEVEL_FIELDS]
    return tuple(paths)


COLUMN_PATHS: Final = _paths()
"""JSON Pointer of each column in the Tick record, such as ``/depth/bids/0/price``."""


def group_of(column: int) -> Group:
    """The group that a column belongs to; ``Group.NONE`` for those of every tick."""
    if column < OHLC:
        return Group.NONE
    if column >= DEPTH:
        return Group.DEPTH
    return max((first, group) for group, (_, first, _) in _FLAT_GROUPS.items() if first <= column)[
        1
    ]


def tick_record(batch: TickBatch, row: int) -> Record:
    """The row as a Tick record, every field there (None for an absent one), in contract order.

    A row whose verdict names a column is given as it is, so that the fault can be explained. Raises
    IndexError beyond the batch's size and RecordError for a row that was never decoded.
    """
    if not 0 <= row < batch.size:
        raise IndexError(f"row {row} of a batch of {batch.size}")
    if batch.verdict[row] < 0:
        raise RecordError(f"Row {row} holds no tick (verdict {batch.verdict[row]}).")
    values: list[int | None] = batch.values[row].tolist()
    for column in NULLABLE_COLUMNS:
        if values[column] == ABSENT:
            values[column] = None
    groups = int(batch.groups[row])
    record: Record = {"instrument_token": values[0], "mode": TickMode(batch.mode[row]).name.lower()}
    record.update(zip(HEADER_FIELDS[1:], values[1:OHLC], strict=True))
    for group, (name, first, fields) in _FLAT_GROUPS.items():
        own = values[first : first + len(fields)]
        record[name] = dict(zip(fields, own, strict=True)) if groups & group else None
    record["depth"] = _depth(values[DEPTH:]) if groups & Group.DEPTH else None
    return record


def fill_row(batch: TickBatch, row: int, record: Record) -> None:
    """Write a Tick record into a row of the batch, whatever its values; the verdict becomes OK.

    ``batch.size`` grows to hold the row. Raises RecordError if the record has not the contract's
    structure or an integer does not fit 64 bits; the row is then unchanged.
    """
    try:
        mode = TickMode[record["mode"].upper()]
        values, groups = _values(record)
        # Converted as a whole first: numpy would leave half a row behind an integer too large.
        batch.values[row] = np.array(values, np.int64)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise RecordError(f"The record has no place in a tick row: {exc!r}.") from exc
    batch.mode[row] = mode
    batch.groups[row] = groups
    batch.verdict[row] = 0
    batch.size = max(batch.size, row + 1)


def _depth(values: list[int | None]) -> Record:
    step = len(_LEVEL_FIELDS)
    levels = [
        dict(zip(_LEVEL_FIELDS, values[at : at + step], strict=True))
        for at in range(0, len(values), step)
    ]
    return {"bids": levels[:DEPTH_LEVELS], "asks": levels[DEPTH_LEVELS:]}


def _values(record: Record) -> tuple[list[int], Group]:
    values = [_integer(record, name) for name in HEADER_FIELDS]
    groups = Group.NONE
    for group, (name, _, fields) in _FLAT_GROUPS.items():
        part = record.get(name)
        groups |= group if part is not None else Group.NONE
        values += [0] * len(fields) if part is None else [_integer(part, key) for key in fields]
    depth = record.get("depth")
    if depth is None:
        return values + [0] * (len(FIELDS) - DEPTH), groups
    for side in _SIDES:
        if len(depth[side]) != DEPTH_LEVELS:
            raise ValueError(f"{side} must have {DEPTH_LEVELS} levels")
        values += [_integer(level, key) for level in depth[side] for key in _LEVEL_FIELDS]
    return values, groups | Group.DEPTH


def _integer(part: Record, name: str) -> int:
    if name in ("ts_event_ns", "last_trade_time_ns") and part.get(name) is None:
        return ABSENT
    value: int = part[name]
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer")
    return value
