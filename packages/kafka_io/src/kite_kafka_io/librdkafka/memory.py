"""Numbers at addresses that librdkafka gives, for compiled loops.

The caller answers for the address. Without machine code (``NUMBA_DISABLE_JIT=1``) ctypes reads it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import kite_runtime.compiled  # noqa: F401 - sets numba up, so it comes first

from numba import types  # isort: skip
from numba.extending import intrinsic, overload  # isort: skip

Word = Any
"""An int64 in machine code; an int where the loops run without it."""


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
