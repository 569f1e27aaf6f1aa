"""Dead letters and feed events on their way to Kafka, by a producer of their own.

What Kafka refuses here must not concern the ticks. Each topic has a lane, a queue in order. A
refusal of the topic (missing, no right to write) stops the lane: its first record is tried again
now and then, alone, and after half a minute all that wait are put aside in a file; from then on
what comes is put aside at once, until the topic takes the record that is tried. A record that is
refused for what it is (too large) is put aside at once and stops nothing; because Kafka answers
for a batch as a whole, that verdict counts only for a record that was sent by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from kite_contracts.reasons import ReasonCode, reason_of
from kite_contracts.tick_batch import FEED_SEQ, FEED_SESSION, TS_RECV_NS, TickBatch, Verdict
from kite_contracts.tick_rows import tick_record
from kite_contracts.validate import explain
from kite_kafka_io.dead_letters import DeadLetter, Headers
from kite_kafka_io.errors import (
    ProducerFatal,
    QueueFull,
    RecordRefused,
    RecordTooLarge,
    UnknownTopic,
)
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_live_feed.counters import Counters
from kite_live_feed.journal import Position
from kite_live_feed.journal.scan import Damage
from kite_live_feed.refused import RefusedRecord, RefusedStore
from kite_runtime.clock import Clock

log = structlog.get_logger()

RETRY_S: Final = 0.5
REFUSED_FOR_S: Final = 30.0
"""How long the first record of a topic is retried before all that wait are put aside."""
STORE_S: Final = 0.1
STORE_RECORDS: Final = 1_000
"""At most this many are written to the disk, synced, and this often: the loop waits for it."""
WINDOW: Final = 1_000
"""Records of a topic that are in Kafka's hands at once."""
BYTES_MAX: Final = 64 * 1024 * 1024
"""What all side records together may hold in memory; more stay in the journal."""
_OVERHEAD_BYTES: Final = 1_000


_UNSENT: Final = Delivery()
"""Of all that were not sent yet: one frame may hold 65,535 dead letters. Never changed."""


@dataclass(slots=True)
class SideRecord:
    """A dead letter or an event: what travels beside the ticks, by a producer of its own."""

    chunk: ChunkInFlight
    topic: str
    key: bytes | None
    value: bytes
    letter: DeadLetter | None = None
    """What the record is made of; None for an event."""
    delivery: Delivery = _UNSENT
    """Of the last attempt."""
    alone: bool = False
    """It was refused as unfit, perhaps because of others in its batch: it is sent by itself now."""

    @property
    def headers(self) -> Headers:
        """Made each time they are needed: they take five times the memory of the letter."""
        return [] if self.letter is None else self.letter.headers()


@dataclass
class ChunkInFlight:
    """One chunk of the journal: its ticks have been handed to the producer, or Kafka has them."""

    position: Position
    """Where the acknowledged position moves to when the chunk is done."""
    delivery: Delivery = field(default_factory=Delivery)
    side: list[SideRecord] = field(default_factory=list)
    """They are sent when Kafka has the ticks, so that publishing again does not repeat them."""
    side_left: int = 0
    """Those that Kafka has not acknowledged and that are not put aside."""
    ticks: int = 0
    packets: int = 0
    oldest_recv_ns: int = 0
    frames: int = 0
    newest_ns: dict[int, int] = field(default_factory=dict)
    """Shard → receive time of its last frame here; kept where shards change hands."""

    def book(self, counters: Counters, now_ns: int) -> None:
        counters.packets_decoded += self.packets
        counters.ticks_acked += self.ticks
        if self.oldest_recv_ns:
            counters.last_ack_latency_ns = max(0, now_ns - self.oldest_recv_ns)
            counters.latency.observe(counters.last_ack_latency_ns / 1e9, self.frames)


