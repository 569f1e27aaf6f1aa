"""Reading: ``TickReader`` for ticks as columns, ``RecordReader`` for single records of any topic.

Both are iterators and context managers. What an iteration gave counts as handled, and is committed
for the group, when the next one is asked for; after ``break``, call ``commit``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, Unpack

import numpy as np
from confluent_kafka import Message

from kite_contracts.errors import RecordError
from kite_contracts.tick_batch import ABSENT, FEED_SEQ, FEED_SESSION, FIELD_COUNT, TickBatch
from kite_contracts.tick_rows import fill_row, group_of
from kite_kafka_io.codec import AvroCodec, Decoded
from kite_kafka_io.columns import TickColumns
from kite_kafka_io.dead_letters import DeadLetter, read_dead_letter
from kite_kafka_io.duplicates import DuplicateFilter, Ints, Mask
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.framing import Framing, SingleObjectFraming
from kite_kafka_io.raw_reader import RawRecord, Reader, raw_records
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.source import Source, Which
from kite_kafka_io.tick_codec import DecodedTicks, decode_ticks
from kite_kafka_io.topics import Place

__all__ = ["DuplicateFilter", "ReceivedRecord", "RecordReader", "TickReader"]

BATCH_ROWS: Final = 1_000
"""So many messages stay in the processor's cache; of 10,000 each one costs half as much again."""
WAIT_S: Final = 0.1

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ReceivedRecord:
    """One record of any topic: where it was read, its bytes, and how to understand them."""

    topic: str
    partition: int
    offset: int
    ts_ns: int | None
    """When it was written, as Kafka has it (whole milliseconds)."""
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes | None]]
    codec: AvroCodec

    def decode(self) -> Decoded:
        """The record by the schema that wrote it. Raises MalformedRecord or UnknownSchema."""
        return self.codec.decode(self.value)

    def dead_letter(self) -> DeadLetter:
        """The dead letter that it is. Raises MalformedRecord if its headers are not ours."""
        return read_dead_letter(self.value, self.headers)


class _Iterating(Reader, Iterator[Item]):
    """What both readers share: iteration to the end."""

    @abstractmethod
    def poll(self, timeout_s: float) -> Item | None:
        """The next item, or None if none comes in time."""

    def __next__(self) -> Item:
        while not self.finished:
            item = self.poll(WAIT_S)
            if item is not None:
                return item
        self._source.commit(wait=True)
        raise StopIteration

    def commit_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Let Kafka show this progress, which is kept elsewhere (see ``Placement``)."""
        self._source.commit_offsets(offsets)


class RecordReader(_Iterating[ReceivedRecord]):
    """Records of ``topics`` one at a time; see ``Source`` for which and ``poll`` for waiting."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        framing: Framing | None = None,
        **which: Unpack[Which],
    ) -> None:
        self._codec = AvroCodec(framing)
        self._waiting: deque[RawRecord] = deque()
        self._source = Source(settings, topics, **which)

    @property
    def finished(self) -> bool:
        """Whether all was given out."""
        return not self._waiting and super().finished

    def poll(self, timeout_s: float) -> ReceivedRecord | None:
        """The next record, or None if none comes in time. Raises ReadError or UnknownTopic."""
        if not self._waiting:
            self._source.commit()
            self._waiting.extend(raw_records(self._source.read(BATCH_ROWS, timeout_s)))
        if not self._waiting:
            return None
        record = received_record(self._waiting.popleft(), self._codec)
        if self._source.commits:
            self._source.handled((record.topic, record.partition), record.offset)
        return record


NO_PREFIX: Final = b"no prefix"
"""No value begins like this."""


