"""What became of a chunk of records: the one object that the acknowledgements are told to."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError

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