@dataclass
class _Lane:
    """One topic. A record goes through ``waiting``, ``sent`` and perhaps ``refused`` or ``doomed``,
    the newest is in ``waiting``."""

    topic: str
    waiting: deque[SideRecord] = field(default_factory=deque)
    sent: deque[SideRecord] = field(default_factory=deque)
    refused: list[SideRecord] = field(default_factory=list)
    """Answered; what was sent with them is not yet, and nothing more is sent until it is."""
    doomed: list[SideRecord] = field(default_factory=list)
    """Will be put aside."""
    since_s: float | None = None
    """Since when the topic refuses, on the monotonic clock; None while it does not."""
    problem: str = ""
    """Why it refuses."""
    given_up: bool = False
    due_s: float = 0.0
    store_due_s: float = 0.0

    def accept(self) -> None:
        """The topic takes records; the next time that it does not gets its whole half minute."""
        self.since_s, self.problem, self.given_up = None, "", False

    def back(self, records: list[SideRecord]) -> None:
        """These wait again, before all others."""
        self.waiting.extendleft(reversed(records))

    @property
    def may_send(self) -> bool:
        """Whether the first that waits may go now, as to what is on its way."""
        if not self.waiting or self.refused:
            return False
        if self.since_s is not None or self.waiting[0].alone or (self.sent and self.sent[-1].alone):
            return not self.sent
        return len(self.sent) < WINDOW


