"""All rows at once: columns of text become columns of the contract. Pure.

The JSON Schema is the only statement of the rules: what a column may hold is compiled from it. A
row that these loops doubt goes to ``rows``, whose word counts; a property test shows that no row
passes here that is refused there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_broker_zerodha.instrument_dump.rows import (
    DECIMAL,
    OPTION_TYPES,
    SUBJECT,
    VERSION,
    decimals,
    scaled,
)
from kite_broker_zerodha.packets import price_scale_of
from kite_contracts.errors import SchemaError
from kite_contracts.schemas import json_schema
from kite_contracts.shape import Node, json_nodes

SCHEMA: Final = pa.schema(
    [
        pa.field("exchange", pa.string(), nullable=False),
        pa.field("tradingsymbol", pa.string(), nullable=False),
        pa.field("instrument_token", pa.int64(), nullable=False),
        pa.field("exchange_token", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("expiry", pa.date32()),
        pa.field("strike", pa.int64()),
        pa.field("price_scale", pa.int16(), nullable=False),
        pa.field("tick_size", pa.int64(), nullable=False),
        pa.field("lot_size", pa.int32(), nullable=False),
        pa.field("instrument_type", pa.string(), nullable=False),
        pa.field("segment", pa.string(), nullable=False),
    ]
)
"""The contract's fields that a dump states; the day and the source are the same for all rows."""

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_STATED_ELSEWHERE: Final = {"/observed_on", "/source"}
_PLAIN_INTEGER: Final = "^-?[0-9]{1,18}$"  # any such number fits 64 bits
_INT64: Final = np.iinfo(np.int64)
_SCALES: Final = np.array([max(2, price_scale_of(segment)) for segment in range(256)], np.int64)


