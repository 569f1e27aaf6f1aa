"""The compiled loops between encoded ticks and librdkafka's messages.

A ``rd_kafka_message_t`` is nine words of eight bytes (``library.Message``); ``err`` and
``partition`` take the lower half of theirs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_kafka_io.librdkafka.library import Message
from kite_runtime.compiled import compiled  # sets numba up, so it comes before numba

from numba import types  # isort: skip
from numba.extending import intrinsic, overload  # isort: skip

Word = Any
"""An int64 in machine code; an int or a numpy integer where the loops run without it."""


# Numbers at addresses that librdkafka gives; the caller answers for the address. Without machine
# code (``NUMBA_DISABLE_JIT=1``) ctypes reads them.
def int64_at(address: Word) -> Word:
    """The int64 at this address."""
    return ctypes.c_int64.from_address(int(address)).value


def int32_at(address: Word) -> Word:
    """The int32 at this address, as an int64."""
    return ctypes.c_int32.from_address(int(address)).value


def _loading(number: Any) -> Any:
    """An intrinsic that loads a number of this type and widens it to int64."""

    @intrinsic
    def load(_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = context.get_value_type(types.CPointer(number))  # type: ignore[no-untyped-call]
            value = builder.load(builder.inttoptr(arguments[0], pointer))
            return context.cast(builder, value, number, types.int64)

        return types.int64(types.int64), code

    return load


_load_int64 = _loading(types.int64)
_load_int32 = _loading(types.int32)


# Not strict: numba would have the annotations repeated in each lambda.
@overload(int64_at, strict=False)
def _int64_at(address: Any) -> Callable[[Word], Word]:
    return lambda address: _load_int64(address)


@overload(int32_at, strict=False)
def _int32_at(address: Any) -> Callable[[Word], Word]:
    return lambda address: _load_int32(address)


Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
WORDS: Final = ctypes.sizeof(Message) // 8
KEY_BYTES: Final = 20
"""Room for the key of a record: a token in decimal digits."""
GROUP_FIELDS: Final = 3

_PAYLOAD: Final = Message.payload.offset // 8
_LENGTH: Final = Message.len.offset // 8
_KEY: Final = Message.key.offset // 8
_KEY_LENGTH: Final = Message.key_len.offset // 8
_OPAQUE: Final = Message.opaque.offset // 8
_ERROR_OFFSET: Final = Message.err.offset
_OPAQUE_OFFSET: Final = Message.opaque.offset


@compiled
def lay_out(
    messages: Ints,
    keys: Bytes,
    values: Bytes,
    ends: Ints,
    tokens: Ints,
    opaque: Word,
) -> None:
    """Fill ``messages`` (n, WORDS) for the n records that lie end to end in ``values``.

    The key of each is its token in decimal digits, written to ``keys``, ``KEY_BYTES`` for each. The
    messages point into both arrays.
    """
    keys_at, values_at = np.int64(keys.ctypes.data), np.int64(values.ctypes.data)
    start = np.int64(0)
    for row in range(ends.shape[0]):
        last = (row + 1) * KEY_BYTES
        first = last
        rest = tokens[row]
        while True:
            first -= 1
            keys[first] = 48 + rest % 10
            rest //= 10
            if rest == 0:
                break
        message = messages[row]
        for word in range(WORDS):
            message[word] = 0
        message[_PAYLOAD] = values_at + start
        message[_LENGTH] = ends[row] - start
        message[_KEY] = keys_at + first
        message[_KEY_LENGTH] = last - first
        message[_OPAQUE] = opaque
        start = ends[row]


@compiled
def group_answers(pointers: Ints, count: Word, groups: Ints) -> Word:
    """Count neighbours with the same opaque and the same error; how many groups there are.

    ``pointers`` are addresses of ``count`` messages; a group is (opaque, error, how many).
    """
    found = np.int64(0)
    for index in range(count):
        opaque = int64_at(pointers[index] + _OPAQUE_OFFSET)
        error = int32_at(pointers[index] + _ERROR_OFFSET)
        if found > 0 and groups[found - 1, 0] == opaque and groups[found - 1, 1] == error:
            groups[found - 1, 2] += 1
        else:
            groups[found, 0] = opaque
            groups[found, 1] = error
            groups[found, 2] = 1
            found += 1
    return found


def warm_up() -> None:
    """Compile both loops, or load them, so that the first tick does not wait."""
    messages, ends = np.zeros((1, WORDS), np.int64), np.ones(1, np.int64)
    lay_out(messages, np.zeros(KEY_BYTES, np.uint8), np.zeros(1, np.uint8), ends, ends, 1)
    pointers = np.array([messages.ctypes.data], np.int64)
    group_answers(pointers, 1, np.zeros((1, GROUP_FIELDS), np.int64))
