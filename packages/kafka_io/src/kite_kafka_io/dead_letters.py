"""A dead letter and its form in Kafka: the raw bytes as value, all else in headers (pure).

The contract is DeadLetter v1. A field ``reason`` is the header ``dlq.reason``, in UTF-8; numbers
are decimal; a field that is None has no header.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from kite_kafka_io.errors import MalformedRecord

HEADER_PREFIX: Final = "dlq."

_KITE_TOKEN_BYTES: Final = 4

# As confluent-kafka types them; ours are always bytes.
Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Bytes that could not be published or processed, and why.

    ``reason`` is a code of ``kite_contracts.reasons``, ``error_path`` a JSON Pointer to the faulty
    field, ``contract`` what it was held against (``tick.v1``), ``unit`` what the bytes are:
    ``packet``, ``frame-tail``, ``record`` or ``journal``. ``attempt`` counts from 1.
    """

    raw: bytes
    reason: str
    message: str
    contract: str
    first_failure_ns: int
    unit: str
    attempt: int = 1
    error_path: str | None = None
    origin_topic: str | None = None
    origin_partition: int | None = None
    origin_offset: int | None = None
    feed_session: int | None = None
    feed_seq: int | None = None

    def headers(self) -> Headers:
        """All fields but the bytes, as Kafka headers."""
        values = ((name, getattr(self, name)) for name in _HEADER_FIELDS)
        return [
            (HEADER_PREFIX + name, str(value).encode())
            for name, value in values
            if value is not None
        ]

    def key(self) -> bytes | None:
        """The record key: the ASCII instrument token that a Kite packet begins with, or none."""
        if self.unit != "packet" or len(self.raw) < _KITE_TOKEN_BYTES:
            return None
        return b"%d" % int.from_bytes(self.raw[:_KITE_TOKEN_BYTES], "big")

    def record(self) -> dict[str, Any]:
        """The letter as a DeadLetter v1 record in JSON form: the bytes as base64."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**record, "raw": base64.b64encode(self.raw).decode()}


_HEADER_FIELDS: Final = tuple(field.name for field in fields(DeadLetter) if field.name != "raw")
_INTEGERS: Final = frozenset(
    ("origin_partition", "origin_offset", "feed_session", "feed_seq", "first_failure_ns", "attempt")
)
_REQUIRED: Final = ("reason", "message", "contract", "first_failure_ns", "unit", "attempt")


def read_dead_letter(
    value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> DeadLetter:
    """The inverse of ``DeadLetter.headers``; headers of others are passed over.

    Of a header that is there twice the first counts: it is of the first failure. Raises
    MalformedRecord if a required header is missing or one does not read as its field.
    """
    found: dict[str, Any] = {}
    for header, content in headers:
        name = header.removeprefix(HEADER_PREFIX)
        if header.startswith(HEADER_PREFIX) and name in _HEADER_FIELDS and name not in found:
            found[name] = _field(header, name, content)
    missing = [HEADER_PREFIX + name for name in _REQUIRED if name not in found]
    if missing:
        raise MalformedRecord(f"the dead letter has no header {', '.join(missing)}")
    return DeadLetter(raw=value or b"", **found)


def _field(header: str, name: str, content: bytes | None) -> str | int:
    try:
        text = (content or b"").decode()
        return int(text) if name in _INTEGERS else text
    except ValueError as exc:
        raise MalformedRecord(f"the header {header} is malformed: {content!r}") from exc
