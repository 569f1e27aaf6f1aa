"""What became of a chunk of records: the one object that the acknowledgements are told to."""

from __future__ import annotations

from typing import Protocol

from confluent_kafka import KafkaError, Message


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


class DeliveryOwner(Protocol):
    """What a delivery tells its producer."""

    @property
    def counts(self) -> DeliveryCounts:
        """The counts of that producer."""

    def delivery_failed(self, error: KafkaError, message: Message) -> None:
        """One record was given up by librdkafka."""


class Delivery:
    """The outstanding acknowledgements of one chunk of records, all of one producer.

    Hand it to the ``produce_*`` calls. Afterwards ``done`` says whether the broker has answered for
    each record, ``error`` names the first failure, and ``ok`` means that all of them are in Kafka.
    """

    __slots__ = ("outstanding", "error", "_owner", "_counts")

    def __init__(self) -> None:
        self.outstanding = 0
        self.error: str | None = None
        self._owner: DeliveryOwner | None = None
        self._counts = DeliveryCounts()

    @property
    def done(self) -> bool:
        """Whether nothing is outstanding (also true before anything was added)."""
        return self.outstanding == 0

    @property
    def ok(self) -> bool:
        """Whether all was acknowledged."""
        return self.outstanding == 0 and self.error is None

    def add(self, count: int, owner: DeliveryOwner) -> None:
        """Expect ``count`` more answers, from ``owner``."""
        self._owner = owner
        self._counts = owner.counts
        self._counts.enqueued += count
        self.outstanding += count

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Take one answer. librdkafka's callback: called once a record, so it is kept short."""
        self.outstanding -= 1
        if error is None:
            self._counts.acked += 1
            return
        self._counts.failed += 1
        if self.error is None:
            self.error = f"{error.name()}: {error.str()}"
        if self._owner is not None:
            self._owner.delivery_failed(error, message)
