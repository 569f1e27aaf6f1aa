"""A librdkafka consumer of our own: batches of records as tables of addresses.

confluent-kafka makes some thirty Python objects for a record with nine headers; here a record is a
row of numbers, and its bytes stay where librdkafka has them until the batch is given back. What
that saves is measured in docs/dead-letters.md. It reads partitions that it is given, from offsets
that it is given; for groups, and wherever few records come, there is ``source.Source``.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from confluent_kafka import KafkaError

from kite_kafka_io.librdkafka import gathering
from kite_kafka_io.librdkafka.gathering import FIELDS, HEADER_FIELDS, SLOTS, Ints, gather, release
from kite_kafka_io.librdkafka.handle import log_line, open_handle, text_of
from kite_kafka_io.librdkafka.library import CONSUMER, EVENT_ERROR, EVENT_LOG, LIBRARY

BATCH_RECORDS: Final = 500
_HEADERS: Final = 8_192
_ERRORS: Final = "ERROR"
_MS: Final = 1000


class Complaint(NamedTuple):
    """An error, or a line of librdkafka's log: then ``level`` is syslog's."""

    text: str
    facility: str = ""
    level: int | None = None


class Batch:
    """Messages, valid until the client's next ``read``. Among them may be errors.

    ``rows`` and ``headers`` are the tables of ``gathering``.
    """

    def __init__(self, rows: Ints, headers: Ints) -> None:
        self.rows = rows
        self.headers = headers

    def __len__(self) -> int:
        return len(self.rows)


class ConsumerClient:
    """One librdkafka consumer. Not thread-safe. Raises ValueError if a property is refused."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self._handle = open_handle(CONSUMER, config, EVENT_ERROR | EVENT_LOG)
        self._main = LIBRARY.queue_get_main(self._handle)
        self._queue = LIBRARY.queue_get_consumer(self._handle)
        LIBRARY.set_log_queue(self._handle, self._main)
        self._pointers: Ints = np.zeros(BATCH_RECORDS, np.int64)
        """Messages that librdkafka gave and has not got back; 0 where there is none."""
        self._rows: Ints = np.empty((BATCH_RECORDS, FIELDS), np.int64)
        self._headers: Ints = np.empty((_HEADERS, HEADER_FIELDS), np.int64)
        self._slots: Ints = np.zeros(SLOTS, np.int64)
        names = ("message_headers", "header_get_all", "message_timestamp")
        self._functions: Ints = np.array([LIBRARY.address(name) for name in names], np.int64)
        self._destroy = LIBRARY.address("message_destroy")
        self._topics: dict[int, str] = {}
        # A client that nobody closed must not outlive its owner; it waits for its messages.
        self._end = weakref.finalize(
            self, _close, self._handle, self._main, self._queue, self._pointers, self._destroy
        )

    def assign(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Read these partitions, from these offsets."""
        places = LIBRARY.topic_partition_list_new(len(offsets))
        for (topic, partition), offset in offsets.items():
            name = topic.encode()
            LIBRARY.topic_partition_list_add(places, name, partition)
            LIBRARY.topic_partition_list_set_offset(places, name, partition, offset)
        error = LIBRARY.assign(self._handle, places)
        LIBRARY.topic_partition_list_destroy(places)
        if error:
            raise ValueError(KafkaError(error).str())

    def read(self, count: int, timeout_s: float) -> Batch:
        """Up to ``count`` messages (``BATCH_RECORDS`` at most); the batch before is given back.

        Waits for the first message only.
        """
        self._release()
        at = self._pointers.ctypes.data
        # All at once would wait until there are so many.
        taken: int = LIBRARY.consume_batch_queue(self._queue, int(timeout_s * _MS), at, 1)
        if taken == 1 and count > 1:
            more = min(count, BATCH_RECORDS) - 1
            taken += max(0, LIBRARY.consume_batch_queue(self._queue, 0, at + 8, more))
        held, done, used = max(0, taken), 0, 0
        while True:
            done, used = gather(
                self._pointers,
                done,
                held,
                self._rows,
                self._headers,
                used,
                self._functions,
                self._slots,
                self._slots.ctypes.data,
            )
            if done == held:
                return Batch(self._rows[:done], self._headers[:used])
            self._headers = np.resize(self._headers, (2 * len(self._headers), HEADER_FIELDS))

    def topic_of(self, row: Ints) -> str:
        """The name of the row's topic."""
        address = int(row[gathering.TOPIC])
        if not address:
            return ""  # an error that is not one topic's
        found = self._topics.get(address)
        if found is None:
            found = self._topics[address] = LIBRARY.topic_name(address).decode()
        return found

    def complaints(self) -> list[Complaint]:
        """What librdkafka had to say since the last call."""
        found: list[Complaint] = []
        while event := LIBRARY.queue_poll(self._main, 0):
            kind = LIBRARY.event_type(event)
            if kind == EVENT_ERROR:
                found.append(Complaint(text_of(LIBRARY.event_error_string(event))))
            elif kind == EVENT_LOG:
                found.append(_logged(*log_line(event)))
            LIBRARY.event_destroy(event)
        return found

    def close(self) -> None:
        """End it; its batch is no longer valid."""
        self._release()
        self._end()

    def _release(self) -> None:
        release(self._pointers, BATCH_RECORDS, self._destroy)


def _close(handle: int, main: int, queue: int, pointers: Ints, destroy: int) -> None:
    release(pointers, BATCH_RECORDS, destroy)
    LIBRARY.queue_destroy(queue)
    LIBRARY.queue_destroy(main)
    LIBRARY.destroy(handle)


def _logged(level: int, facility: str, text: str) -> Complaint:
    """An error that no message and no event tells of is logged by this facility."""
    if facility == _ERRORS:
        return Complaint(text.partition("]: ")[2] if text.startswith("[thrd:") else text)
    return Complaint(text, facility, level)
