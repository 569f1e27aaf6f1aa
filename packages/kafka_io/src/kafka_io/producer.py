"""The producer: ticks in order, everything acknowledged or reported, nothing dropped.

librdkafka is set so that it never gives a record up by time (the journal is the spool) and stops as
a whole when a gap in the ticks would arise. Any failure of a tick, and any tick that the queue does
not take, makes the producer fatal: the caller closes it, makes a new one and publishes again from
its journal; consumers drop the repeats (``duplicates``). That keeps the ticks of an instrument in
order without waiting for acknowledgements between them.

Dead letters and other single records have no order to keep: their failure is told by their
``Delivery`` and the caller sends them again.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from contracts.tick_batch import TickBatch
from kafka_io.client_log import ClientLog
from kafka_io.dead_letters import DeadLetter, Headers
from kafka_io.delivery import Delivery, DeliveryCounts
from kafka_io.errors import ProducerFatal, QueueFull, RecordTooLarge, SettingsError, UnknownTopic
from kafka_io.framing import Framing, SingleObjectFraming
from kafka_io.settings import KafkaSettings
from kafka_io.tick_codec import RECORD_MAX_BYTES, TickEncoder

__all__ = ["Delivery", "RecordProducer", "producer_config"]

HEADROOM_RECORDS: Final = 131_072
"""What may come on top of ``max_in_flight``: the caller looks at ``capacity_left`` once a chunk,
and one frame may hold 65,535 packets."""
SINGLES_MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of unacknowledged single records; raw bytes may be large, and the queue is shared."""
TICK_SUBJECT: Final = "tick"
TICK_VERSION: Final = 1

_CLOSE_POLLS: Final = 100
_CLOSE_POLL_S: Final = 0.1
_KEY_CACHE_MAX: Final = 100_000
_RECORD_OVERHEAD_BYTES: Final = 64


def producer_config(settings: KafkaSettings) -> dict[str, object]:
    """The librdkafka properties of a ``RecordProducer``."""
    records = settings.max_in_flight + HEADROOM_RECORDS
    tick_bytes = records * (RECORD_MAX_BYTES + _RECORD_OVERHEAD_BYTES)
    return {
        **settings.client_config(),
        "enable.idempotence": True,
        "acks": "all",
        "max.in.flight.requests.per.connection": 5,
        # Experimental in librdkafka by name; without it a refused batch is skipped: a gap.
        "enable.gapless.guarantee": True,
        "message.timeout.ms": 0,
        # Java's partitioner: other producers of the topic agree on a key's partition.
        "partitioner": "murmur2_random",
        "compression.type": settings.compression,
        "linger.ms": settings.linger_ms,
        # A topic that is missing is told soon; make up creates topics long before they are used.
        "topic.metadata.propagation.max.ms": 5000,
        "message.max.bytes": settings.message_max_bytes,
        # Larger than what we let in, so that the queue is never full in the middle of a batch.
        "queue.buffering.max.messages": 2 * records,
        "queue.buffering.max.kbytes": (tick_bytes + 2 * SINGLES_MAX_BYTES) // 1024,
    }


class _Keys(dict[int, bytes]):
    """The record key of each instrument token, made once."""

    def __missing__(self, token: int) -> bytes:
        if len(self) >= _KEY_CACHE_MAX:
            self.clear()
        key = self[token] = b"%d" % token
        return key


