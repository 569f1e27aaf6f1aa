"""The headers of a message, whatever their names are.

confluent-kafka (2.16) turns each header's name into text and, for one that is not UTF-8, returns a
list with a hole in it while an error is set. Called as ``message.headers()`` in a loop, CPython
3.11 does not notice: the error appears somewhere later, and touching the hole ends the process.
Called through ``methodcaller`` the result is checked, and it is a SystemError here and now.
"""

from __future__ import annotations

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
