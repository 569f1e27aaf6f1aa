"""What confluent-kafka's clients share: how they are made, what they log, headers of a message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException, Message

from kite_runtime.errors import ConfigurationError

NO_GROUP: Final = "kafka-io-no-group"
"""The group id of consumers that are members of none: librdkafka wants one."""
_log: Final = logging.getLogger("kite_kafka_io")

Made = TypeVar("Made")
RawHeaders = list[tuple[str, bytes | None]]

NAMES_PROBLEM: Final = (
    "a header's name is not UTF-8, so the client library can give none of the headers"
)

_headers: Final = methodcaller("headers")


def message_headers(message: Message) -> RawHeaders | None:
    """All headers in their order; None where a name is not UTF-8 (see ``NAMES_PROBLEM``)."""
    # confluent-kafka (2.16) turns each name into text and, for one that is not UTF-8, returns a
    # list with a hole in it while an error is set. Called as ``message.headers()`` in a loop,
    # CPython 3.11 does not notice: the error appears somewhere later, and touching the hole ends
    # the process. Through ``methodcaller`` the result is checked: a SystemError here and now.
    try:
        found: Any = _headers(message)
    except (SystemError, UnicodeDecodeError):
        return None
    return found if found is not None else []


_LEVELS: Final = (50, 50, 50, 40, 30, 20, 20, 10)
"""The level of Python's ``logging`` for each of syslog's (RFC 5424), as confluent-kafka has it."""
# Logged at each start, of what is used on purpose (see producer), and of a property that a person
# set for the clients that it concerns.
_EXPECTED: Final = (
    "Configuration property enable.gapless.guarantee is experimental",
    "property and will be ignored by this",
)


class ClientLog:
    """The object that confluent-kafka calls ``log`` on; passes all but the expected lines on.

    While ``quiet``, everything is passed on as debug output.
    """

    def __init__(self) -> None:
        self.quiet = False

    def log(self, level: int, form: str, *parts: object) -> None:
        """One line; ``parts`` are its facility, the client's name and the text."""
        texts = [part for part in parts if isinstance(part, str)]
        if not any(line in text for line in _EXPECTED for text in texts):
            _log.log(logging.DEBUG if self.quiet else level, form, *parts)

    def said(self, level: int, facility: str, text: str) -> None:
        """One line of a client of our own; ``level`` is syslog's."""
        self.log(_LEVELS[level], "%s: %s", facility, text)


def make_client(make: Callable[..., Made], config: Mapping[str, Any]) -> Made:
    """A client of confluent-kafka with these properties, which logs as ``kite_kafka_io``.

    Raises ConfigurationError if librdkafka refuses the settings.
    """
    try:
        return make(dict(config), logger=ClientLog())
    except (KafkaException, ValueError, TypeError) as exc:
        raise settings_refused(exc) from exc


def settings_refused(cause: Exception) -> ConfigurationError:
    """The error to raise when librdkafka refuses the settings."""
    text = cause.args[0].str() if isinstance(cause, KafkaException) else str(cause)
    return ConfigurationError(f"the Kafka settings are refused: {text}")
