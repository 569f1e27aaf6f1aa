"""The producer: ticks in order, everything acknowledged or reported, nothing dropped.

librdkafka is set so that it never gives a record up by time (the journal is the spool) and stops as
a whole when a gap in the ticks would arise. Any failure of a tick, and any tick that the queue does
not take, makes the producer fatal: the caller closes it, makes a new one and publishes again from
its journal; consumers drop the repeats (``duplicates``). That keeps the ticks of an instrument in
order without waiting for acknowledgements between them.

Dead letters and other single records belong to an ordinary producer (``gapless=False``): what Kafka
refuses there is the answer in the record's ``Delivery``, and neither the records after it nor the
ticks of another producer are concerned.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from time import monotonic
from typing import Final

from confluent_kafka import KafkaError

from kite_contracts.tick_batch import TickBatch
from kite_kafka_io.client import ClientLog, settings_refused
from kite_kafka_io.dead_letters import DeadLetter, Headers
from kite_kafka_io.errors import ProducerFatal, QueueFull, RecordRefused, RecordTooLarge
from kite_kafka_io.framing import Framing, SingleObjectFraming
from kite_kafka_io.librdkafka.loops import warm_up as warm_up_loops
from kite_kafka_io.librdkafka.plain_client import open_client
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.tick_codec import RECORD_MAX_BYTES, Bytes, Ints, TickEncoder
from kite_kafka_io.tick_codec import warm_up as warm_up_codec
from kite_kafka_io.topics import explain

_REFUSED_TIME: Final = KafkaError(KafkaError.INVALID_TIMESTAMP).str()
_UNFIT: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)


class DeliveryCounts:
    """How many records a producer took, and what became of them, since it was made."""

    __slots__ = ("enqueued", "acked", "failed")

    def __init__(self) -> None:
        self.enqueued = 0
        self.acked = 0
        self.failed = 0

    @property
    def outstanding(self) -> int:
        """Records that are neither acknowledged nor failed."""
        return self.enqueued - self.acked - self.failed


class Delivery:
    """The outstanding acknowledgements of one chunk of records, all of one producer.

    Hand it to the ``produce_*`` calls. Afterwards ``done`` says whether the broker has answered for
    each record, ``error`` names the first failure, and ``ok`` means that all of them are in Kafka.
    """

    __slots__ = ("outstanding", "error", "unfit", "_counts")

    def __init__(self) -> None:
        self.outstanding = 0
        self.error: str | None = None
        self.unfit = False
        """The first failure is about the record (too large, say), not about the topic."""
        self._counts = DeliveryCounts()

    @property
    def done(self) -> bool:
        """Whether nothing is outstanding (also true before anything was added)."""
        return self.outstanding == 0

    @property
    def ok(self) -> bool:
        """Whether all was acknowledged."""
        return self.outstanding == 0 and self.error is None

    def add(self, count: int, counts: DeliveryCounts) -> None:
        """Expect ``count`` more answers, and keep the producer's ``counts`` of them."""
        self._counts = counts
        self._counts.enqueued += count
        self.outstanding += count

    def report(self, count: int, error: KafkaError | None) -> None:
        """Take the answers of ``count`` records: they are in Kafka, or were given up."""
        self.outstanding -= count
        if error is None:
            self._counts.acked += count
            return
        self._counts.failed += count
        if self.error is None:
            self.error = f"{error.name()}: {error.str()}"
            self.unfit = error.code() in _UNFIT


__all__ = ["Delivery", "RecordProducer", "producer_config", "warm_up"]

