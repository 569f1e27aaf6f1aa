"""The pump: from the journal to acknowledged Kafka records.

It reads the journal from the acknowledged position, decodes and checks a chunk at a time, and
publishes good rows to ``ticks``. When Kafka has those, the chunk's dead letters and events follow
by a producer of their own (``side_records``), and when these are in Kafka or put aside on the disk,
the position moves behind the chunk. A crash, an outage and a failed producer are one case to it: go
back and publish again. Consumers drop the repeats by ``(feed_session, feed_seq)``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import orjson
import structlog

from kite_broker_zerodha.frames import FRAME_INDEX, decode_frames
from kite_broker_zerodha.packets import MAX_FRAME_ROWS
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import TS_EVENT_NS, TickBatch, Verdict
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.errors import ProducerFatal
from kite_kafka_io.framing import Framing
from kite_kafka_io.producer import BATCH_BYTES, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.counters import Counters
from kite_live_feed.intake import ORDER_UPDATE
from kite_live_feed.journal import AckCursor, Chunk, JournalReader, Position
from kite_live_feed.journal.scan import Damage
from kite_live_feed.journal.sequence import Sequence
from kite_live_feed.refused import RefusedStore
from kite_live_feed.replay import ReplayCursor, ReplayReader
from kite_live_feed.shards import Fence, Frames, newest_frames, superseded
from kite_live_feed.side_records import (
    ChunkInFlight,
    SideRecord,
    SideRecords,
    letter_of_damage,
    letter_of_row,
)
from kite_live_feed.topics import Topics
from kite_runtime.clock import Clock, SystemClock

log = structlog.get_logger()

CHUNK_BYTES: Final = 256 * 1024
SMALL_BYTES: Final = 32 * 1024
PACE_S: Final = 0.001
"""The rest after a chunk of less than ``SMALL_BYTES``: requests to Kafka for a few ticks each would
cost both sides more than the ticks (docs/performance.md)."""
PRODUCER_RETRY_S: Final = 1.0
LETTERS_A_STEP: Final = 250
"""A frame may announce 65,535 packets that are none: as many dead letters, of 0.1 ms each."""
DONE: Final = object()
BATCH_BYTES_MIN: Final = 16 * 1024
CLOCK_RETRY_S: Final = 30.0
"""How soon ticks are sent again that Kafka refused for their time: a person corrects the clock."""
TS_RECV: Final = FRAME_INDEX.index("ts_recv_ns")


@dataclass
class Pump:
    """Moves the journal into Kafka. Not thread-safe: one loop calls :meth:`step` and the rest."""

    reader: JournalReader | ReplayReader
    cursor: AckCursor | ReplayCursor
    kafka: KafkaSettings
    framing: Framing
    topics: Topics
    counters: Counters
    _: KW_ONLY
    clock: Clock = field(default_factory=SystemClock)
    refused: RefusedStore | None = None
    """Takes what Kafka refuses for good; without it such a record is sent again and again."""
    orders: bool = False
    """Publish order postbacks."""
    sharded: bool = False
    """Keep the books of shards that change hands."""
    wake_by: int | None = None
    """A byte is written to this file descriptor when there is something to :meth:`collect`."""
    pace_s: float = PACE_S
    """The rest after a small chunk."""
    make_producer: Callable[..., RecordProducer] = RecordProducer
    on_damage: Callable[[Damage], None] = lambda _: None
    """Hears of each damage of the journal once, however often it is read."""

    def __post_init__(self) -> None:
        self._bounds = tick_bounds()
        self._codec = AvroCodec(self.framing)
        self._chunks: deque[ChunkInFlight] = deque()
        """Their ticks are on their way."""
        self._behind: deque[ChunkInFlight] = deque()
        """Kafka has their ticks; the first of them waits for its dead letters or events."""
        self._ticks_to = self.cursor.position
        """Kafka has all ticks before it."""
        self._batch = TickBatch(MAX_FRAME_ROWS)  # any frame fits; memory is touched as used
        self._producer: RecordProducer | None = None
        self._producer_due = 0.0
        self._batch_bytes = BATCH_BYTES
        open_side = partial(self._open, gapless=False)
        self.side = SideRecords(open_side, self.counters, self.clock, self.refused)
        self.acked_ns: dict[int, int] = {}
        """Shard → receive time of its last frame that Kafka has; kept for a sharded bridge."""
        self.fences: frozenset[Fence] = frozenset()
        """What lies behind them is another bridge's to publish."""
        self.clock_problem: str | None = None
        """Kafka refuses ticks because this host's clock is wrong."""
        self.held_up = False
        """The last step found no room in the producer."""
        self._steps: Iterator[None] | None = None
        """The rest of the chunk that is being published, which is not among ``_chunks`` yet."""
        self._begun = ChunkInFlight(self._ticks_to)
        self._sequence = Sequence()
        self._damage_to = self.cursor.position
        """Damage before it is reported."""
        self._rested_s = 0.0
        """When the rest after a small chunk is over."""

    @property
    def oldest_recv_ns(self) -> int:
        """Receive time of the oldest frame whose ticks are on their way, 0 when there is none."""
        return next((chunk.oldest_recv_ns for chunk in self._chunks if chunk.frames), 0)

    @property
    def rest_s(self) -> float:
        """How long the next step must wait: frames that come meanwhile are published together."""
        return max(0.0, self._rested_s - self.clock.monotonic_s())

    @property
    def idle(self) -> bool:
        return self._steps is None and not self._chunks and not self._behind

    def done(self, end: Position) -> bool:
        return self.idle and self.cursor.position >= end

    def only_refused(self, end: Position) -> bool:
        """Of all before ``end`` only what Kafka refuses is missing there: Kafka itself answers."""
        return (
            bool(self.side.problems)
            and self._steps is None
            and not self._chunks
            and self._ticks_to >= end
        )

    def step(self) -> bool:
        """Publish one chunk of the journal; False where there was none, or it was not the time.

        A chunk with many dead letters takes several steps, none of them long. Without room for one
        it is ``held_up``, until there are acknowledgements.
        """
        producer = self._ready_producer()
        if producer is None or producer.fatal is not None or self.rest_s > 0:
            return False
        if self._steps is None:
            self.held_up = producer.capacity_left == 0 or self.side.full
            chunk = None if self.held_up else self.reader.read_chunk(CHUNK_BYTES)
            if chunk is None:
                return False
            if chunk.buffer.size < SMALL_BYTES:
                self._rested_s = self.clock.monotonic_s() + self.pace_s
            self._begun = ChunkInFlight(chunk.position_after)
            self._steps = self._publish(producer, chunk, self._begun)
        try:
            if next(self._steps, DONE) is DONE:
                self._chunks.append(self._begun)
                self._steps = None
        except ProducerFatal as error:
            self._start_over(producer, str(error))
        return True

    def collect(self) -> None:
        producer, in_flight = self._producer, 0
        if producer is not None:
            producer.poll(0)
            in_flight = producer.in_flight
            if producer.fatal is not None:
                self._start_over(producer, producer.fatal)
        if self._chunks and self._chunks[0].delivery.ok:
            self._book_ticks()
        self.side.collect()
        self.counters.in_flight = in_flight + self.side.in_flight
        if self._behind and not self._behind[0].side_left:
            self._acknowledge()

    def _book_ticks(self) -> None:
        """Kafka has the ticks of these chunks; now their dead letters and events go."""
        now_ns, chunks, behind = self.clock.now_ns(), self._chunks, self._behind
        self.clock_problem = None
        while chunks and chunks[0].delivery.ok:
            chunk = chunks.popleft()
            chunk.book(self.counters, now_ns)
            self.acked_ns.update(chunk.newest_ns)
            if chunk.side:
                self.side.send(chunk.side)
                chunk.side = []
            if behind and not chunk.side_left and not behind[-1].side_left:
                behind[-1] = chunk  # one that waits for nothing stands for all before it
            else:
                behind.append(chunk)
        self._ticks_to = chunk.position

    def _acknowledge(self) -> None:
        """Move the position behind all chunks that are done: one write for all of them."""
        behind = self._behind
        while behind and not behind[0].side_left:
            position = behind.popleft().position
        self.cursor.advance(position)

    def wait(self, timeout_s: float) -> None:
        if self._producer is not None and self._chunks:
            self._producer.poll(timeout_s)
        else:
            self.side.wait(timeout_s)

    def close(self) -> int:
        """Leave Kafka; returns how many chunks are unacknowledged. The journal keeps them."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None
        self.side.close()
        return len(self._chunks) + len(self._behind)

    def _ready_producer(self) -> RecordProducer | None:
        if self._producer is None and self.clock.monotonic_s() >= self._producer_due:
            self._producer = self._open(gapless=True)
        return self._producer

    def _open(self, *, gapless: bool) -> RecordProducer:
        producer = self.make_producer(
            self.kafka,
            framing=self.framing,
            ticks_topic=self.topics.ticks,
            dead_topic=self.topics.dead,
            gapless=gapless,
            batch_bytes=self._batch_bytes,
        )
        if self.wake_by is not None:
            producer.wake_by(self.wake_by)
        return producer

    def _start_over(self, producer: RecordProducer, reason: str) -> None:
        producer.close()
        if producer.refused_time:
            reason = self._wrong_clock()
        log.warning("the producer failed; publishing again from the journal", reason=reason)
        if producer.refused_size and self._batch_bytes > BATCH_BYTES_MIN:
            self._batch_bytes //= 2
            log.warning("Kafka refuses batches of this size: smaller ones", bytes=self._batch_bytes)
        self._producer = None
        wait_s = CLOCK_RETRY_S if producer.refused_time else PRODUCER_RETRY_S
        self._producer_due = self.clock.monotonic_s() + wait_s
        self.counters.producer_restarts += 1
        begun = [] if self._steps is None else [self._begun]
        for chunk in (*self._chunks, *begun):
            self.side.drop(chunk.side)
        self._chunks.clear()
        self._steps = None
        self.reader.seek(self._ticks_to)
        self._sequence.forget()

    def _wrong_clock(self) -> str:
        """The sentence, with this host's time and the exchange's in the last ticks, as they are."""
        size = self._batch.size
        newest_ns = int(self._batch.values[:size, TS_EVENT_NS].max()) if size else 0
        exchange = _utc(newest_ns) if newest_ns > 0 else "not in the last ticks"
        self.clock_problem = (
            f"Kafka refuses the time of the ticks: this host's clock shows "
            f"{_utc(self.clock.now_ns())}, and the exchange's time is {exchange}; correct the "
            "clock (NTP), ticks are journaled and sent again"
        )
        return self.clock_problem

    def _publish(
        self, producer: RecordProducer, chunk: Chunk, entry: ChunkInFlight
    ) -> Iterator[None]:
        """Hand the chunk over, with a rest after each LETTERS_A_STEP dead letters."""
        frames = self._of_this_bridge(chunk.frames)
        if len(frames):
            entry.oldest_recv_ns = int(frames[0, TS_RECV])
            entry.frames = len(frames)
            if self.sharded:
                entry.newest_ns = newest_frames(frames)
            yield from self._publish_frames(producer, chunk, frames, entry)
        for event in chunk.events:
            record = orjson.loads(event)
            if ORDER_UPDATE in record:
                self._add_order(record[ORDER_UPDATE], entry)
                continue
            key = f"{record['feed']}-{record['shard']}".encode()
            value = self._codec.encode("feed_event", record)
            self._add_side(SideRecord(entry, self.topics.events, key, value))
        breaks = self._sequence.breaks(chunk) if chunk.earlier else []
        for damage in chunk.damage + breaks:
            letter = letter_of_damage(damage, chunk.buffer, self.clock.now_ns())
            self._add_dead(letter, entry)
            if chunk.position_after > self._damage_to:
                self.counters.journal_damage += 1
                self.on_damage(damage)
        self._damage_to = max(self._damage_to, chunk.position_after)

    def _add_order(self, order: dict[str, Any], entry: ChunkInFlight) -> None:
        if not self.orders:
            return  # journaled by a run that was to publish them
        key = (order["order_id"] or "").encode() or None
        value = self._codec.encode(ORDER_UPDATE, order)
        self._add_side(SideRecord(entry, self.topics.orders, key, value))

    def _of_this_bridge(self, frames: Frames) -> Frames:
        """Without the frames that another bridge has taken over; the journal keeps them."""
        if not self.fences or not len(frames):
            return frames
        behind = superseded(frames, self.fences)
        self.counters.frames_superseded += int(np.count_nonzero(behind))
        return frames[~behind]

    def _publish_frames(
        self, producer: RecordProducer, chunk: Chunk, frames: Frames, entry: ChunkInFlight
    ) -> Iterator[None]:
        batch, done = self._batch, 0
        while done < len(frames):
            taken = decode_frames(chunk.buffer, frames[done:], batch, self._bounds)
            done += taken
            entry.packets += batch.size
            taken_ticks = producer.produce_ticks(batch, entry.delivery)
            entry.ticks += taken_ticks
            self.counters.ticks_published += taken_ticks
            if taken_ticks < batch.size:
                yield from self._add_faults(chunk, batch, entry)

    def _add_faults(self, chunk: Chunk, batch: TickBatch, entry: ChunkInFlight) -> Iterator[None]:
        faulty = np.flatnonzero(batch.verdict[: batch.size] != Verdict.OK).tolist()
        for count, row in enumerate(faulty, start=1):
            self._add_dead(letter_of_row(batch, row, chunk.buffer), entry)
            if count % LETTERS_A_STEP == 0:
                yield

    def _add_dead(self, letter: DeadLetter, entry: ChunkInFlight) -> None:
        self.counters.dead_published += 1
        self._add_side(SideRecord(entry, self.topics.dead, letter.key(), letter.raw, letter))

    def _add_side(self, record: SideRecord) -> None:
        record.chunk.side.append(record)
        record.chunk.side_left += 1
        self.side.hold(record)


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).isoformat()
