"""Logs: one line an event on stderr, JSON where no person is looking, secrets redacted.

A log never blocks and never ends the program: what its reader does not take is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from kite_runtime.console import clean, write_line
from kite_runtime.secrets import redact

SAME_LOGGER_S: Final = 10.0
DEPTH_MAX: Final = 8
_LEVELS: Final = {True: logging.ERROR, False: logging.INFO}


def configure_logs(*, quiet: bool = False, secrets: Iterable[str] = ()) -> None:
    """Send structlog and the standard library's logging to stderr.

    ``quiet`` leaves out what is not at least an error. ``secrets`` are struck out wherever they
    would appear.
    """
    struck = tuple(secret for secret in secrets if secret)
    stream: Any = _Lines(sys.stderr)

    def strike(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {key: _safe(value, shown) for key, value in event.items()}

    terminal = sys.stderr.isatty()

    def shown(text: str) -> str:
        return redact(clean(text) if terminal else text, struck)  # JSON escapes all of it

    # https://no-color.org: set and not empty
    colors = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=colors)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    before: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        strike,
    ]
    structlog.configure(
        processors=[*before, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[quiet]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.terminator = ""
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if quiet:  # the command's own sentence says what a person needs
        logging.getLogger("kite_kafka_io").setLevel(logging.CRITICAL)


def lines_dropped() -> int:
    """How many lines of the log could not be written, since the process began."""
    return _Lines.dropped


class _Lines:
    """A stream for lines that never blocks and never fails: what cannot be written is counted."""

    dropped = 0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        _Lines.dropped += not write_line(self._stream, line.rstrip("\n"))

    def flush(self) -> None:
        """Each line was written at once."""


class _Seldom(logging.Filter):
    """One line a logger in ten seconds: an outage repeats itself many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s.get(record.name, 0.0):
            return False
        self._next_s[record.name] = now_s + SAME_LOGGER_S
        return True


def _safe(value: Any, shown: Callable[[str], str], depth: int = 0) -> Any:
    """What a log line may hold of a value; nothing is nested deeper than DEPTH_MAX."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping | list | tuple) and depth == DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {key: _safe(each, shown, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(each, shown, depth + 1) for each in value]
    return value