class RecordProducer:
    """One connection to Kafka for ticks, dead letters and events.

    Not thread-safe. Callbacks run inside ``poll`` and ``flush`` only. ``counts`` says what was
    enqueued, acknowledged and failed; ``fatal`` is None or why this producer must be replaced;
    ``trouble`` is the last thing librdkafka complained of, such as brokers that do not answer.
    Raises SettingsError if librdkafka refuses the settings; a broker that is away is no error.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        framing: Framing | None = None,
        ticks_topic: str = "ticks",
        dead_topic: str = "ticks.dlq",
        logger: logging.Logger | None = None,
    ) -> None:
        self.counts = DeliveryCounts()
        self.fatal: str | None = None
        self.trouble: str | None = None
        self._ticks_topic = ticks_topic
        self._dead_topic = dead_topic
        self._max_in_flight = settings.max_in_flight
        self._singles_bytes = 0
        self._closed = False
        self._keys = _Keys()
        framing = framing if framing is not None else SingleObjectFraming()
        self._encoder = TickEncoder(framing.prefix(TICK_SUBJECT, TICK_VERSION))
        config = {**producer_config(settings), "error_cb": self._on_error}
        self._log = ClientLog(logger if logger is not None else logging.getLogger(__name__))
        try:
            self._producer = Producer(config, logger=self._log)
        except (KafkaException, ValueError, TypeError) as exc:
            raise SettingsError(f"the Kafka settings are refused: {exc}") from exc

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
        if self.counts.outstanding + batch.size > self._max_in_flight + HEADROOM_RECORDS:
            raise QueueFull(f"{self.counts.outstanding} records wait for Kafka")
        out, ends, tokens = self._encoder.encode(batch)
        data = out.tobytes()
        stops = ends.tolist()
        keys = self._keys
        messages: list[dict[str, object]] = [
            {"value": data[start:stop], "key": keys[token]}
            for start, stop, token in zip([0, *stops], stops, tokens.tolist(), strict=False)
        ]
        if not messages:
            return 0
        try:
            taken = self._producer.produce_batch(
                self._ticks_topic, messages, on_delivery=delivery.report
            )
        except (KafkaException, RuntimeError) as exc:
            raise self._make_fatal(f"ticks are not taken: {exc}") from exc
        delivery.add(taken, self)
        if taken < len(messages):
            # Those after the refused ones are enqueued: the order is lost, publish again.
            refused = next(str(each["_error"]) for each in messages if "_error" in each)
            raise self._make_fatal(f"{len(messages) - taken} ticks are not taken: {refused}")
        return taken

    def produce_dead(
        self, letter: DeadLetter, delivery: Delivery, *, topic: str | None = None
    ) -> None:
        """Enqueue one dead letter, its fields as headers.

        Raises QueueFull, RecordTooLarge, UnknownTopic and ProducerFatal; nothing was taken then.
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
        callback = partial(self._single_done, delivery, size)
        try:
            self._producer.produce(topic, value, key, on_delivery=callback, headers=headers)
        except BufferError as exc:
            raise QueueFull(f"{self.counts.outstanding} records wait for Kafka") from exc
        except KafkaException as exc:
            raise self._single_refused(exc.args[0], topic, size) from exc
        self._singles_bytes += size
        delivery.add(1, self)

    def poll(self, timeout_s: float = 0.0) -> int:
        """Run the callbacks that are due, waiting up to ``timeout_s`` for one; returns how many."""
        try:
            return self._producer.poll(timeout_s)
        except KafkaException as exc:
            # confluent-kafka raises a fatal error here instead of calling error_cb.
            self._make_fatal(exc.args[0].str())
            return 0

    def flush(self, deadline_s: float) -> int:
        """Send everything now and wait for the answers; returns how many are still outstanding."""
        try:
            self._producer.flush(deadline_s)
        except KafkaException as exc:
            self._make_fatal(exc.args[0].str())
        return self.counts.outstanding

    def close(self) -> None:
        """Give up what is not acknowledged (its deliveries fail) and leave. Flush first."""
        if self._closed:
            return
        self._closed = True
        # Giving up what is in flight is the gap that gapless delivery forbids, and librdkafka says
        # so, once. It is what the caller asked for, and the journal has the records.
        self._log.quiet = True
        with suppress(KafkaException):
            self._producer.purge()
        for _ in range(_CLOSE_POLLS):
            if not self.counts.outstanding:
                break
            with suppress(KafkaException):
                self._producer.poll(_CLOSE_POLL_S)
        with suppress(KafkaException):
            self._producer.close()

    def delivery_failed(self, error: KafkaError, message: Message) -> None:
        """A delivery tells of a record that was given up; a tick makes the producer fatal."""
        if self._closed:
            return
        if error.fatal() or message.topic() == self._ticks_topic:
            self._make_fatal(f"a record of {message.topic()} was refused: {error.str()}")

    def _single_done(
        self, delivery: Delivery, size: int, error: KafkaError | None, message: Message
    ) -> None:
        self._singles_bytes -= size
        delivery.report(error, message)

    def _single_refused(self, error: KafkaError, topic: str, size: int) -> Exception:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return RecordTooLarge(f"a record of {size} bytes is too large for {topic}")
        if error.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART):
            return UnknownTopic(f"topic {topic} does not exist; create it with make up")
        return self._make_fatal(f"a record of {topic} is not taken: {error.str()}")

    def _on_error(self, error: KafkaError) -> None:
        self.trouble = error.str()
        if error.fatal():
            self._make_fatal(error.str())

    def _make_fatal(self, reason: str) -> ProducerFatal:
        if self.fatal is None and not self._closed:
            self.fatal = reason
        return ProducerFatal(reason)

    def _check_usable(self) -> None:
        if self._closed:
            raise ProducerFatal("the producer is closed")
        if self.fatal is not None:
            raise ProducerFatal(self.fatal)