PART_ROWS: Final = 8_192
"""Ticks of one frame that are encoded at once: 65,535 are 20 MB beside librdkafka's copy."""
HEADROOM_RECORDS: Final = 131_072
"""What may come on top of ``max_in_flight``: the caller looks at ``capacity_left`` once a chunk,
and one frame may hold 65,535 packets."""
BATCH_BYTES: Final = 1_000_000
"""The largest batch, as librdkafka has it; a topic or a broker may take less."""
SINGLES_MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of unacknowledged single records; raw bytes may be large, and the queue is shared."""
TICK_SUBJECT: Final = "tick"
TICK_VERSION: Final = 1

_CLOSE_POLLS: Final = 100
_POLL_S: Final = 0.1
_RECORD_OVERHEAD_BYTES: Final = 64


def producer_config(
    settings: KafkaSettings,
    *,
    gapless: bool = True,
    batched: bool = True,
    batch_bytes: int = BATCH_BYTES,
) -> dict[str, object]:
    """The librdkafka properties of a ``RecordProducer``."""
    records = settings.max_in_flight + HEADROOM_RECORDS
    tick_bytes = records * (RECORD_MAX_BYTES + _RECORD_OVERHEAD_BYTES)
    own: dict[str, object] = {
        "enable.idempotence": True,
        "acks": "all",
        "max.in.flight.requests.per.connection": 5,
        # Experimental in librdkafka by name; without it a refused batch is skipped: a gap.
        "enable.gapless.guarantee": gapless,
        "message.timeout.ms": 0,
        # Java's partitioner: other producers of the topic agree on a key's partition.
        "partitioner": "murmur2_random",
        "compression.type": settings.compression,
        "linger.ms": settings.linger_ms,
        **({} if batched else {"batch.num.messages": 1}),
        "batch.size": batch_bytes,
        # A missing topic is reported soon; make up creates topics long before they are used.
        "topic.metadata.propagation.max.ms": 5000,
        "message.max.bytes": settings.message_max_bytes,
        # Larger than what we let in, so that the queue is never full in the middle of a batch.
        "queue.buffering.max.messages": 2 * records,
        "queue.buffering.max.kbytes": (tick_bytes + 2 * SINGLES_MAX_BYTES) // 1024,
    }
    return settings.client_config(own)


def warm_up() -> None:
    """Compile what ticks go through, or load it from the user's cache; seconds the first time."""
    warm_up_codec()
    warm_up_loops()


@dataclass(slots=True)
class _Waiting:
    """Records under one number whose answers are outstanding."""

    delivery: Delivery
    topic: str
    left: int
    bytes: int = 0
    """Of a single record: what it takes of ``SINGLES_MAX_BYTES``."""


