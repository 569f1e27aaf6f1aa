"""Records as they are in Kafka, in batches: for those who must read whatever is there.

Unlike ``RecordReader``, ``RawReader`` never looks at what a value or a header holds. Its memory is
bounded by bytes and not by records, because a dead-letter topic holds records of ten bytes and of a
megabyte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import Message

from kite_kafka_io.client import NAMES_PROBLEM, RawHeaders, message_headers
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.source import Source
from kite_kafka_io.spans import Span, find_ranges
from kite_kafka_io.topics import Place, Ranges

BATCH_RECORDS: Final = 50
"""More at once cost more each, half as much again at 250: they do not stay in the cache."""
BATCH_BYTES: Final = 8 * 1024 * 1024
PREFETCH_KIB: Final = 16 * 1024
FETCH_BYTES: Final = 1024 * 1024
"""A partition's share of one answer; it may be compressed, and one batch is always given whole."""

SESSION_MS: Final = 10_000
"""How long the partitions of a member that was killed wait for another."""

_NS_PER_MS: Final = 1_000_000


class RawRecord(NamedTuple):
    """One record. ``ts_ns`` is when it was written (whole milliseconds), as Kafka has it.

    ``problems`` are what of it could not be read: a header name that is not UTF-8 hides all
    headers.
    """

    topic: str
    partition: int
    offset: int
    ts_ns: int | None
    key: bytes | None
    value: bytes | None
    headers: RawHeaders
    problems: tuple[str, ...] = ()


_MAKE: Final = partial(tuple.__new__, RawRecord)
"""RawRecord of an iterable, in half the time of calling it."""


class Reader:
    """What all readers share: the end, librdkafka's complaints, commits and closing."""

    _source: Source

    @property
    def finished(self) -> bool:
        """Whether the end was reached; never for a reader without one."""
        return self._source.finished

    @property
    def trouble(self) -> str | None:
        """librdkafka's last complaint, such as brokers that do not answer."""
        return self._source.trouble

    def commit(self) -> None:
        """Save for the group that everything given out so far is handled, and wait for it.

        Raises BrokerUnreachable, after which it can be called again, and ReadError.
        """
        self._source.commit(wait=True)

    def lag(self) -> int:
        """How many offsets are left to read, as of the brokers' last answers. Raises ReadError."""
        return self._source.lag()

    def close(self) -> None:
        """Leave without committing."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RawReader(Reader):
    """All records of ``topics`` in ``span``, up to the ends that the topics have now.

    With ``follow`` it goes on with what comes. With ``group`` it begins where the group's progress
    is, and ``commit`` saves what was given out: call it when that is safe elsewhere. A follower
    with a group shares the topics with the group's other members, and then ``span`` has no say but
    for its times. ``ranges`` are what to read where ``find_ranges`` was asked before. Raises
    BrokerUnreachable, UnknownTopic and ConfigurationError.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        span: Span | None = None,
        group: str | None = None,
        follow: bool = False,
        ranges: Ranges | None = None,
    ) -> None:
        self._span = span if span is not None else Span()
        self._timed = self._span.from_ns is not None or self._span.until_ns is not None
        self._average_bytes = 0.0
        self.arrived = 0
        """Records that came so far, also those that the span's times leave out."""
        self._group = group
        self.ranges = ranges
        if ranges is None and not (follow and group is not None):
            self.ranges = find_ranges(settings, topics, self._span, group=group, follow=follow)
        self._source = Source(
            settings,
            topics,
            group=group,
            start="earliest",
            ranges=self.ranges,
            config={**_fetch_config(settings), "session.timeout.ms": SESSION_MS},
        )

    @property
    def total(self) -> int | None:
        """How many offsets there are from the beginning to the end; None for a follower."""
        if self.ranges is None:
            return None
        known = [max(0, end - first) for first, end in self.ranges.values() if end is not None]
        return sum(known) if len(known) == len(self.ranges) else None

    def read(self, timeout_s: float) -> list[RawRecord]:
        """What has arrived, none if nothing arrives in time. Raises ReadError or UnknownTopic."""
        count = int(min(BATCH_RECORDS, BATCH_BYTES / max(1.0, self._average_bytes)))
        messages = self._source.read(max(1, count), timeout_s)
        if not messages:
            return []
        self.arrived += len(messages)
        records = raw_records(messages)
        if self._group is not None:
            last: dict[Place, int] = {(each.topic, each.partition): each.offset for each in records}
            for place, offset in last.items():
                self._source.handled(place, offset)
        self._average_bytes = sum([len(each.value or b"") for each in records]) / len(records)
        if self._timed:
            return [each for each in records if self._span.takes(each.ts_ns)]
        return records

    def rewind(self) -> None:
        """Have the group go on where ``ranges`` begin. Left to its other members while it has any.

        Raises what ``commit`` raises.
        """
        for place, (first, _) in (self.ranges or {}).items():
            self._source.handled(place, first - 1)
        self.commit()


def _fetch_config(settings: KafkaSettings) -> dict[str, Any]:
    """How much is fetched at once, and kept: librdkafka properties."""
    return {
        "queued.max.messages.kbytes": PREFETCH_KIB,
        "max.partition.fetch.bytes": FETCH_BYTES,
        "fetch.max.bytes": max(8 * FETCH_BYTES, settings.message_max_bytes),
    }


def raw_records(messages: Sequence[Message]) -> list[RawRecord]:
    """The parts of messages that were delivered without an error.

    ``map`` calls the client library without a step of the interpreter in between, which halves the
    time.
    """
    headers = [message_headers(message) for message in messages]
    parts: Iterator[Any] = zip(
        map(Message.topic, messages),
        map(Message.partition, messages),
        map(Message.offset, messages),
        [ms * _NS_PER_MS if ms >= 0 else None for _, ms in map(Message.timestamp, messages)],
        map(Message.key, messages),
        map(Message.value, messages),
        headers,
        repeat(()),
    )
    records = list(map(_MAKE, parts))
    if None not in headers:
        return records
    hidden: Any = {"headers": [], "problems": (NAMES_PROBLEM,)}
    return [each._replace(**hidden) if each.headers is None else each for each in records]
