"""Values of the topic ``bars`` → bars, or why they are none. Pure.

A value is judged by the contract as everywhere: the JSON Schema of its version is the rule,
jsonschema-rs answers for most records, and the reference explains a refusal.
"""

from __future__ import annotations

import base64
from array import array
from functools import cache
from typing import Any, Final

import jsonschema_rs
import numpy as np

from kite_bar_history.protocol import RefusedLine
from kite_bars_store.bars import NO_OI
from kite_contracts.reasons import ReasonCode
from kite_contracts.schemas import json_schema
from kite_contracts.validate import explain
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.framing import Framing
from kite_kafka_io.raw_reader import RawRecord

SUBJECT: Final = "bar"
VALUES: Final = ("open", "high", "low", "close", "volume", "oi")
COLUMNS: Final = (
    "instrument", "ts_open_ns", *VALUES, "scale", "written_ns", "partition", "offset"
)  # fmt: skip
"""Of `LiveColumns`: the number of the name, the bar, and where and when it was written."""

Name = tuple[str, str]
"""Exchange and symbol."""
Arrays = dict[str, np.ndarray[Any, np.dtype[np.int64]]]


class RecordJudge:
    """Reads values with one framing, which is that of the topic."""

    def __init__(self, framing: Framing | None = None) -> None:
        self._codec = AvroCodec(framing)

    def bar(self, record: RawRecord) -> dict[str, Any] | RefusedLine:
        """The bar that the record is, or why it is none."""
        try:
            decoded = self._codec.decode(record.value or b"")
        except UnknownSchema as exc:
            return refused(record, ReasonCode.SCHEMA_UNKNOWN_ID, str(exc))
        except MalformedRecord as exc:
            return refused(record, ReasonCode.SCHEMA_INVALID, str(exc))
        if decoded.subject != SUBJECT or decoded.version is None:
            what = decoded.subject or "record of another kind"
            return refused(record, ReasonCode.SCHEMA_INVALID, f"the value is a {what}, no bar")
        if _quick(decoded.version).is_valid(decoded.record):
            return decoded.record
        violation = explain(SUBJECT, decoded.version, decoded.record)
        if violation is None:
            return decoded.record
        return refused(record, ReasonCode.SEMANTIC_RANGE, str(violation))


def refused(record: RawRecord, reason: ReasonCode, message: str) -> RefusedLine:
    """Where the record is in Kafka, and its bytes as base64. ``line`` is its offset.

    The place is named as Kafka names a partition's folder; refused lines go to a file of this name.
    """
    place = f"{record.topic}-{record.partition}"
    raw = base64.b64encode(record.value or b"").decode()
    return RefusedLine(place, record.offset, str(reason), message, raw)


@cache
def _quick(version: int) -> Any:
    return jsonschema_rs.Draft202012Validator(json_schema(SUBJECT, version))


class LiveColumns:
    """Bars in the order in which they were read, 96 bytes each."""

    def __init__(self) -> None:
        self.names: dict[Name, int] = {}
        self._values = array("q")
        self._latest: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._values) // len(COLUMNS)

    def add(self, bar: dict[str, Any], record: RawRecord) -> None:
        """Note a bar that keeps its contract."""
        number = self.names.setdefault((bar["exchange"], bar["tradingsymbol"]), len(self.names))
        # Within a partition the offset tells which word is the later one, whatever clocks say.
        written = max(self._latest.get(record.partition, 0), record.ts_ns or 0)
        self._latest[record.partition] = written
        oi = NO_OI if bar["oi"] is None else bar["oi"]
        self._values.extend(
            (
                number,
                bar["ts_open_ns"],
                *(bar[name] for name in VALUES[:-1]),
                oi,
                bar["price_scale"],
                written,
                record.partition,
                record.offset,
            )
        )

    def last_words(self) -> Arrays:
        """Of each instrument and time the bar that was written last, by instrument and time."""
        rows = np.array(self._values, np.int64).reshape(-1, len(COLUMNS))
        found = dict(zip(COLUMNS, rows.T, strict=True))
        keys = ("offset", "partition", "written_ns", "ts_open_ns", "instrument")
        order = np.lexsort(tuple(found[name] for name in keys))
        number, opens = found["instrument"][order], found["ts_open_ns"][order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = (number[1:] != number[:-1]) | (opens[1:] != opens[:-1])
        return {name: column[order[last]] for name, column in found.items()}
