"""librdkafka's public C functions, for producing, where an object a record costs too much.

confluent-kafka makes several Python objects for each record, and that is most of what a record
costs (docs/performance.md). Its extension module is linked to librdkafka, and the dynamic linker
finds the library's functions through the module, wherever a wheel keeps the file. What is declared
here is of ``rdkafka.h``, which librdkafka keeps compatible from release to release. Where a
function is not found all the same, ``missing`` names it, and nothing here may be called.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any, Final

from confluent_kafka import cimpl

PARTITION_UA: Final = -1
"""The partitioner chooses."""
MSG_F_COPY: Final = 0x2
PURGE_ALL: Final = 0x1 | 0x2
CONF_OK: Final = 0
CONF_UNKNOWN: Final = -2
PRODUCER: Final = 0

EVENT_DR: Final = 0x1
EVENT_LOG: Final = 0x4
EVENT_ERROR: Final = 0x8

TEXT_BYTES: Final = 512
"""Room for librdkafka's texts."""


class Message(ctypes.Structure):
    """``rd_kafka_message_t``."""

    _fields_ = [  # noqa: RUF012
        ("err", c_int32),
        ("rkt", c_void_p),
        ("partition", c_int32),
        ("payload", c_void_p),
        ("len", c_size_t),
        ("key", c_void_p),
        ("key_len", c_size_t),
        ("offset", c_int64),
        ("opaque", c_void_p),
    ]


_Part = c_void_p  # librdkafka's own structures, known by their address
_SHORT: Final[Mapping[str, tuple[Any, list[Any]]]] = {
    "rd_kafka_conf_new": (_Part, []),
    "rd_kafka_conf_destroy": (None, [_Part]),
    "rd_kafka_conf_set": (c_int, [_Part, c_char_p, c_char_p, c_char_p, c_size_t]),
    "rd_kafka_conf_set_events": (None, [_Part, c_int]),
    "rd_kafka_set_log_queue": (c_int, [_Part, _Part]),
    "rd_kafka_queue_get_main": (_Part, [_Part]),
    "rd_kafka_queue_io_event_enable": (None, [_Part, c_int, c_char_p, c_size_t]),
    "rd_kafka_topic_new": (_Part, [_Part, c_char_p, _Part]),
    "rd_kafka_topic_destroy": (None, [_Part]),
    "rd_kafka_headers_new": (_Part, [c_size_t]),
    "rd_kafka_headers_destroy": (None, [_Part]),
    "rd_kafka_header_add": (c_int, [_Part, c_char_p, c_size_t, c_char_p, c_size_t]),
    "rd_kafka_produceva": (_Part, [_Part, c_void_p, c_size_t]),
    "rd_kafka_error_code": (c_int, [_Part]),
    "rd_kafka_error_string": (c_char_p, [_Part]),
    "rd_kafka_error_destroy": (None, [_Part]),
    "rd_kafka_event_type": (c_int, [_Part]),
    "rd_kafka_event_message_count": (c_size_t, [_Part]),
    "rd_kafka_event_message_array": (c_size_t, [_Part, c_void_p, c_size_t]),
    "rd_kafka_event_error": (c_int, [_Part]),
    "rd_kafka_event_error_string": (c_char_p, [_Part]),
    "rd_kafka_event_error_is_fatal": (c_int, [_Part]),
    "rd_kafka_event_log": (
        c_int,
        [_Part, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int)],
    ),
    "rd_kafka_event_destroy": (None, [_Part]),
    "rd_kafka_fatal_error": (c_int, [_Part, c_char_p, c_size_t]),
}
_WAITING: Final[Mapping[str, tuple[Any, list[Any]]]] = {
    "rd_kafka_new": (_Part, [c_int, _Part, c_char_p, c_size_t]),
    "rd_kafka_queue_poll": (_Part, [_Part, c_int]),
    "rd_kafka_queue_destroy": (None, [_Part]),
    "rd_kafka_produce_batch": (c_int, [_Part, c_int32, c_int, c_void_p, c_int]),
    "rd_kafka_destroy": (None, [_Part]),
    "rd_kafka_purge": (c_int, [_Part, c_int]),
}


class Library:
    """The functions, as ctypes calls. Those that may wait, or take long, let other threads run."""

    def __init__(self) -> None:
        self.missing: str | None = None
        """A function that the loaded module does not have."""
        path = cimpl.__file__
        for kind, functions in ((ctypes.PyDLL, _SHORT), (ctypes.CDLL, _WAITING)):
            linked = kind(path)
            for name, (result, arguments) in functions.items():
                function = getattr(linked, name, None)
                if function is None:
                    self.missing = name
                    continue
                function.restype, function.argtypes = result, arguments
                setattr(self, name.removeprefix("rd_kafka_"), function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"rd_kafka_{name} is not declared in {__name__}")


LIBRARY: Final = Library()


def open_handle(config: Mapping[str, object], events: int) -> int:
    """A producer with these properties; librdkafka takes each as text.

    ``events`` are those of ``EVENT_*`` that its main queue gets. Raises ValueError if a
    property is refused.
    """
    conf, said = LIBRARY.conf_new(), ctypes.create_string_buffer(TEXT_BYTES)
    LIBRARY.conf_set_events(conf, events)
    for name, value in {**config, "log.queue": True}.items():
        word = str(value).lower() if isinstance(value, bool) else str(value)
        if LIBRARY.conf_set(conf, name.encode(), word.encode(), said, TEXT_BYTES) != CONF_OK:
            LIBRARY.conf_destroy(conf)
            raise ValueError(text_of(said.value))
    handle: int | None = LIBRARY.new(PRODUCER, conf, said, TEXT_BYTES)
    if handle is None:
        LIBRARY.conf_destroy(conf)
        raise ValueError(text_of(said.value))
    return handle


def log_line(event: int) -> tuple[int, str, str]:
    """The line of an ``EVENT_LOG``: the level, which is syslog's, the facility and the text."""
    facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
    LIBRARY.event_log(event, *map(ctypes.byref, (facility, text, level)))
    return level.value, text_of(facility.value), text_of(text.value)


def text_of(raw: bytes | None) -> str:
    """librdkafka's text."""
    return (raw or b"").decode(errors="replace")
