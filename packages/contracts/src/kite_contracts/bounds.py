"""The Tick contract's JSON Schema compiled to bounds per column, for the hot path.

The schema stays the only statement of the rules: a keyword that has no compiled form is an error
here, and a property test shows that :func:`check_row` and ``jsonschema`` accept the same records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_contracts.errors import SchemaError
from kite_contracts.schemas import json_schema
from kite_contracts.shape import Node, json_nodes
from kite_contracts.tick_batch import ABSENT, DEPTH_LEVELS, FIELD_COUNT, TickMode
from kite_contracts.tick_rows import COLUMN_PATHS, GROUP_NAMES, NULLABLE_COLUMNS, group_of
from kite_runtime.compiled import compiled

ALL_ALLOWED: Final = np.uint64(2**64 - 1)
"""The mask of a column without an enum."""
COLUMN_GROUPS: Final = np.array([group_of(column) for column in range(FIELD_COUNT)], np.uint8)
"""The ``Group`` bit of each column; 0 for the columns of every tick."""
_MASK_BITS: Final = 64
_ABSENT: Final = ABSENT


@dataclass(frozen=True)
class TickBounds:
    """Per column the values that the contract allows: ``low <= value <= high``, both inclusive.

    ``masks`` narrows a range to an enum: bit ``value - low`` is set for an allowed value; all ones
    when there is no enum. ``optional`` marks the columns that may be ``ABSENT``. Each array has
    ``FIELD_COUNT`` entries. A group's columns count only in rows that have the group.
    """

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    masks: npt.NDArray[np.uint64]
    optional: npt.NDArray[np.bool_]


def tick_bounds(version: int = 1) -> TickBounds:
    """The bounds of one released version of the Tick contract, in fresh arrays.

    Raises SchemaError if the schema says what bounds cannot, UnknownContractError for a version
    that is not there.
    """
    return compile_bounds(json_schema("tick", version), f"tick.v{version}")


def compile_bounds(schema: dict[str, Any], name: str) -> TickBounds:
    """Compile the JSON Schema of a tick. Raises SchemaError, which names ``name`` and the path."""
    nodes = json_nodes(schema, name)
    _check_structure(nodes, name)
    bounds = TickBounds(
        low=np.zeros(FIELD_COUNT, np.int64),
        high=np.zeros(FIELD_COUNT, np.int64),
        masks=np.full(FIELD_COUNT, ALL_ALLOWED, np.uint64),
        optional=np.zeros(FIELD_COUNT, np.bool_),
    )
    for column, path in enumerate(COLUMN_PATHS):
        node = nodes[_generic(path)]
        if node.low is None or node.high is None:
            raise SchemaError(f"{name} {node.path}: a tick column must be an integer.")
        if node.low <= ABSENT or node.high >= 2**63:
            raise SchemaError(f"{name} {node.path}: the range must lie inside 64 bits.")
        bounds.low[column] = node.low
        bounds.high[column] = node.high
        bounds.optional[column] = node.nullable
        if node.enum is not None:
            bounds.masks[column] = _mask(node, node.low, node.high, name)
    return bounds


@compiled
def check_row(
    values: npt.NDArray[np.int64],
    groups: int,
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    masks: npt.NDArray[np.uint64],
    optional: npt.NDArray[np.bool_],
) -> int:
    """The verdict on one row of a tick batch: 0, or 1 + the first column out of bounds.

    ``values`` are the row's columns, ``groups`` its ``Group`` bits, the rest the arrays of
    :class:`TickBounds`. Callable from other compiled loops.
    """
    for column in range(low.shape[0]):
        group = COLUMN_GROUPS[column]
        if group != 0 and not (groups & group):
            continue
        value = values[column]
        if value < low[column] or value > high[column]:
            if not (value == _ABSENT and optional[column]):
                return column + 1
        elif masks[column] != ALL_ALLOWED and not (
            (masks[column] >> np.uint64(value - low[column])) & np.uint64(1)
        ):
            return column + 1
    return 0


def _generic(path: str) -> str:
    return re.sub(r"/\d+(?=/|$)", "/*", path)


def _mask(node: Node, low: int, high: int, name: str) -> np.uint64:
    if high - low >= _MASK_BITS:
        raise SchemaError(f"{name} {node.path}: enum values must lie within {_MASK_BITS}.")
    allowed = [value for value in range(low, high + 1) if value in (node.enum or ())]
    return np.uint64(sum(1 << (value - low) for value in allowed))


def _check_structure(nodes: dict[str, Node], name: str) -> None:
    """What the batch takes for granted: the columns, which may be absent, and the groups."""
    nullable_paths = {COLUMN_PATHS[column] for column in NULLABLE_COLUMNS}
    group_paths = {f"/{group}" for group in GROUP_NAMES.values()}
    arrays = {"/depth/bids", "/depth/asks"}
    columns = {_generic(path) for path in COLUMN_PATHS}
    expected = columns | group_paths | arrays | {path + "/*" for path in arrays} | {"", "/mode"}
    for path in sorted(set(nodes) ^ expected):
        have = "has no column in the tick batch" if path in nodes else "is missing"
        raise SchemaError(f"{name} {path or '(root)'}: {have}.")
    for path, node in nodes.items():
        may_be_null = path in nullable_paths | group_paths
        if node.nullable != may_be_null or node.required == may_be_null:
            wanted = "optional and nullable" if may_be_null else "required and not null"
            raise SchemaError(f"{name} {path or '(root)'}: the tick batch needs it {wanted}.")
        if path in arrays and (node.min_items, node.max_items) != (DEPTH_LEVELS, DEPTH_LEVELS):
            raise SchemaError(f"{name} {path}: the tick batch needs exactly {DEPTH_LEVELS} items.")
    modes = tuple(mode.name.lower() for mode in TickMode)
    if nodes["/mode"].enum != modes:
        raise SchemaError(f"{name} /mode: the tick batch needs the enum {', '.join(modes)}.")
