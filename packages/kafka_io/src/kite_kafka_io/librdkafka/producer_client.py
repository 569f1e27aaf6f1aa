"""A librdkafka producer of our own: batches laid out in memory, answers counted a batch at a time.

What it saves is measured in docs/performance.md. It has no callbacks: librdkafka's answers, errors
and log lines wait in one queue, and ``poll`` hands them to the ``Listener`` in the caller's thread.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from confluent_kafka import KafkaError

from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.librdkafka.library import (
    EVENT_DR,
    EVENT_ERROR,
    EVENT_LOG,
    LIBRARY,
    MSG_F_COPY,
    PARTITION_UA,
    PURGE_ALL,
    TEXT_BYTES,
    log_line,
    open_handle,
    text_of,
)
from kite_kafka_io.librdkafka.loops import GROUP_FIELDS, KEY_BYTES, WORDS, group_answers, lay_out
from kite_kafka_io.tick_codec import Bytes, Ints

_MS: Final = 1000


class Listener(Protocol):
    """Receives what ``poll`` finds."""

    def answered(self, opaque: int, count: int, error: KafkaError | None) -> None:
        """``count`` records that were produced with this number have their answer."""

    def client_error(self, error: KafkaError) -> None:
        """librdkafka complains, for instance of brokers that do not answer."""

    def client_said(self, level: int, facility: str, text: str) -> None:
        """A line of librdkafka's log; the level is syslog's."""


class Client(Protocol):
    """What ``RecordProducer`` needs; not thread-safe."""

    def produce_batch(
        self, topic: str, data: Bytes, ends: Ints, tokens: Ints, opaque: int
    ) -> tuple[int, KafkaError | None]:
        """Enqueue the records that lie end to end in ``data``, each with its token as key.

        Returns how many were taken and, if not all, why the first that was not.
        """

    def produce(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, opaque: int
    ) -> KafkaError | None:
        """Enqueue one record; returns None, or why it was not taken."""

    def poll(self, timeout_s: float) -> int:
        """Give the listener everything that waits, after waiting up to ``timeout_s`` for some.

        Returns how many answers there were.
        """

    def purge(self) -> None:
        """Give up all records; their answers come with the next ``poll``."""

    def wake_by(self, descriptor: int) -> None:
        """Write a byte to this file descriptor whenever ``poll`` has something again."""

    def close(self) -> object:
        """End it."""


class ProducerClient:
    """One librdkafka producer. Not thread-safe. Raises ValueError if a property is refused."""

    def __init__(self, config: Mapping[str, object], listener: Listener) -> None:
        self._listener = listener
        self._handle = open_handle(config, EVENT_DR | EVENT_ERROR | EVENT_LOG)
        self._queue = LIBRARY.queue_get_main(self._handle)
        LIBRARY.set_log_queue(self._handle, self._queue)
        self._topics: dict[str, int] = {}
        self._reserve(256)
        # A client that was not closed must not outlive its owner.
        self.close = weakref.finalize(self, _close, self._handle, self._queue, self._topics)

    def _reserve(self, rows: int) -> None:
        self._messages: Ints = np.empty((rows, WORDS), np.int64)
        self._keys: Bytes = np.empty(rows * KEY_BYTES, np.uint8)
        self._messages_at: int = self._messages.ctypes.data
        self._pointers: Ints = np.empty(rows, np.int64)
        self._pointers_at: int = self._pointers.ctypes.data
        self._groups: Ints = np.empty((rows, GROUP_FIELDS), np.int64)

    def produce_batch(
        self, topic: str, data: Bytes, ends: Ints, tokens: Ints, opaque: int
    ) -> tuple[int, KafkaError | None]:
        """See ``Client``."""
        count = len(ends)
        if count > len(self._messages):
            self._reserve(max(count, 2 * len(self._messages)))
        messages = self._messages
        lay_out(messages, self._keys, data, ends, tokens, opaque)
        taken: int = LIBRARY.produce_batch(
            self._topic(topic), PARTITION_UA, MSG_F_COPY, self._messages_at, count
        )
        if taken == count:
            return taken, None
        errors = messages[:count, 0].astype(np.int32)
        return taken, KafkaError(int(errors[np.flatnonzero(errors)[0]]))

    def produce(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, opaque: int
    ) -> KafkaError | None:
        """See ``Client``."""
        made = make_headers(headers)
        record = arguments(self._topic(topic), key, value, made, opaque)
        refusal = LIBRARY.produceva(self._handle, record, len(record))
        if not refusal:
            return None
        LIBRARY.headers_destroy(made)
        error = KafkaError(LIBRARY.error_code(refusal), text_of(LIBRARY.error_string(refusal)))
        LIBRARY.error_destroy(refusal)
        return error

    def poll(self, timeout_s: float) -> int:
        """See ``Client``."""
        answers, wait_ms = 0, int(timeout_s * _MS)
        while event := LIBRARY.queue_poll(self._queue, wait_ms):
            wait_ms = 0
            try:
                answers += self._tell(event)
            finally:
                LIBRARY.event_destroy(event)
        return answers

    def purge(self) -> None:
        """See ``Client``."""
        LIBRARY.purge(self._handle, PURGE_ALL)

    def wake_by(self, descriptor: int) -> None:
        """See ``Client``."""
        LIBRARY.queue_io_event_enable(self._queue, descriptor, b"\n", 1)
        # It signals a queue that is no longer empty; something may be in it already.
        os.write(descriptor, b"\n")

    def _tell(self, event: int) -> int:
        kind = LIBRARY.event_type(event)
        if kind == EVENT_DR:
            return self._tell_answers(event)
        if kind == EVENT_ERROR:
            self._listener.client_error(self._error_of(event))
        elif kind == EVENT_LOG:
            self._listener.client_said(*log_line(event))
        return 0

    def _tell_answers(self, event: int) -> int:
        count: int = LIBRARY.event_message_count(event)
        if count > len(self._pointers):
            self._reserve(max(count, 2 * len(self._pointers)))
        count = LIBRARY.event_message_array(event, self._pointers_at, count)
        groups = self._groups[: group_answers(self._pointers, count, self._groups)]
        for opaque, error, many in groups.tolist():
            self._listener.answered(opaque, many, KafkaError(error) if error else None)
        return count

    def _error_of(self, event: int) -> KafkaError:
        code, fatal = LIBRARY.event_error(event), bool(LIBRARY.event_error_is_fatal(event))
        reason = text_of(LIBRARY.event_error_string(event))
        if code == KafkaError._FATAL:
            text = ctypes.create_string_buffer(TEXT_BYTES)
            code = LIBRARY.fatal_error(self._handle, text, TEXT_BYTES)
            fatal, reason = True, text_of(text.value)
        return KafkaError(code, reason, fatal)

    def _topic(self, name: str) -> int:
        found = self._topics.get(name)
        if found is None:
            found = self._topics[name] = LIBRARY.topic_new(self._handle, name.encode(), None)
        return found


def _close(handle: int, queue: int, topics: Mapping[str, int]) -> None:
    LIBRARY.queue_destroy(queue)
    for topic in topics.values():
        LIBRARY.topic_destroy(topic)
    LIBRARY.destroy(handle)


# rd_kafka_vtype_t
_RKT: Final = 2
_VALUE: Final = 4
_KEY: Final = 5
_OPAQUE: Final = 6
_MSGFLAGS: Final = 7
_HEADERS: Final = 10
_UNION_BYTES: Final = 64


class _Memory(ctypes.Structure):
    _fields_ = [("mem", ctypes.c_char_p), ("size", ctypes.c_size_t)]  # noqa: RUF012


class _Union(ctypes.Union):
    _fields_ = [  # noqa: RUF012
        ("i", ctypes.c_int),
        ("ptr", ctypes.c_void_p),
        ("mem", _Memory),
        ("_pad", ctypes.c_char * _UNION_BYTES),
    ]


class _Argument(ctypes.Structure):
    """``rd_kafka_vu_t``."""

    _fields_ = [("vtype", ctypes.c_int), ("u", _Union)]  # noqa: RUF012


def make_headers(headers: Headers) -> int:
    """``rd_kafka_headers_t`` of these; whoever produces with it gives it away, else destroy it."""
    made: int = LIBRARY.headers_new(len(headers))
    for name, value in headers:
        word = name.encode()
        raw = value.encode() if isinstance(value, str) else value
        LIBRARY.header_add(made, word, len(word), raw, len(raw or b""))
    return made


def arguments(topic: int, key: bytes | None, value: bytes | None, headers: int, opaque: int) -> Any:
    """An array of ``rd_kafka_vu_t``. It does not keep ``key`` and ``value`` alive."""
    made = (_Argument * 6)()
    for argument, kind in zip(
        made, (_RKT, _MSGFLAGS, _OPAQUE, _HEADERS, _KEY, _VALUE), strict=True
    ):
        argument.vtype = kind
    made[0].u.ptr = topic
    made[1].u.i = MSG_F_COPY
    made[2].u.ptr = opaque
    made[3].u.ptr = headers
    for argument, raw in ((made[4], key), (made[5], value)):
        argument.u.mem = _Memory(raw, len(raw or b""))
    return made
