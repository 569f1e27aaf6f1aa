"""What was read from Kafka as Arrow tables, one for each partition of a table, sorted."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import LongType

from kite_contracts.reasons import ReasonCode
from kite_contracts.tick_batch import (
    ABSENT,
    FEED_SEQ,
    FEED_SESSION,
    FIELD_COUNT,
    FIELDS,
    INSTRUMENT_TOKEN,
    TS_RECV_NS,
    TickMode,
)
from kite_contracts.tick_rows import NULLABLE_COLUMNS, group_of
from kite_kafka_io.columns import TickColumns
from kite_kafka_io.consumer import ReceivedRecord
from kite_kafka_io.errors import MalformedRecord
from kite_lake.catalog import buckets_of
from kite_lake.tables import TRADING_DAY, day_of, trading_days

Ints = npt.NDArray[np.int64]
_MODES: Final = [mode.name.lower() for mode in TickMode]
_LETTER_UNREADABLE: Final = ReasonCode.UNCLASSIFIED.value


@dataclass(frozen=True)
class Part:
    """Rows of one partition of a table, in the table's order. ``bucket`` None: by day alone."""

    day: date
    bucket: int | None
    rows: pa.Table


def tick_parts(table: Table, batches: Sequence[TickColumns]) -> Iterator[Part]:
    """The ticks by day and bucket, sorted by token, session and sequence."""
    if not batches:
        return
    values = np.concatenate([each.batch.values[: len(each)] for each in batches])
    modes = np.concatenate([each.batch.mode[: len(each)] for each in batches])
    groups = np.concatenate([each.batch.groups[: len(each)] for each in batches])
    days = trading_days(values[:, TS_RECV_NS])
    buckets = bucket_numbers(values[:, INSTRUMENT_TOKEN], buckets_of(table))
    order = np.lexsort(
        (values[:, FEED_SEQ], values[:, FEED_SESSION], values[:, INSTRUMENT_TOKEN], buckets, days)
    )
    schema = table.schema().as_arrow()
    days, buckets = days[order], buckets[order]
    changes = np.flatnonzero((np.diff(days) != 0) | (np.diff(buckets) != 0)) + 1
    bounds = [0, *changes.tolist(), len(order)]
    for first, end in pairwise(bounds):
        chosen = order[first:end]
        day = int(days[first])
        rows = _tick_table(schema, day, values[chosen], modes[chosen], groups[chosen])
        yield Part(day_of(day), int(buckets[first]), rows)


def bucket_numbers(tokens: Ints, buckets: int) -> Ints:
    """Iceberg's bucket of each token."""
    different, places = np.unique(tokens, return_inverse=True)
    found = BucketTransform(buckets).pyarrow_transform(LongType())(pa.array(different))
    numbers: Ints = found.to_numpy().astype(np.int64)[places]
    return numbers


def _tick_table(
    schema: pa.Schema, day: int, values: Ints, modes: Ints, groups: npt.NDArray[np.uint8]
) -> pa.Table:
    count = len(values)
    columns = np.ascontiguousarray(values.T)
    absent = {int(bit): (groups & bit) == 0 for bit in (1, 2, 4, 8, 16)}
    found: dict[str, pa.Array] = {
        TRADING_DAY: pa.array(np.full(count, day, np.int32)).cast(pa.date32()),
        "mode": pa.DictionaryArray.from_arrays(modes.astype(np.int8), _MODES),
    }
    for number in range(FIELD_COUNT):
        column, group = columns[number], int(group_of(number))
        null = absent[group] if group else None
        if number in NULLABLE_COLUMNS:
            null = (column == ABSENT) if null is None else null | (column == ABSENT)
        # An absent value is the smallest int64, which a narrower column could not hold.
        if null is not None and null.any():
            found[FIELDS[number]] = pa.array(np.where(null, 0, column), pa.int64(), null)
        else:
            found[FIELDS[number]] = pa.array(column)
    return conform(schema, found, count)


def conform(schema: pa.Schema, columns: dict[str, Any], count: int) -> pa.Table:
    """The columns in the types of the table; those that it has beyond them are null."""
    arrays = []
    for each in schema:
        column = columns.get(each.name)
        if column is None:
            column = pa.nulls(count, each.type)
        elif isinstance(column, pa.Array):
            column = column.cast(each.type)
        else:
            column = pa.array(column, each.type)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=schema)


def event_parts(table: Table, records: Iterable[ReceivedRecord]) -> Iterator[Part]:
    """Feed events by day. One that does not decode keeps its place in Kafka alone."""
    rows = []
    for received in records:
        try:
            record = dict(received.decode().record)
        except MalformedRecord as exc:
            record = {"detail": f"not readable: {exc}"}
        rows.append((record.get("ts_ns") or received.ts_ns or 0, record, received))
    return _record_parts(table, rows)


def letter_parts(
    table: Table, records: Iterable[tuple[ReceivedRecord, MalformedRecord | None]]
) -> Iterator[Part]:
    """Dead letters by day, and ticks that are none (with their error), each with its bytes."""
    rows = []
    for received, error in records:
        rows.append((received.ts_ns or 0, _letter(received, error), received))
    return _record_parts(table, rows)


def _letter(received: ReceivedRecord, error: MalformedRecord | None) -> dict[str, Any]:
    if error is None:
        try:
            letter = received.dead_letter().record()
            return {**letter, "raw": base64.b64decode(letter["raw"])}
        except MalformedRecord as exc:
            return {"reason": _LETTER_UNREADABLE, "message": str(exc), "raw": received.value}
    return {
        "reason": ReasonCode.SCHEMA_INVALID.value,
        "message": str(error),
        "raw": received.value,
        "unit": "record",
        "origin_topic": received.topic,
        "origin_partition": received.partition,
        "origin_offset": received.offset,
    }


def _record_parts(
    table: Table, rows: Sequence[tuple[int, dict[str, Any], ReceivedRecord]]
) -> Iterator[Part]:
    schema = table.schema().as_arrow()
    by_day: dict[int, list[dict[str, Any]]] = {}
    for ts_ns, record, received in sorted(rows, key=lambda row: (row[0], row[2].offset)):
        day = int(trading_days(np.array([ts_ns]))[0])
        record |= {
            TRADING_DAY: day_of(day),
            "kafka_topic": received.topic,
            "kafka_partition": received.partition,
            "kafka_offset": received.offset,
            "kafka_ts_ns": received.ts_ns,
            "kafka_key": received.key,
        }
        by_day.setdefault(day, []).append(record)
    for day, records in sorted(by_day.items()):
        columns = {each.name: [one.get(each.name) for one in records] for each in schema}
        yield Part(day_of(day), None, conform(schema, columns, len(records)))