@dataclass
class SideRecords:
    """Everything that is not a tick. Not thread-safe: the pump's loop calls it."""

    open_producer: Callable[[], RecordProducer]
    counters: Counters
    clock: Clock
    aside: RefusedStore | None
    """Without it a record that Kafka does not take is sent again and again."""
    _producer: RecordProducer | None = None
    _producer_due_s: float = 0.0
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _bytes: int = 0

    @property
    def full(self) -> bool:
        """No more should come before some of those that are here have gone."""
        return self._bytes >= BYTES_MAX

    @property
    def in_flight(self) -> int:
        """Records that Kafka has and has not answered for."""
        return 0 if self._producer is None else self._producer.in_flight

    @property
    def problems(self) -> dict[str, str]:
        """Topic → why it refuses what is sent to it now."""
        return {lane.topic: lane.problem for lane in self._lanes.values() if lane.problem}

    def forgive(self, topics: Iterable[str]) -> None:
        """Kafka takes records of these again; what waits for them finds out by itself."""
        for topic in topics:
            lane = self._lanes.get(topic)
            if lane is not None and not (lane.waiting or lane.sent or lane.refused):
                lane.accept()

    def hold(self, record: SideRecord) -> None:
        """It is in memory now, and will be handed over by ``send`` or ``drop``."""
        self._bytes += len(record.value) + _OVERHEAD_BYTES

    def drop(self, records: Iterable[SideRecord]) -> None:
        """Forget records that were never sent."""
        for each in records:
            self._bytes -= len(each.value) + _OVERHEAD_BYTES

    def send(self, records: Iterable[SideRecord]) -> None:
        """Send these, after those that came before them."""
        for each in records:
            self._lanes.setdefault(each.topic, _Lane(each.topic)).waiting.append(each)

    def collect(self) -> None:
        """Take in answers, send what may be sent, put aside what is refused for good."""
        producer = self._producer
        if producer is not None:
            producer.poll(0)
            if producer.fatal is not None:
                self._replace(producer, producer.fatal)
        for lane in self._lanes.values():
            if lane.sent:
                self._take_answers(lane)
            if lane.may_send and self.clock.monotonic_s() >= lane.due_s:
                self._send(lane)
            if lane.doomed and self.clock.monotonic_s() >= lane.store_due_s:
                self._put_aside(lane)

    def wait(self, timeout_s: float) -> None:
        """Block until an answer arrives or the time is up."""
        if self._producer is not None:
            self._producer.poll(timeout_s)

    def close(self) -> None:
        """Leave Kafka; what is not acknowledged is given up."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _take_answers(self, lane: _Lane) -> None:
        while lane.sent and lane.sent[0].delivery.done:
            record = lane.sent.popleft()
            if record.delivery.error is None:
                lane.accept()
                self._book(record)
            else:
                self.counters.side_refusals += 1
                lane.refused.append(record)
        if lane.refused and not lane.sent:
            self._judge(lane)

    def _judge(self, lane: _Lane) -> None:
        """What becomes of those that were refused, when all that was sent is answered."""
        refused, lane.refused = lane.refused, []
        error = next((each.delivery.error for each in refused if not each.delivery.unfit), None)
        crowded = self._bytes >= BYTES_MAX // 2
        if error is None and (refused[0].alone or crowded):
            self._doom(lane, refused)
            return
        for each in refused:
            each.alone = each.delivery.unfit
        lane.back(refused)
        if error is None:
            return
        now = self.clock.monotonic_s()
        lane.due_s = now + RETRY_S
        if lane.since_s is None:
            lane.since_s = now
            log.warning("Kafka refuses records; trying again", topic=lane.topic, reason=error)
        lane.problem = error
        overdue = lane.given_up or crowded or now - lane.since_s >= REFUSED_FOR_S
        if self.aside is not None and overdue:
            answer = Delivery()
            answer.error = error
            for each in lane.waiting:
                each.delivery = answer
            self._doom(lane, lane.waiting)
            lane.waiting.clear()
            if not lane.given_up:
                lane.given_up = True
                log.error(
                    "Kafka refuses records for good; they are put aside until `ws_bridge refused "
                    "--send`",
                    topic=lane.topic,
                    folder=str(self.aside.directory),
                    reason=error,
                )

    def _doom(self, lane: _Lane, records: Iterable[SideRecord]) -> None:
        if self.aside is not None:
            lane.doomed.extend(records)
        else:
            lane.back(list(records))
            lane.due_s = self.clock.monotonic_s() + RETRY_S

    def _put_aside(self, lane: _Lane) -> None:
        """Into the file, and only then done with: the journal's position may go on."""
        assert self.aside is not None
        problem = self.aside.problem
        records = list(islice(lane.doomed, STORE_RECORDS))
        lane.store_due_s, now_ns = self.clock.monotonic_s() + STORE_S, self.clock.now_ns()
        refused = [
            RefusedRecord(
                each.topic, each.key, each.value, each.headers, each.delivery.error or "", now_ns
            )
            for each in records
        ]
        if not self.aside.put_all(lane.topic, refused):
            if problem is None:
                log.error("refused records are not put aside", reason=self.aside.problem)
            lane.back(lane.doomed)
            lane.doomed = []
            lane.due_s = self.clock.monotonic_s() + RETRY_S
            return
        if not lane.given_up:
            log.error(
                "Kafka refuses records for what they are; they are put aside",
                topic=lane.topic,
                count=len(records),
                folder=str(self.aside.directory),
                reason=refused[0].error,
            )
        del lane.doomed[: len(records)]
        self.counters.records_refused[lane.topic] += len(records)
        for each in records:
            self._done(each)

    def _send(self, lane: _Lane) -> None:
        if self._producer is None:
            if self.clock.monotonic_s() < self._producer_due_s:
                return
            self._producer = self.open_producer()
        while lane.may_send:
            record = lane.waiting[0]
            delivery = record.delivery = Delivery()
            try:
                self._producer.produce_record(
                    lane.topic, record.key, record.value, delivery, headers=record.headers
                )
            except QueueFull:
                lane.due_s = self.clock.monotonic_s() + RETRY_S
                return
            except ProducerFatal as fatal:
                lane.sent.append(lane.waiting.popleft())
                self._replace(self._producer, str(fatal))
                return
            except (RecordTooLarge, UnknownTopic, RecordRefused) as refused:
                delivery.error = str(refused)
                delivery.unfit = isinstance(refused, RecordTooLarge)
            lane.sent.append(lane.waiting.popleft())
            if delivery.error is not None:
                return  # an answer already: those behind it would fail alike

    def _replace(self, producer: RecordProducer, reason: str) -> None:
        """A producer that ends takes with it what it had: as if each topic had refused it."""
        log.warning("the producer of dead letters and events failed", reason=reason)
        producer.close()
        self._producer = None
        self._producer_due_s = self.clock.monotonic_s() + RETRY_S
        for lane in self._lanes.values():
            for record in lane.sent:
                if not record.delivery.ok:
                    record.delivery = Delivery()
                    record.delivery.error = reason
            self._take_answers(lane)

    def _book(self, record: SideRecord) -> None:
        if record.letter is None:
            self.counters.events_acked += 1
        else:
            self.counters.dead_acked += 1
            self.counters.dead_letters[record.letter.reason] += 1
        self._done(record)

    def _done(self, record: SideRecord) -> None:
        self._bytes -= len(record.value) + _OVERHEAD_BYTES
        record.chunk.side_left -= 1


