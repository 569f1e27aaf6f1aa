"""What librdkafka says, as records of a Python logger rather than lines on standard error."""

from __future__ import annotations

import logging
from operator import methodcaller
from typing import Any, Final

from confluent_kafka import Message

RawHeaders = list[tuple[str, bytes | None]]

NAMES_PROBLEM: Final = (
    "a header's name is not UTF-8, so the client library can give none of the headers"
)

_headers: Final = methodcaller("headers")


def message_headers(message: Message) -> RawHeaders | None:
    """All headers in their order; None where a name is not UTF-8 (see ``NAMES_PROBLEM``)."""
    try:
        found: Any = _headers(message)
    except (SystemError, UnicodeDecodeError):
        return None
    return found if found is not None else []


_LEVELS: Final = (50, 50, 50, 40, 30, 20, 20, 10)
"""The level of Python's ``logging`` for each of syslog's (RFC 5424), as confluent-kafka has it."""
# Said at each start, of what is used on purpose (see producer).
_EXPECTED: Final = "Configuration property enable.gapless.guarantee is experimental"


class ClientLog:
    """The object that confluent-kafka calls ``log`` on; passes all but the expected line on.

    While ``quiet``, everything is passed on as debug output.
    """

    __slots__ = ("_logger", "quiet")

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.quiet = False

    def log(self, level: int, form: str, *parts: object) -> None:
        """One line; ``parts`` are its facility, the client's name and the text."""
        if not any(_EXPECTED in part for part in parts if isinstance(part, str)):
            self._logger.log(logging.DEBUG if self.quiet else level, form, *parts)

    def said(self, level: int, facility: str, text: str) -> None:
        """One line of a client of our own; ``level`` is syslog's."""
        self.log(_LEVELS[level], "%s: %s", facility, text)
