"""The tables as the contracts define them: columns, partitions, order (pure).

A column is a value of the contract: its name, its Avro type (what Kafka can carry fits, whatever a
check let through), its description.
Groups are flattened; a tick's columns have the names of the tick batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
)

from kite_contracts.avro_shape import AvroNode, avro_nodes
from kite_contracts.shape import Node, json_nodes
from kite_contracts.store import Contract, packaged
from kite_contracts.tick_batch import FIELDS
from kite_contracts.tick_rows import COLUMN_PATHS

NAMESPACE: Final = "kite"
TRADING_DAY: Final = "trading_day"
BUCKET_FIELD: Final = "token_bucket"
BUCKETS: Final = 16
LAYOUT: Final = 1
"""Of the tables, beyond what Iceberg itself evolves; a higher number is that of a newer release."""
LAYOUT_PROPERTY: Final = "kite.layout"

_IST_NS: Final = 19_800 * 10**9
_DAY_NS: Final = 86_400 * 10**9
_EPOCH: Final = date(1970, 1, 1)
_TICK_NAMES: Final = dict(zip(COLUMN_PATHS, FIELDS, strict=True))


@dataclass(frozen=True)
class TableSpec:
    """One table: the contract it is made from, and the columns that are not of the contract."""

    name: str
    subject: str
    doc: str
    extra: tuple[tuple[str, IcebergType, str], ...]
    order: tuple[str, ...]
    bucketed: bool = False

    def contract(self) -> Contract:
        """The newest version of the contract."""
        store = packaged()
        return store.contract(self.subject, store.versions(self.subject)[-1])


_KAFKA_PLACE: Final = (
    ("kafka_topic", StringType(), "The topic that it was read from."),
    ("kafka_partition", IntegerType(), "Its partition there."),
    ("kafka_offset", LongType(), "Its offset there."),
    ("kafka_ts_ns", LongType(), "When it was written to Kafka, ns since 1970 (UTC)."),
)
TICKS: Final = TableSpec(
    "ticks",
    "tick",
    "Every tick of the feed, once.",
    (),
    ("instrument_token", "feed_session", "feed_seq"),
    bucketed=True,
)
FEED_EVENTS: Final = TableSpec(
    "feed_events", "feed_event", "What happened to the feed.", _KAFKA_PLACE, ("ts_ns",)
)
DEAD_LETTERS: Final = TableSpec(
    "tick_dead_letters",
    "dead_letter",
    "What was no tick: the raw bytes and the reason.",
    (*_KAFKA_PLACE, ("kafka_key", BinaryType(), "The key of the record.")),
    ("kafka_topic", "kafka_partition", "kafka_offset"),
)
TABLES: Final = (TICKS, FEED_EVENTS, DEAD_LETTERS)


def schema_of(spec: TableSpec, contract: Contract | None = None) -> Schema:
    """The columns of the table; those of the contract in its order.

    Every column is optional but what each tick must have: a later version only adds optional ones.
    """
    contract = contract or spec.contract()
    walk = _Walk(json_nodes(contract.json, contract.name), avro_nodes(contract.avro, contract.name))
    found: list[Column] = [(TRADING_DAY, DateType(), True, "The IST date it belongs to.")]
    found += [(name, kind, False, doc) for name, kind, doc in spec.extra]
    found += walk.columns("", spec.bucketed, "")
    fields, next_id = [], len(found)
    for number, (name, kind, required, doc) in enumerate(found, 1):
        if isinstance(kind, ListType):
            next_id += 1
            kind = ListType(next_id, kind.element_type, element_required=True)
        fields.append(NestedField(number, name, kind, required=required, doc=doc))
    return Schema(*fields)


Column = tuple[str, IcebergType, bool, str]
"""Name, type, whether it is required, description."""


@dataclass(frozen=True)
class _Walk:
    nodes: Mapping[str, Node]
    avro: Mapping[str, AvroNode]

    def columns(self, path: str, required: bool, pointer: str) -> list[Column]:
        """The columns below ``path``; ``pointer`` is the same with the numbers of array items."""
        found: list[Column] = []
        for child, node in self.nodes.items():
            parent, _, name = child.rpartition("/")
            if not child or parent != path:
                continue
            here = f"{pointer}/{name}"
            needed = required and node.required and not node.nullable
            if node.kind == "object":
                found += self.columns(child, needed, here)
            elif node.kind == "array" and self.nodes[child + "/*"].kind == "object":
                for item in range(node.max_items or 0):
                    found += self.columns(child + "/*", False, f"{here}/{item}")
            else:
                found.append((_column_name(here), self.type_of(child), needed, _doc(node)))
        return found

    def type_of(self, path: str) -> IcebergType:
        node = self.nodes[path]
        if node.kind == "array":
            return ListType(0, self.type_of(path + "/*"), element_required=True)
        if node.kind == "boolean":
            return BooleanType()
        if node.kind == "string":
            return BinaryType() if node.encoding else StringType()
        return IntegerType() if self.avro[path].type_name == "int" else LongType()


def _column_name(pointer: str) -> str:
    return _TICK_NAMES.get(pointer, pointer.strip("/").replace("/", "_"))


def _doc(node: Node) -> str:
    unit = f" Unit: {node.unit}." if node.unit else ""
    return node.doc + unit + (" Decimals: price_scale." if node.scale else "")


def partitions_of(spec: TableSpec, schema: Schema, buckets: int) -> PartitionSpec:
    """By trading day, and ticks by a bucket of the token as well."""
    day = schema.find_field(TRADING_DAY).field_id
    fields = [PartitionField(day, 1000, IdentityTransform(), TRADING_DAY)]
    if spec.bucketed:
        token = schema.find_field("instrument_token").field_id
        fields.append(PartitionField(token, 1001, BucketTransform(buckets), BUCKET_FIELD))
    return PartitionSpec(*fields)


def order_of(spec: TableSpec, schema: Schema) -> SortOrder:
    """How rows lie within a file."""
    return SortOrder(
        *[SortField(schema.find_field(name).field_id, IdentityTransform()) for name in spec.order]
    )


def trading_days(ts_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The IST date of each time, as days since 1970."""
    return (ts_ns + _IST_NS) // _DAY_NS


def trading_day(ts_ns: int) -> int:
    """The IST date of a time, as days since 1970."""
    return (ts_ns + _IST_NS) // _DAY_NS


def day_of(number: int) -> date:
    """The date of a number of days since 1970."""
    return _EPOCH + timedelta(days=number)


def day_span_ns(day: date) -> tuple[int, int]:
    """First nanosecond of an IST date and of the next one, since 1970 (UTC)."""
    first = (day - _EPOCH).days * _DAY_NS - _IST_NS
    return first, first + _DAY_NS
