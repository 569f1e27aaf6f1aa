"""Calls of C functions, and copies between addresses, for compiled loops.

A function is known by its address, which is an argument of the loop and not part of its machine
code: so the code can be kept on the disk. Arguments and results are int64; where a C function
returns an ``int``, only the lower 32 bits mean something. The caller answers for every address.
Without machine code (``NUMBA_DISABLE_JIT=1``) ctypes does the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import kite_runtime.compiled  # noqa: F401 - sets numba up, so it comes first

from numba import types  # isort: skip
from numba.core import cgutils  # isort: skip
from numba.extending import intrinsic, overload  # isort: skip

Word = Any
"""An int64 in machine code; an int where the loops run without it."""

ir: Any = cgutils.ir  # type: ignore[attr-defined]  # numba's own; not a library of ours
_ADDRESS = ir.IntType(64)


def call(function: Word, arguments: tuple[Word, ...]) -> Word:
    """Call the function at this address."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))
    return prototype(int(function))(*map(int, arguments))


def copy_bytes(target: Word, source: Word, count: Word) -> None:
    """Copy so many bytes; the two places must not overlap."""
    ctypes.memmove(int(target), int(source), int(count))


@intrinsic
def _call(_context: Any, function: Any, arguments: Any) -> Any:
    def code(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        words = cgutils.unpack_tuple(builder, given[1], len(arguments))  # type: ignore[no-untyped-call]
        kind = ir.FunctionType(_ADDRESS, [_ADDRESS] * len(words))
        return builder.call(builder.inttoptr(given[0], kind.as_pointer()), words)

    return types.int64(types.int64, arguments), code


@intrinsic
def _copy(_context: Any, target: Any, source: Any, count: Any) -> Any:
    def code(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        to, source_at = (builder.inttoptr(each, cgutils.voidptr_t) for each in given[:2])
        cgutils.raw_memcpy(builder, to, source_at, given[2], 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


# Not strict: numba would have the annotations repeated in each lambda.
@overload(call, strict=False)
def _call_compiled(function: Any, arguments: Any) -> Callable[..., Word]:
    return lambda function, arguments: _call(function, arguments)  # type: ignore[call-arg]


@overload(copy_bytes, strict=False)
def _copy_compiled(target: Any, source: Any, count: Any) -> Callable[..., None]:
    return lambda target, source, count: _copy(target, source, count)  # type: ignore[call-arg]