def typed(text: pa.Table) -> tuple[pa.Table, Flags]:
    """Columns of `SCHEMA`, and the rows to doubt, whose values mean nothing.

    ``text`` has the columns of ``text.COLUMNS``, without nulls.
    """
    nodes = contract_nodes()
    doubt = np.zeros(text.num_rows, np.bool_)
    columns: dict[str, Any] = {}
    for name in ("exchange", "tradingsymbol", "name", "instrument_type", "segment"):
        columns[name] = _strings(text[name], nodes[f"/{name}"], doubt)
    for name in ("instrument_token", "exchange_token", "lot_size"):
        columns[name] = _integers(text[name], nodes[f"/{name}"], doubt)
    columns["expiry"] = _days(text["expiry"], nodes["/expiry"], doubt)
    is_option = _flags(pc.is_in(text["instrument_type"], pa.array(OPTION_TYPES)))
    columns |= _prices(text, columns["instrument_token"], is_option, nodes, doubt)
    arrays = [_array(columns[field.name], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA), doubt


def table_of(records: Sequence[dict[str, Any]]) -> pa.Table:
    """Records that keep the contract, as a table."""
    rows = [
        {**record, "expiry": record["expiry"] and date.fromisoformat(record["expiry"])}
        for record in records
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@cache
def contract_nodes() -> dict[str, Node]:
    """The rules by path. Raises SchemaError for one that the loops here do not know."""
    nodes = json_nodes(json_schema(SUBJECT, VERSION), SUBJECT)
    fields = {f"/{name}" for name in SCHEMA.names} | _STATED_ELSEWHERE
    if set(nodes) - {""} != fields:
        raise SchemaError(f"{SUBJECT} has other fields than a dump is read into.")
    for path, node in nodes.items():
        if node.enum is not None or node.encoding is not None:
            raise SchemaError(f"{SUBJECT} {path}: a rule that is not compiled here.")
    return nodes


def _strings(column: Any, node: Node, doubt: Flags) -> Any:
    """Empty becomes null where the contract has null."""
    short = _flags(pc.less(pc.utf8_length(column), node.min_length))
    if node.pattern is not None:
        short |= ~_by_value(column, lambda value: bool(re.search(str(node.pattern), value)))
    empty = pc.equal(column, "")
    if not node.nullable:
        doubt |= short
        return column
    doubt |= short & ~_flags(empty)
    return pc.if_else(empty, pa.scalar(None, pa.string()), column)


def _integers(column: Any, node: Node, doubt: Flags) -> Ints:
    plain = pc.match_substring_regex(column, _PLAIN_INTEGER)
    numbers: Ints = pc.if_else(plain, column, "0").cast(pa.int64()).to_numpy().copy()
    doubt |= ~_flags(plain)
    doubt |= _outside(numbers, node)
    numbers[doubt] = 0
    return numbers


def _days(column: Any, node: Node, doubt: Flags) -> Any:
    def day(value: str) -> date | None:
        try:
            return date.fromisoformat(value) if re.search(str(node.pattern), value) else None
        except ValueError:
            return None

    encoded = column.combine_chunks().dictionary_encode()
    days = pa.array([day(value) for value in encoded.dictionary.to_pylist()], pa.date32())
    found = days.take(encoded.indices)
    doubt |= _flags(pc.is_null(found)) & ~_flags(pc.equal(column, ""))
    return found


def _prices(
    text: pa.Table, tokens: Ints, is_option: Flags, nodes: dict[str, Node], doubt: Flags
) -> dict[str, Any]:
    """Strike and tick size at one scale a row: that of the token's ticks, or a finer one."""
    ticks, strikes = _Decimals(text["tick_size"]), _Decimals(text["strike"])
    scale = np.maximum(_SCALES[tokens & 0xFF], ticks.places)
    scale = np.where(is_option, np.maximum(scale, strikes.places), scale)
    doubt |= _outside(scale, nodes["/price_scale"])
    tick, good = ticks.at(scale)
    doubt |= ~good | _outside(tick, nodes["/tick_size"])
    strike, good = strikes.at(scale)
    doubt |= is_option & (~good | _outside(strike, nodes["/strike"]))
    scale[doubt] = 0
    return {
        "price_scale": scale,
        "tick_size": tick,
        "strike": pa.array(strike, mask=~is_option | doubt),
    }


class _Decimals:
    """A column of decimal texts; each distinct text is read once, exactly."""

    def __init__(self, column: Any) -> None:
        encoded = column.combine_chunks().dictionary_encode()
        self._texts: list[str] = encoded.dictionary.to_pylist()
        self._index: Ints = encoded.indices.to_numpy().astype(np.int64)
        self._good = [DECIMAL.fullmatch(text) is not None for text in self._texts]
        places = [
            decimals(text) if good else 0
            for text, good in zip(self._texts, self._good, strict=True)
        ]
        self._places = np.array(places, np.int64)

    @property
    def places(self) -> Ints:
        """Decimals that each row needs; 0 where the text is no decimal."""
        found: Ints = self._places[self._index]
        return found

    def at(self, scale: Ints) -> tuple[Ints, Flags]:
        """The value of each row times 10**scale, and whether that is a number of 64 bits."""
        values = np.zeros(len(scale), np.int64)
        good = np.zeros(len(scale), np.bool_)
        for each in np.unique(scale).tolist():
            numbers = [self._number(place, each) for place in range(len(self._texts))]
            at_scale = np.array([number or 0 for number in numbers], np.int64)
            fits = np.array([number is not None for number in numbers], np.bool_)
            rows = scale == each
            values[rows] = at_scale[self._index[rows]]
            good[rows] = fits[self._index[rows]]
        return values, good

    def _number(self, place: int, scale: int) -> int | None:
        if not self._good[place] or self._places[place] > scale:
            return None
        number = scaled(self._texts[place], scale)
        return number if _INT64.min <= number <= _INT64.max else None


def _outside(numbers: Ints, node: Node) -> Flags:
    low = _INT64.min if node.low is None else node.low
    high = _INT64.max if node.high is None else node.high
    found: Flags = (numbers < low) | (numbers > high)
    return found


def _by_value(column: Any, test: Any) -> Flags:
    encoded = column.combine_chunks().dictionary_encode()
    passed = np.array([test(value) for value in encoded.dictionary.to_pylist()], np.bool_)
    found: Flags = passed[encoded.indices.to_numpy()]
    return found


def _flags(column: Any) -> Flags:
    found: Flags = column.to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


def _array(column: Any, wanted: pa.DataType) -> Any:
    array = pa.array(column) if isinstance(column, np.ndarray) else column
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.cast(wanted)
