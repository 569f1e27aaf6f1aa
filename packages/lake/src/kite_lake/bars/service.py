"""`tick_archive bars`: sessions of reading, folding and writing, through every outage.

A partition's state is a function of its ticks up to an offset. It is stored in a compacted topic
after all bars up to there are in Kafka; whoever has the partition next goes on from it and gives
the same bars again that were written after it, byte for byte. An advance of the watermark that came
from the clock of this host, because nothing arrived, is stored before the bars that it closes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import structlog

from kite_kafka_io.columns import TickColumns
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.duplicates import DuplicateFilter
from kite_kafka_io.errors import (
    BrokerUnreachable,
    NotAllowed,
    ProducerFatal,
    ReadError,
    RegistryError,
    RegistryRefused,
    UnknownTopic,
)
from kite_kafka_io.framing import Framing
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.raw_reader import SESSION_MS
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import find_extents
from kite_kafka_io.topics import Place, check_topics, topic_ids
from kite_lake.bars.core import BarRules, Ints, PartitionBars
from kite_lake.bars.counters import BarCounters
from kite_lake.bars.encoding import BarEncoder, Encoded
from kite_lake.bars.gaps import Gap
from kite_lake.bars.loops import FLAWED, OUT_RING, OUT_SLOT, VERSION
from kite_lake.bars.sources import Gaps, Names, stored_states
from kite_runtime.errors import ConfigurationError
from kite_runtime.retry import Backoff

log = structlog.get_logger()

GROUP: Final = "tick-archive.bars"
BATCH_ROWS: Final = 4_000
SEND_ROWS: Final = 1_000
CHECKPOINT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.2
LAG_EVERY_S: Final = 5.0
READ_S: Final = 0.05
ANSWER_S: Final = 30.0
ONCE_PATIENCE_S: Final = 60.0
STATE_BYTES_MAX: Final = 16 * 1024 * 1024
"""As the topic ``bars.state`` takes them."""
_PASSING: Final = (BrokerUnreachable, ReadError, RegistryError, ProducerFatal)
_LASTING: Final = (NotAllowed, RegistryRefused, UnknownTopic)


@dataclass(frozen=True)
class BarTopics:
    """Where ticks come from and bars go."""

    ticks: str = "ticks"
    events: str = "feed.events"
    instruments: str = "instruments"
    bars: str = "bars"
    state: str = "bars.state"
    seconds: str = "bars.seconds"
    """For intervals below a minute."""


@dataclass
class BarsService:
    """Makes bars until ``stop`` is set, or with ``once`` up to where the ticks end at its start.

    ``names`` are token → exchange and symbol, beside those of the topic of instruments. With
    ``once`` every bar is closed at the end, and no group is joined: run it alone.
    """

    kafka: KafkaSettings
    rules: BarRules
    names: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    group: str = GROUP
    topics: BarTopics = field(default_factory=BarTopics)
    once: bool = False
    checkpoint_s: float = CHECKPOINT_S
    stop: threading.Event = field(default_factory=threading.Event)
    counters: BarCounters = field(default_factory=BarCounters)

    def run(self) -> BarCounters:
        """Work until the end. Raises what a person must correct, and with ``once`` TryAgainLater
        when Kafka stays away."""
        backoff, begun, since_s = Backoff(0.4, 30.0), False, time.monotonic()
        while not self.stop.is_set():
            before = self.counters.checkpoints
            try:
                with ExitStack() as opened:
                    session = _Session(self, opened)
                    begun = True
                    try:
                        session.work()
                    except BaseException:
                        session.failed = True  # nothing of it may be stored while it closes
                        raise
                break
            except _PASSING as exc:
                if self.counters.checkpoints != before:
                    backoff, since_s = Backoff(0.4, 30.0), time.monotonic()
                if isinstance(exc, _LASTING):
                    raise
                waited_s = time.monotonic() - since_s
                if self.once and (not begun or waited_s > ONCE_PATIENCE_S):
                    raise
                self.counters.trouble = str(exc)
                self.counters.kafka_errors += 1
                log.error("kafka cannot be used now", reason=str(exc))
            self.stop.wait(backoff.next_wait_s(time.monotonic()))
        return self.counters


@dataclass
class _Partition:
    """One that this process has. ``offset`` is that of the tick to read next."""

    bars: PartitionBars
    offset: int
    heard_s: float
    """When its last tick came, or the watermark was moved by the clock."""
    stored: int = -1
    """The offset of its last stored state."""


class _Session:
    """From the stored states to the first trouble."""

    def __init__(self, service: BarsService, opened: ExitStack) -> None:
        self.failed = False
        self._service = service
        self._counters = service.counters
        self._topics = topics = service.topics
        kafka = service.kafka
        outputs = {_topic(interval, topics) for interval in service.rules.intervals}
        check_topics(kafka, [topics.ticks, topics.events, topics.state, *sorted(outputs)])
        self._topic_id = str(topic_ids(kafka, [topics.ticks])[topics.ticks])
        framing = open_framing(kafka)
        self._encoders = {each: BarEncoder(each, framing) for each in service.rules.intervals}
        self._partitions: dict[int, _Partition] = {}
        self._filter = DuplicateFilter()
        self._unnamed: set[int] = set()
        self._gaps = opened.enter_context(closing(Gaps(kafka, topics.events, framing)))
        self._names = opened.enter_context(
            closing(Names(kafka, topics.instruments, framing, service.names))
        )
        self._gaps.read()
        self._has_names = self._read_names()
        large = replace(kafka, message_max_bytes=STATE_BYTES_MAX)
        self._states = opened.enter_context(closing(RecordProducer(large, gapless=False)))
        self._producer = opened.enter_context(closing(RecordProducer(kafka, framing=framing)))
        self._delivery = Delivery()
        self._reader = self._open(framing)
        opened.enter_context(closing(self._reader))

    def _read_names(self) -> bool:
        """Whether there is a topic of instruments."""
        try:
            check_topics(self._service.kafka, [self._topics.instruments])
        except UnknownTopic:
            there = False
        else:
            self._names.read()
            there = True
        if not self._names.known:
            raise ConfigurationError(
                f"no instrument has a name: the topic {self._topics.instruments} is empty. Run "
                "`instruments sync` with Kafka set, or name a file with --tokens"
            )
        return there

    def _open(self, framing: Framing) -> TickReader:
        kafka, ticks = self._service.kafka, self._topics.ticks
        common: dict[str, Any] = {
            "framing": framing,
            "duplicates": None,
            "on_malformed": self._on_malformed,
            "batch_rows": BATCH_ROWS,
            "start": "earliest",
        }
        if not self._service.once:
            common["config"] = {"session.timeout.ms": SESSION_MS}
            return TickReader(kafka, ticks, group=self._service.group, placement=self, **common)
        extents = find_extents(kafka, [ticks], self._service.group)
        begun = self.assigned(list(extents))
        offsets = {place[1]: offset for place, offset in begun.items()}
        for place, extent in extents.items():
            if offsets.get(place[1], 0) < extent.low or offsets.get(place[1], 0) > extent.high:
                offsets.pop(place[1], None)
        return TickReader(kafka, ticks, from_offsets=offsets, until_end=True, **common)

    def _on_malformed(self, *_: object) -> None:
        self._counters.malformed += 1

    # Placement

    def assigned(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Go on from the stored states."""
        found = stored_states(
            self._service.kafka, self._topics.state, self._topic_id, self._service.rules
        )
        begun: dict[Place, int] = {}
        known = dict(self._filter.known)
        for place in places:
            number = place[1]
            now_s = time.monotonic()
            if number in found:
                offset, bars, sessions = found[number]
                begun[place] = offset
                self._partitions[number] = _Partition(bars, offset, now_s, offset)
                known |= {(number, session): seq for session, seq in sessions.items()}
            else:
                bars = PartitionBars(self._service.rules)
                self._partitions[number] = _Partition(bars, -1, now_s)
        self._filter = DuplicateFilter(known=known)
        log.info("partitions assigned", begin={place[1]: begun.get(place) for place in places})
        for place in places:
            # A watermark that was moved by the clock is stored before what it closes.
            self._emit(self._partitions[place[1]].bars, self._partitions[place[1]].bars.close())
        return begun

    def revoked(self, places: Sequence[Place]) -> None:
        """Store what is there for the next owner, and forget it."""
        numbers = {place[1] for place in places}
        log.info("partitions revoked", partitions=sorted(numbers))
        try:
            if not self.failed:
                self._store([number for number in numbers if number in self._partitions])
        except _PASSING as exc:
            log.warning("the state is not stored; the next owner reads more", reason=str(exc))
        for number in numbers:
            self._partitions.pop(number, None)
        known = {pair: seq for pair, seq in self._filter.known.items() if pair[0] not in numbers}
        self._filter = DuplicateFilter(known=known)

    # Work

    def work(self) -> None:
        """Until the end, or until Kafka is away."""
        service, counters = self._service, self._counters
        store_s = time.monotonic() + service.checkpoint_s
        look_s = lag_s = 0.0
        counters.trouble = None
        while not service.stop.is_set() and not self._reader.finished:
            columns = self._reader.poll(READ_S)
            now_s = time.monotonic()
            if columns is not None:
                self._take(columns, now_s)
            self._producer.poll(0.0)
            if self._delivery.error is not None:
                raise ReadError(f"Kafka refused a bar: {self._delivery.error}")
            if now_s >= look_s:
                look_s = now_s + LOOK_EVERY_S
                self._look(now_s)
            if now_s >= lag_s:
                lag_s = now_s + LAG_EVERY_S
                counters.lag = self._reader.lag()
                counters.trouble = self._reader.trouble if columns is None else None
            if now_s >= store_s:
                store_s = now_s + service.checkpoint_s
                self._store(list(self._partitions))
        if service.once and not service.stop.is_set():
            self._close_all(list(self._partitions))
        self._store(list(self._partitions))

    def _take(self, columns: TickColumns, now_s: float) -> None:
        session, seq = columns.column("feed_session"), columns.column("feed_seq")
        before = self._filter.dropped
        fresh = self._filter.fresh(columns.partition, session, seq)
        self._counters.repeats += self._filter.dropped - before
        for number in np.unique(columns.partition).tolist():
            partition = self._partitions.get(number)
            if partition is None:
                continue
            of = columns.partition == number
            partition.offset = int(columns.offset[of][-1]) + 1
            partition.heard_s = now_s
            picked = np.flatnonzero(of & fresh)
            if not picked.size:
                continue
            bars = partition.bars
            self._emit(bars, bars.add(columns.batch, picked))
            self._counters.ticks += int(picked.size)
            self._counters.late += bars.late
            bars.late = 0

    def _look(self, now_s: float) -> None:
        """Gaps that are new, names that are new, and partitions where nothing arrives."""
        for gap in self._gaps.fresh():
            for partition in self._partitions.values():
                self._emit(partition.bars, partition.bars.revise(gap))
        if self._has_names:
            self._names.refresh()
        marks = [each.bars.watermark_ns for each in self._partitions.values()]
        self._counters.watermark_ns = min((mark for mark in marks if mark), default=0)
        if self._service.once:
            return
        idle_s = self._service.rules.idle_ns / 1e9
        silent = []
        for number, partition in self._partitions.items():
            waited_s = now_s - partition.heard_s
            bars = partition.bars
            if waited_s >= idle_s and bars.latest_ns:
                target_ns = bars.latest_ns + int(waited_s * 1e9)
                if bars.closes_by(target_ns):
                    silent.append((number, target_ns))
        # Ticks that are in Kafka and not read yet are no silence.
        if silent and self._reader.lag() == 0:
            for number, target_ns in silent:
                self._partitions[number].bars.advance(target_ns)
            self._store_and_close([number for number, _ in silent])

    def _close_all(self, numbers: list[int]) -> None:
        for number in numbers:
            bars = self._partitions[number].bars
            if bars.latest_ns:
                bars.advance(bars.end_ns())
        self._store_and_close(numbers)

    def _store_and_close(self, numbers: list[int]) -> None:
        """Give out what the clock has made final, which whoever goes on from here must do too."""
        self._store(numbers, force=True)
        for number in numbers:
            partition = self._partitions[number]
            self._emit(partition.bars, partition.bars.close())
            partition.stored = -1

    def _emit(self, bars: PartitionBars, rows: Ints) -> None:
        """Write bars, those in gaps marked."""
        if not len(rows):
            return
        opens = rows[:, OUT_SLOT]
        longest_ns = max(self._service.rules.intervals.values())
        gaps: list[Gap] = self._gaps.of(int(opens.min()), int(opens.max()) + longest_ns)
        bars.mark(rows, gaps)
        unnamed: set[int] = set()
        for number in np.unique(rows[:, OUT_RING]).tolist():
            interval = bars.names[number]
            encoder = self._encoders[interval]
            of = rows[rows[:, OUT_RING] == number]
            values, missing, left_out = encoder.encode(of, bars.tokens, self._names.known)
            self._send(_topic(interval, self._topics), values)
            self._counters.written[interval] += len(values.ends)
            self._counters.unnamed += left_out
            unnamed |= missing
        self._counters.revisions += int(np.count_nonzero(rows[:, OUT_SLOT + VERSION] > 1))
        self._counters.incomplete += int(np.count_nonzero(rows[:, OUT_SLOT + FLAWED]))
        if new := unnamed - self._unnamed:
            self._unnamed |= new
            log.warning("instruments without a name have no bars", tokens=sorted(new)[:10])

    def _send(self, topic: str, values: Encoded) -> None:
        """Enqueue in parts, waiting while Kafka is behind."""
        begin = 0
        count = min(SEND_ROWS, self._service.kafka.max_in_flight)
        for at in range(0, len(values.ends), count):
            ends, tokens = values.ends[at : at + count], values.tokens[at : at + count]
            while self._producer.capacity_left < len(ends):
                self._producer.poll(0.1)
                if self._service.stop.is_set():
                    raise BrokerUnreachable("Kafka takes no more bars; stopped while waiting")
            data = values.data[begin : int(ends[-1])]
            self._producer.produce_values(topic, data, ends - begin, tokens, self._delivery)
            begin = int(ends[-1])

    def _store(self, numbers: list[int], force: bool = False) -> None:
        """Store the states, after all bars before them are in Kafka.

        Raises BrokerUnreachable when Kafka does not take them.
        """
        self._producer.flush(ANSWER_S)
        if not self._delivery.ok:
            raise BrokerUnreachable(
                f"Kafka has not taken all bars: {self._delivery.error or 'no answer'}"
            )
        changed = [
            (number, partition)
            for number in sorted(numbers)
            if (partition := self._partitions[number]).offset >= 0
            and (force or partition.offset != partition.stored)
        ]
        if not changed:
            return
        self._delivery = Delivery()
        delivery = Delivery()
        known = self._filter.known
        for number, partition in changed:
            sessions = {str(pair[1]): seq for pair, seq in known.items() if pair[0] == number}
            header = {"topic": self._topic_id, "offset": partition.offset, "sessions": sessions}
            value = partition.bars.dump(header)
            self._states.produce_record(self._topics.state, str(number).encode(), value, delivery)
        self._states.flush(ANSWER_S)
        if not delivery.ok:
            raise BrokerUnreachable(
                f"Kafka has not taken the state of the bars: {delivery.error or 'no answer'}"
            )
        for _, partition in changed:
            partition.stored = partition.offset
        self._counters.checkpoints += 1
        if not self._service.once:
            ticks = self._topics.ticks
            self._reader.commit_offsets({(ticks, number): one.offset for number, one in changed})


def _topic(interval: str, topics: BarTopics) -> str:
    """Where an interval's bars go."""
    return topics.seconds if interval.startswith("s") else topics.bars