CONTRACT: Final = "tick.v1"
RAW_BYTES_MAX: Final = 900_000
"""Below Kafka's usual limit of 1 MB a record; the journal keeps the whole."""

_MESSAGES: Final = {
    Verdict.TRUNCATED: "the frame ends inside this packet, or announced more packets than it holds",
    Verdict.UNKNOWN_PACKET: "Kite documents no packet of this length",
    Verdict.TRAILING_BYTES: "bytes follow the last packet that the frame announced",
}


@lru_cache
def _message(verdict: int, size: int) -> str:
    return f"{_MESSAGES[Verdict(verdict)]} ({size} bytes)"


def letter_of_row(batch: TickBatch, row: int, buffer: npt.NDArray[np.uint8]) -> DeadLetter:
    """The dead letter of one row whose verdict is not OK.

    A row out of bounds is explained by the reference validator, because the compiled bounds know
    only the column.
    """
    verdict = int(batch.verdict[row])
    start, end = int(batch.start[row]), int(batch.end[row])
    session, seq, ts_recv_ns = batch.values[row, [FEED_SESSION, FEED_SEQ, TS_RECV_NS]].tolist()
    if verdict > Verdict.OK:
        message, path = _violation(batch, row)
        unit = "packet"
    else:
        message = _message(verdict, end - start)
        path = None
        unit = "packet" if verdict == Verdict.UNKNOWN_PACKET else "frame-tail"
    raw, message = _bounded(buffer[start:end].tobytes(), message)
    return DeadLetter(
        raw=raw,
        reason=str(reason_of(verdict)),
        message=message,
        error_path=path,
        feed_session=session,
        feed_seq=seq,
        contract=CONTRACT,
        first_failure_ns=ts_recv_ns,
        attempt=1,
        unit=unit,
    )


def letter_of_damage(damage: Damage, buffer: npt.NDArray[np.uint8], found_ns: int) -> DeadLetter:
    """The dead letter of a stretch of the journal that cannot be read."""
    raw, message = _bounded(buffer[damage.start : damage.end].tobytes(), damage.cause)
    return DeadLetter(
        raw=raw,
        reason=str(ReasonCode.JOURNAL_CORRUPT),
        message=message,
        feed_session=damage.feed_session,
        feed_seq=damage.first_seq,
        contract=CONTRACT,
        first_failure_ns=damage.ts_recv_ns if damage.ts_recv_ns is not None else found_ns,
        attempt=1,
        unit="journal",
    )


def _bounded(raw: bytes, message: str) -> tuple[bytes, str]:
    """The bytes as far as a Kafka record takes them; the message mentions a cut."""
    if len(raw) <= RAW_BYTES_MAX:
        return raw, message
    return raw[:RAW_BYTES_MAX], f"{message}; the first {RAW_BYTES_MAX} of {len(raw)} bytes"


def _violation(batch: TickBatch, row: int) -> tuple[str, str | None]:
    record = tick_record(batch, row)
    violation = explain("tick", 1, record)
    if violation is None:
        # The bounds and the reference disagree: a defect of ours, which the record must show.
        return "the compiled bounds refuse what the schema accepts", None
    return violation.message, violation.path
