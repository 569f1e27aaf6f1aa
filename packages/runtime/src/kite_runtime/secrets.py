"""Keep secrets out of what people and log collectors read: a string that does not show itself, and
the redaction of texts that others write.

Kite's api_key and access token are in the connection's URL, so everything that may quote it goes
through ``redact`` first, the WebSocket library's log lines included.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

SECRET_CHARS_MIN: Final = 4
"""Shorter ones are no real secrets, and hiding them would eat the words of the message."""

_SECRET: Final = re.compile(
    r"((?:api_key|access_token|api_secret|request_token|checksum|enctoken)"
    r"(?:=|%3[dD]|[\"']?\s*:\s*[\"']?))[^&\s\"',}]+",
    re.IGNORECASE,
)
_HIDDEN: Final = "***"


class Secret:
    """Holds an access token or the like: no repr, format or error shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Never log it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the values of secret parameters, nor any of ``secrets`` literally."""
    hidden = _SECRET.sub(rf"\g<1>{_HIDDEN}", text)
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            hidden = hidden.replace(secret, _HIDDEN)
    return hidden


class RedactingFilter(logging.Filter):
    """Rewrites log records so that no secret parameter is in them.

    Debug records are refused: they quote frames cut to size, and a piece of a secret cannot be
    recognised.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return False
        record.msg = redact(record.getMessage())
        record.args = ()
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


def redacting_logger(name: str) -> logging.Logger:
    """A logger for a library that may log URLs. Below WARNING that library formats every frame."""
    logger = logging.getLogger(name)
    if not any(isinstance(each, RedactingFilter) for each in logger.filters):
        logger.addFilter(RedactingFilter())
        logger.setLevel(logging.WARNING)
    return logger
