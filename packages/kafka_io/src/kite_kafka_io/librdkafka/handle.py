"""A librdkafka producer from its properties, and librdkafka's texts."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from kite_kafka_io.librdkafka.library import CONF_OK, LIBRARY, PRODUCER, TEXT_BYTES


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
    """What an ``EVENT_LOG`` says: the level, which is syslog's, the facility and the text."""
    facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
    LIBRARY.event_log(event, *map(ctypes.byref, (facility, text, level)))
    return level.value, text_of(facility.value), text_of(text.value)


def text_of(raw: bytes | None) -> str:
    """What librdkafka says, as text."""
    return (raw or b"").decode(errors="replace")