class RecordProducer:
    """One connection to Kafka for ticks, dead letters and events.

    ``gapless=False`` makes it an ordinary one, which takes single records only: one that is refused
    is no gap there. Kafka answers for a batch as a whole: with ``batched=False`` each record is a
    batch of its own, and a refusal concerns that record alone. Not thread-safe.
    Answers are taken in by ``poll`` and ``flush`` only. ``counts`` is what was enqueued,
    acknowledged and failed; ``fatal`` is None or why this producer must be replaced; ``trouble``
    is librdkafka's last complaint, such as brokers that do not answer. ``refused_size``: Kafka has
    refused a batch as too large; the next producer needs fewer ``batch_bytes``. ``refused_time``:
    Kafka has refused records for their time, which is this host's.
    Raises ConfigurationError if librdkafka refuses the settings; a broker that is away is no error.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        framing: Framing | None = None,
        ticks_topic: str = "ticks",
        dead_topic: str = "ticks.dlq",
        gapless: bool = True,
        batched: bool = True,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self.counts = DeliveryCounts()
        self.fatal: str | None = None
        self.refused_size = False
        self.refused_time = False
        self.trouble: str | None = None
        self._bootstrap = settings.bootstrap
        self._ticks_topic = ticks_topic
        self._dead_topic = dead_topic
        self._max_in_flight = settings.max_in_flight
        self._singles_bytes = 0
        self._gapless = gapless
        self._closed = False
        self._waiting: dict[int, _Waiting] = {}
        self._numbers = itertools.count(1)
        framing = framing if framing is not None else SingleObjectFraming()
        self._encoder = TickEncoder(framing.prefix(TICK_SUBJECT, TICK_VERSION))
        self._log = ClientLog()
        try:
            config = producer_config(
                settings, gapless=gapless, batched=batched, batch_bytes=batch_bytes
            )
            self._client = open_client(config, self, self._log)
        except ValueError as exc:
            raise settings_refused(exc) from exc

    @property
    def in_flight(self) -> int:
        """Records that were taken and are neither acknowledged nor failed."""
        return self.counts.outstanding

    @property
    def capacity_left(self) -> int:
        """How many records may be offered now; look before each chunk. 0 while Kafka is behind."""
        if self._singles_bytes >= SINGLES_MAX_BYTES // 2:
            return 0
        return max(0, self._max_in_flight - self.counts.outstanding)

    def produce_ticks(self, batch: TickBatch, delivery: Delivery) -> int:
        """Enqueue the good rows of ``batch`` in their order; returns how many.

        Raises QueueFull, with nothing taken, and ProducerFatal.
        """
        self._check_usable()
        if not self._gapless:
            raise self._make_fatal("an ordinary producer does not keep the order of ticks")
        if self.counts.outstanding + batch.size > self._max_in_flight + HEADROOM_RECORDS:
            raise QueueFull(f"{self.counts.outstanding} records wait for Kafka")
        if batch.size <= PART_ROWS:
            return self._produce_rows(batch, 0, delivery)
        parts = range(0, batch.size, PART_ROWS)
        return sum(self._produce_rows(batch, first, delivery) for first in parts)

    def _produce_rows(self, batch: TickBatch, first: int, delivery: Delivery) -> int:
        out, ends, tokens = self._encoder.encode(batch, first, PART_ROWS)
        return self._produce_batch(self._ticks_topic, out, ends, tokens, delivery)

    def produce_values(
        self, topic: str, data: Bytes, ends: Ints, tokens: Ints, delivery: Delivery
    ) -> int:
        """Enqueue the values that lie end to end in ``data``, each with its token as the key.

        Copied. Raises what ``produce_ticks`` raises.
        """
        self._check_usable()
        if self.counts.outstanding + len(ends) > self._max_in_flight + HEADROOM_RECORDS:
            raise QueueFull(f"{self.counts.outstanding} records wait for Kafka")
        return self._produce_batch(topic, data, ends, tokens, delivery)

    def _produce_batch(
        self, topic: str, data: Bytes, ends: Ints, tokens: Ints, delivery: Delivery
    ) -> int:
        count = len(ends)
        if not count:
            return 0
        number = next(self._numbers)
        taken, refused = self._client.produce_batch(topic, data, ends, tokens, number)
        if taken:
            self._waiting[number] = _Waiting(delivery, topic, taken)
            delivery.add(taken, self.counts)
        if refused is not None:
            # Those after the refused ones are enqueued: the order is lost, publish again.
            raise self._make_fatal(f"{count - taken} records are not taken: {refused.str()}")
        return taken

    def produce_dead(
        self, letter: DeadLetter, delivery: Delivery, *, topic: str | None = None
    ) -> None:
        """Enqueue one dead letter, its fields as headers.

        Raises QueueFull, RecordTooLarge, UnknownTopic, RecordRefused (an ordinary producer) and
        ProducerFatal; nothing was taken then.
        """
        self.produce_record(
            topic if topic is not None else self._dead_topic,
            letter.key(),
            letter.raw,
            delivery,
            headers=letter.headers(),
        )

    def produce_record(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        delivery: Delivery,
        *,
        headers: Headers | None = None,
    ) -> None:
        """Enqueue one record; raises what ``produce_dead`` raises.

        Without a value it is a tombstone: compaction removes what the key had.
        """
        self._check_usable()
        size = len(value or b"") + sum(len(name) + len(text or "") for name, text in headers or ())
        if self._singles_bytes + size > SINGLES_MAX_BYTES:
            raise QueueFull(f"{self._singles_bytes} bytes of single records wait for Kafka")
        number = next(self._numbers)
        refused = self._client.produce(topic, key, value, headers or [], number)
        if refused is not None:
            raise self._single_refused(refused, topic, size)
        self._waiting[number] = _Waiting(delivery, topic, 1, size)
        self._singles_bytes += size
        delivery.add(1, self.counts)

    def poll(self, timeout_s: float = 0.0) -> int:
        """Take in the answers that are there, waiting up to ``timeout_s`` for one; how many."""
        return 0 if self._closed else self._client.poll(timeout_s)

    def flush(self, deadline_s: float) -> int:
        """Wait for the outstanding answers; returns how many there still are."""
        ends_s = monotonic() + deadline_s
        while self.counts.outstanding and not self._closed:
            left_s = ends_s - monotonic()
            if left_s <= 0:
                break
            self._client.poll(min(left_s, _POLL_S))
        return self.counts.outstanding

    def wake_by(self, descriptor: int) -> None:
        """Write a byte to this file descriptor whenever there is something to ``poll`` again.

        Raises ProducerFatal.
        """
        self._check_usable()
        self._client.wake_by(descriptor)

    def close(self) -> None:
        """Give up what is not acknowledged (its deliveries fail) and leave. Flush first."""
        if self._closed:
            return
        # Giving up what is in flight is the gap that gapless delivery forbids, and librdkafka says
        # so, once. It is what the caller asked for, and the journal has the records.
        self._closed = self._log.quiet = True
        self._client.purge()
        for _ in range(_CLOSE_POLLS):
            if not self.counts.outstanding:
                break
            self._client.poll(_POLL_S)
        self._client.close()

    def answered(self, opaque: int, count: int, error: KafkaError | None) -> None:
        """``count`` records that were produced under this number have their answer."""
        waiting = self._waiting[opaque]
        waiting.left -= count
        if not waiting.left:
            del self._waiting[opaque]
            self._singles_bytes -= waiting.bytes
        waiting.delivery.report(count, error)
        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self.refused_size = True
        if error is not None and error.code() == KafkaError.INVALID_TIMESTAMP:
            self.refused_time = True
        if error is not None and not self._closed and self._ends_with(error, waiting.topic):
            self._make_fatal(f"a record of {waiting.topic} was refused: {error.str()}")

    def client_error(self, error: KafkaError) -> None:
        """librdkafka complains."""
        self.trouble = error.str()
        if error.fatal():
            # The answers of the batch say that it was given up; only this text says why.
            self.refused_time = self.refused_time or _REFUSED_TIME in error.str()
            self._make_fatal(error.str())

    def client_said(self, level: int, facility: str, text: str) -> None:
        """A line of librdkafka's log."""
        self._log.said(level, facility, text)

    def _ends_with(self, error: KafkaError, topic: str) -> bool:
        """Whether the refusal of one record is the end of this producer; of a tick it is."""
        return error.fatal() or (self._gapless and topic == self._ticks_topic)

    def _single_refused(self, error: KafkaError, topic: str, size: int) -> Exception:
        if error.code() == KafkaError._QUEUE_FULL:
            return QueueFull(f"{self.counts.outstanding} records wait for Kafka")
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return RecordTooLarge(f"a record of {size} bytes is too large for {topic}")
        if error.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART):
            return explain(error, self._bootstrap, topic)
        reason = f"a record of {topic} is not taken: {error.str()}"
        return self._make_fatal(reason) if self._gapless else RecordRefused(reason)

    def _make_fatal(self, reason: str) -> ProducerFatal:
        if self.fatal is None and not self._closed:
            self.fatal = reason
        return ProducerFatal(reason)

    def _check_usable(self) -> None:
        if self._closed:
            raise ProducerFatal("the producer is closed")
        if self.fatal is not None:
            raise ProducerFatal(self.fatal)