class TickReader(_Iterating[TickColumns]):
    """Ticks of one topic as column batches, repeats dropped; see ``Source`` for which ticks.

    A value that is no tick is handed to ``on_malformed`` with the reason; without it the first one
    is raised as MalformedRecord, because ticks must not go missing in silence. ``duplicates`` may
    be a filter to go on with, or None to see the repeats too. A batch holds what has arrived, up to
    ``batch_rows``; with ``linger_s`` it waits that long for more.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str = "ticks",
        *,
        framing: Framing | None = None,
        duplicates: DuplicateFilter | Literal["new"] | None = "new",
        on_malformed: Callable[[ReceivedRecord, MalformedRecord], None] | None = None,
        batch_rows: int = BATCH_ROWS,
        linger_s: float = 0.0,
        **which: Unpack[Which],
    ) -> None:
        self.duplicates = DuplicateFilter() if duplicates == "new" else duplicates
        self._topic = topic
        self._batch_rows = batch_rows
        self._linger_s = linger_s
        self._on_malformed = on_malformed
        self._codec = AvroCodec(framing)
        self._framing: Framing = framing if framing is not None else SingleObjectFraming()
        self._prefix = _tick_prefix(self._framing)
        self._source = Source(settings, [topic], **which)

    def poll(self, timeout_s: float) -> TickColumns | None:
        """The next batch, or None if no tick comes in time; commits the batch before.

        Raises ReadError, UnknownTopic, and MalformedRecord where there is no ``on_malformed``.
        """
        self._source.commit()
        messages = self._source.read(self._batch_rows, timeout_s, self._linger_s)
        if not messages:
            return None
        count = len(messages)
        partition = np.fromiter(map(Message.partition, messages), np.int64, count)
        offset = np.fromiter(map(Message.offset, messages), np.int64, count)
        keep = np.ones(count, np.bool_)
        decoded = decode_ticks(_values(messages), self._prefix)
        if decoded.bad:
            keep = self._second_look(messages, decoded)
        keep &= self._not_repeated(decoded.batch, partition, keep)
        if self._source.commits:
            for number in np.unique(partition).tolist():
                self._source.handled((self._topic, number), int(offset[partition == number].max()))
        if not keep.any():
            return None
        found = TickColumns(decoded.batch, self._topic, partition, offset)
        return found if keep.all() else found.chosen(keep)

    def _not_repeated(self, batch: TickBatch, partition: Ints, keep: Mask) -> Mask:
        if self.duplicates is None:
            return keep
        values = batch.values[: batch.size]
        if keep.all():
            return self.duplicates.fresh(partition, values[:, FEED_SESSION], values[:, FEED_SEQ])
        fresh = keep.copy()
        fresh[keep] = self.duplicates.fresh(
            partition[keep], values[keep, FEED_SESSION], values[keep, FEED_SEQ]
        )
        return fresh

    def _second_look(self, messages: list[Message], decoded: DecodedTicks) -> Mask:
        """Read what the compiled loop could not: other versions of the contract, and no ticks."""
        keep = decoded.error_at < 0
        for row in np.flatnonzero(~keep).tolist():
            received = received_record(raw_records([messages[row]])[0], self._codec)
            try:
                self._fill(decoded.batch, row, received.decode())
                keep[row] = True
            except MalformedRecord as exc:
                if self._on_malformed is None:
                    where = f"{received.topic}/{received.partition} offset {received.offset}"
                    message = f"{where} is no tick: {exc}; on_malformed takes such values"
                    raise MalformedRecord(message, exc.offset) from exc
                self._on_malformed(received, exc)
        if self._prefix == NO_PREFIX:
            self._prefix = _tick_prefix(self._framing)
        return keep

    def _fill(self, batch: TickBatch, row: int, decoded: Decoded) -> None:
        if decoded.subject != "tick":
            raise MalformedRecord(f"the value is a {decoded.subject or 'record of another kind'}")
        try:
            fill_row(batch, row, decoded.record)
        except RecordError as exc:
            raise MalformedRecord(str(exc)) from exc
        for column in range(FIELD_COUNT):
            group = group_of(column)
            if group and not batch.groups[row] & group:
                batch.values[row, column] = ABSENT


def received_record(raw: RawRecord, codec: AvroCodec) -> ReceivedRecord:
    """The record, to be decoded. One with a header name that is not UTF-8 comes without headers."""
    return ReceivedRecord(*raw[:5], raw.value or b"", raw.headers, codec)


def _values(messages: list[Message]) -> list[bytes]:
    """The values, a tombstone's as no bytes."""
    values: list[Any] = list(map(Message.value, messages))
    return [value or b"" for value in values] if None in values else values


def _tick_prefix(framing: Framing) -> bytes:
    """What most values begin with. A registry that has no tick yet gives none: then each value is
    read by the schema that it names."""
    try:
        return framing.prefix("tick", 1)
    except UnknownSchema:
        return NO_PREFIX
