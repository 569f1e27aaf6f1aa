"""The source ``live``: final bars of the topic ``bars``, as they were made from ticks.

Of a bar that was written several times the highest version counts, and of one version the last
record: who makes bars from ticks repeats some after a restart. Bars that are not final yet are left
out, and so are those that the topic carries for another source of the merge, which answers for
itself. A record was written after its bar had opened, so the topic is read from the first record
that is no older than the window, to the end that it has then.

A value is judged by the contract as everywhere: the JSON Schema of its version is the rule,
jsonschema-rs answers for most records, and the reference explains a refusal.
"""

from __future__ import annotations

import base64
import time
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final

import jsonschema_rs
import numpy as np

from kite_bar_history.protocol import Reading, RefusedLine, Window
from kite_bar_history.universe import Listed
from kite_bars_store.bars import NO_OI, BarColumns, BarInstrument, SourceBars
from kite_bars_store.bars.sql import nanoseconds
from kite_contracts.reasons import ReasonCode
from kite_contracts.schemas import json_schema
from kite_contracts.validate import explain
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.framing import Framing
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Span
from kite_runtime.errors import ConfigurationError, TryAgainLater

SUBJECT: Final = "bar"
VALUES: Final = ("open", "high", "low", "close", "volume", "oi")
COLUMNS: Final = (
    "instrument", "ts_open_ns", *VALUES, "scale", "version", "written_ns", "partition",
    "offset",
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
    """Bars in the order in which they were read, 104 bytes each."""

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
                bar["version"] or 0,
                written,
                record.partition,
                record.offset,
            )
        )

    def latest_of(self) -> Arrays:
        """Of each instrument and time the highest version that was written last, in their order."""
        rows = np.array(self._values, np.int64).reshape(-1, len(COLUMNS))
        found = dict(zip(COLUMNS, rows.T, strict=True))
        keys = ("offset", "partition", "written_ns", "version", "ts_open_ns", "instrument")
        order = np.lexsort(tuple(found[name] for name in keys))
        number, opens = found["instrument"][order], found["ts_open_ns"][order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = (number[1:] != number[:-1]) | (opens[1:] != opens[:-1])
        return {name: column[order[last]] for name, column in found.items()}


SOURCE: Final = "live"
BARS_MAX: Final = 1_000_000
"""Bars of a span that are kept for the windows to come, about 200 MB. Where the topic holds more,
it is read again for each window, and only the window's instruments are kept."""
REFUSED_MAX: Final = 10_000
"""A topic with more records that are no bars is not the topic ``bars``."""
SILENCE_S: Final = 30.0
_READ_S: Final = 0.1
_TICK_MAX: Final = 2**31 - 1


@dataclass(frozen=True)
class _Wanted:
    """Which bars are kept: those of one interval that open in ``[since_ns, until_ns)``."""

    interval: str
    since_ns: int
    until_ns: int

    @classmethod
    def of(cls, window: Window) -> _Wanted:
        return cls(window.interval, nanoseconds(window.since), nanoseconds(window.until))

    def takes(self, bar: Mapping[str, Any]) -> bool:
        inside: bool = self.since_ns <= bar["ts_open_ns"] < self.until_ns
        return inside and bar["interval"] == self.interval


@dataclass(frozen=True)
class _Kept:
    """What was read of a span."""

    wanted: _Wanted
    names: dict[Name, int]
    bars: Arrays
    records: int
    not_final: int


class LiveBars:
    """Bars of ``topic``. ``others`` are the sources that stand for themselves in the merge.

    `read` raises BrokerUnreachable, UnknownTopic, ReadError, RegistryError and TryAgainLater, and
    ConfigurationError when the topic is full of something else.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        framing: Framing | None = None,
        others: frozenset[str] = frozenset({"kite", "vendor"}),
        bars_max: int = BARS_MAX,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._judge = RecordJudge(open_framing(kafka) if framing is None else framing)
        self._others = others
        self._bars_max = bars_max
        self._silence_s = silence_s
        self._kept: _Kept | None = None
        self._too_many: _Wanted | None = None
        self._refused: dict[tuple[str, int], RefusedLine] = {}
        self._told = 0

    @property
    def name(self) -> str:
        return SOURCE

    def read(self, window: Window) -> Reading:
        """The window's bars, and once for each what in the topic is no bar."""
        wanted = _Wanted.of(window)
        kept = self._kept
        if kept is None or kept.wanted != wanted:
            kept = self._kept = None
            if self._too_many != wanted:
                kept = self._kept = self._collect(wanted, None)
            if kept is None:
                self._too_many = wanted
                kept = self._collect(wanted, {_name(each) for each in window.listed})
                assert kept is not None
        refused = tuple(self._refused.values())[self._told :]
        self._told = len(self._refused)
        bars = _of_window(kept, window, self._topic)
        return Reading((bars,) if len(bars.bars) else (), refused)

    def _collect(self, wanted: _Wanted, names: set[Name] | None) -> _Kept | None:
        """What the topic holds now; of all instruments, unless that is too much (None)."""
        columns = LiveColumns()
        records = not_final = 0
        for record in self._records(wanted.since_ns):
            records += 1
            bar = self._judge.bar(record)
            if isinstance(bar, RefusedLine):
                self._refuse(bar)
                continue
            if not wanted.takes(bar) or bar["source"] in self._others:
                continue
            if names is not None and (bar["exchange"], bar["tradingsymbol"]) not in names:
                continue
            if not bar["is_final"]:
                not_final += 1
                continue
            columns.add(bar, record)
            if names is None and len(columns) > self._bars_max:
                return None
        return _Kept(wanted, columns.names, columns.latest_of(), records, not_final)

    def _records(self, since_ns: int) -> Iterator[RawRecord]:
        with RawReader(self._kafka, [self._topic], span=Span(from_ns=since_ns)) as reader:
            yield from records_of(reader, self._kafka, self._topic, self._silence_s)

    def _refuse(self, line: RefusedLine) -> None:
        self._refused.setdefault((line.place, line.line), line)
        if len(self._refused) > REFUSED_MAX:
            raise ConfigurationError(
                f"more than {REFUSED_MAX:,} records of the topic {self._topic} are no bars (the "
                f"last one, {line.place} offset {line.line}: {line.message}): name the topic of "
                "bars as HIST_MERGE_TOPIC"
            )


def records_of(
    reader: RawReader, kafka: KafkaSettings, topic: str, silence_s: float = SILENCE_S
) -> Iterator[RawRecord]:
    """All records up to the end. Raises TryAgainLater when nothing comes for ``silence_s``."""
    heard_s = time.monotonic()
    while not reader.finished:
        batch = reader.read(_READ_S)
        if batch:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > silence_s:
            trouble = f" ({reader.trouble})" if reader.trouble else ""
            raise TryAgainLater(
                f"Kafka at {kafka.bootstrap} has sent nothing of {topic} for {silence_s:.0f} s"
                f"{trouble}: run the same command again later"
            )
        yield from batch


def _of_window(kept: _Kept, window: Window, topic: str) -> SourceBars:
    """The bars of the window's instruments, each judged by the scale that it has itself."""
    place = np.full(len(kept.names), -1, np.int64)
    for number, listed in enumerate(window.listed):
        known = kept.names.get(_name(listed))
        if known is not None:
            place[known] = number
    where = place[kept.bars["instrument"]]
    chosen = np.flatnonzero(where >= 0)
    found = {name: column[chosen] for name, column in kept.bars.items()}
    pairs = np.stack([where[chosen], found["scale"]], axis=1)
    kinds, index = np.unique(pairs, axis=0, return_inverse=True)
    instruments = [
        _scaled(window.listed[number].instrument, scale) for number, scale in kinds.tolist()
    ]
    values = {name: found[name] for name in ("ts_open_ns", *VALUES)}
    bars = BarColumns(instrument=index.reshape(-1).astype(np.int64), **values)
    parameters = {"topic": topic, "records": kept.records, "not_final": kept.not_final}
    return SourceBars(SOURCE, window.interval, instruments, bars, "live", parameters=parameters)


def _scaled(instrument: BarInstrument, scale: int) -> BarInstrument:
    """The instrument with prices of ``scale`` decimals; without a tick that does not fit there."""
    exact = Decimal(instrument.tick_size).scaleb(scale - instrument.price_scale)
    tick = int(exact) if exact == int(exact) and exact <= _TICK_MAX else 0
    return BarInstrument(instrument.exchange, instrument.tradingsymbol, scale, tick)


def _name(listed: Listed) -> Name:
    return listed.instrument.exchange, listed.instrument.tradingsymbol
