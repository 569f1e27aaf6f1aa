"""The compiled loops over messages that librdkafka gave: where their parts lie."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_kafka_io.librdkafka.calls import call, copy_bytes
from kite_kafka_io.librdkafka.library import Message
from kite_kafka_io.librdkafka.memory import byte_at, int32_at, int64_at
from kite_runtime.compiled import compiled

Ints = npt.NDArray[np.int64]
Word = Any
"""An int64 in machine code; an int or a numpy integer where the loops run without it."""

# A message's row. Addresses are 0 where there is nothing: no key, a null value.
TOPIC: Final = 0
"""Address of the ``rd_kafka_topic_t``."""
PARTITION: Final = 1
OFFSET: Final = 2
TIME_MS: Final = 3
"""-1 where the record has no time."""
KEY: Final = 4
KEY_BYTES: Final = 5
VALUE: Final = 6
VALUE_BYTES: Final = 7
HEADERS: Final = 8
"""The row of the first header."""
HEADERS_END: Final = 9
ERROR: Final = 10
"""0 for a record; otherwise the value is what librdkafka says of it."""
FIELDS: Final = 11

# A header's row; the name ends before its first zero byte.
NAME: Final = 0
NAME_BYTES: Final = 1
CONTENT: Final = 2
CONTENT_BYTES: Final = 3
HEADER_FIELDS: Final = 4

_ERR: Final = Message.err.offset
_RKT: Final = Message.rkt.offset
_PARTITION: Final = Message.partition.offset
_PAYLOAD: Final = Message.payload.offset
_LEN: Final = Message.len.offset
_KEY: Final = Message.key.offset
_KEY_LEN: Final = Message.key_len.offset
_OFFSET: Final = Message.offset.offset
_LOWER: Final = 0xFFFFFFFF
SLOTS: Final = 3


@compiled
def gather(
    pointers: Ints,
    first: Word,
    count: Word,
    rows: Ints,
    headers: Ints,
    used: Word,
    functions: Ints,
    slots: Ints,
    slots_at: Word,
) -> tuple[Word, Word]:
    """Fill ``rows`` and ``headers`` from the messages ``first`` up to ``count``.

    ``used`` rows of ``headers`` are taken. Returns the message at which ``headers`` was full, else
    ``count``, and the rows that are taken then. ``slots`` is scratch memory at ``slots_at``.
    """
    headers_of, header_at, time_of = functions[0], functions[1], functions[2]
    for index in range(first, count):
        message = pointers[index]
        row = rows[index]
        row[ERROR] = int32_at(message + _ERR)
        row[TOPIC] = int64_at(message + _RKT)
        row[PARTITION] = int32_at(message + _PARTITION)
        row[OFFSET] = int64_at(message + _OFFSET)
        row[VALUE] = int64_at(message + _PAYLOAD)
        row[VALUE_BYTES] = int64_at(message + _LEN)
        row[KEY] = int64_at(message + _KEY)
        row[KEY_BYTES] = int64_at(message + _KEY_LEN)
        row[HEADERS] = row[HEADERS_END] = used
        if row[ERROR] != 0:
            continue
        row[TIME_MS] = call(time_of, (message, slots_at))
        if call(headers_of, (message, slots_at)) & _LOWER != 0:
            continue
        list_at = slots[0]
        position = np.int64(0)
        while (
            call(header_at, (list_at, position, slots_at, slots_at + 8, slots_at + 16)) & _LOWER
            == 0
        ):
            if used == headers.shape[0]:
                return index, row[HEADERS]
            end = slots[0]
            while byte_at(end) != 0:
                end += 1
            headers[used, NAME] = slots[0]
            headers[used, NAME_BYTES] = end - slots[0]
            headers[used, CONTENT] = slots[1]
            headers[used, CONTENT_BYTES] = slots[2]
            used += 1
            position += 1
        row[HEADERS_END] = used
    return count, used


@compiled
def copy_headers(
    headers: Ints, first: Word, end: Word, out_at: Word, out_bytes: Word, ends: Ints
) -> Word:
    """Copy names and contents of these headers, one behind the other, to ``out_at``.

    ``ends`` is told where each of them ends there; returns how many bytes there are, or -1 if there
    is no room for all.
    """
    if 2 * (end - first) > ends.shape[0]:
        return -1
    used = np.int64(0)
    for index in range(first, end):
        header = headers[index]
        if header[NAME_BYTES] + header[CONTENT_BYTES] > out_bytes - used:
            return -1
        copy_bytes(out_at + used, header[NAME], header[NAME_BYTES])
        used += header[NAME_BYTES]
        ends[2 * (index - first)] = used
        if header[CONTENT] != 0:
            copy_bytes(out_at + used, header[CONTENT], header[CONTENT_BYTES])
            used += header[CONTENT_BYTES]
        ends[2 * (index - first) + 1] = used
    return used


@compiled
def release(pointers: Ints, count: Word, destroy: Word) -> None:
    """Give the messages back to librdkafka, each once: their addresses become 0."""
    for index in range(count):
        if pointers[index] != 0:
            call(destroy, (pointers[index],))
            pointers[index] = 0


def warm_up() -> None:
    """Compile these loops, or load them, so that the first message does not wait."""
    pointers, rows = np.zeros(1, np.int64), np.zeros((1, FIELDS), np.int64)
    headers, words = np.zeros((1, HEADER_FIELDS), np.int64), np.zeros(SLOTS, np.int64)
    gather(pointers, 0, 0, rows, headers, 0, words, words, words.ctypes.data)
    copy_headers(headers, 0, 0, words.ctypes.data, 0, words)
    release(pointers, 0, 0)
