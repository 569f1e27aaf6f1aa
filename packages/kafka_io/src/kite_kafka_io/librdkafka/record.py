"""One record with headers as the arguments of ``rd_kafka_produceva``."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.librdkafka.library import LIBRARY, MSG_F_COPY

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
