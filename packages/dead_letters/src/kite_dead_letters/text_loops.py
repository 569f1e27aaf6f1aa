"""The compiled loops that put a piece of text behind what is written already.

Each takes the bytes that are ``used`` and returns how many are used then; the caller has seen to it
that there is room.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_kafka_io.librdkafka.calls import copy_bytes
from kite_kafka_io.librdkafka.memory import byte_at
from kite_runtime.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Word = Any
"""An int64 in machine code; an int or a numpy integer where the loops run without it."""

_BASE64: Final = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8
)


@compiled
def put_copy(source: Word, count: Word, out_at: Word, used: Word) -> Word:
    """The bytes at ``source``."""
    copy_bytes(out_at + used, source, count)
    return used + count


@compiled
def put_null(out: Bytes, used: Word) -> Word:
    """JSON's null."""
    out[used], out[used + 1], out[used + 2], out[used + 3] = 110, 117, 108, 108
    return used + 4


@compiled
def put_number(out: Bytes, used: Word, number: Word) -> Word:
    """A number from 0 on."""
    end = used + 1
    rest = number
    while rest >= 10:
        rest //= 10
        end += 1
    at = end
    while True:
        at -= 1
        out[at] = 48 + number % 10
        number //= 10
        if at == used:
            return end


@compiled
def put_base64(out: Bytes, used: Word, value: Word, count: Word) -> Word:
    """The bytes at ``value`` as base64 with padding."""
    whole = count // 3
    for index in range(whole):
        at = value + 3 * index
        word = byte_at(at) << 16 | byte_at(at + 1) << 8 | byte_at(at + 2)
        out[used] = _BASE64[word >> 18]
        out[used + 1] = _BASE64[(word >> 12) & 63]
        out[used + 2] = _BASE64[(word >> 6) & 63]
        out[used + 3] = _BASE64[word & 63]
        used += 4
    left = count - 3 * whole
    if left:
        at = value + 3 * whole
        word = byte_at(at) << 16
        if left == 2:
            word |= byte_at(at + 1) << 8
        out[used] = _BASE64[word >> 18]
        out[used + 1] = _BASE64[(word >> 12) & 63]
        out[used + 2] = _BASE64[(word >> 6) & 63] if left == 2 else 61
        out[used + 3] = 61
        used += 4
    return used
