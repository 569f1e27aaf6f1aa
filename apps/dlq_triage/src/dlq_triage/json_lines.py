"""A classified record as one line of JSON: what `dump` writes (pure)."""

from __future__ import annotations

import base64
from binascii import b2a_base64
from typing import Any, Final

import orjson

from dlq_triage.records import ClassifiedRecord, Decoded, Dialect

_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATACLASS
_OURS: Final = "dlq."


def json_line(record: ClassifiedRecord, decoded: Decoded | None) -> bytes:
    """One line, with its newline. docs/dead-letters.md explains the fields."""
    raw, failure = record.raw, record.failure
    value, key = raw.value, raw.key
    return orjson.dumps(
        {
            "topic": raw.topic,
            "partition": raw.partition,
            "offset": raw.offset,
            "ts_ns": raw.ts_ns,
            "reason": failure.reason,
            "reason_source": failure.reason_source,
            "message": record.message,
            "error_path": failure.error_path,
            "fingerprint": record.fingerprint,
            "dialect": failure.dialect,
            "exception": failure.exception,
            "component": failure.component,
            "origin_topic": failure.origin_topic,
            "origin_partition": failure.origin_partition,
            "origin_offset": record.origin_offset,
            "feed_session": failure.feed_session,
            "feed_seq": record.feed_seq,
            "contract": failure.contract,
            "unit": failure.unit,
            "attempt": failure.attempt,
            "first_failure_ns": record.first_failure_ns,
            "problems": record.problems,
            "key": _text_or_base64(key),
            "headers": _headers(record),
            "value": None if value is None else b2a_base64(value, newline=False).decode("ascii"),
            "decoded": None if decoded is None else _decoded(decoded),
        },
        to_json,
        _OPTIONS,
    )


def to_json(value: Any) -> Any:
    """What JSON has no form for: bytes as base64, anything else as its text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _decoded(decoded: Decoded) -> dict[str, Any]:
    return {"form": decoded.form, "contract": decoded.contract, "records": decoded.records}


def _headers(record: ClassifiedRecord) -> list[list[Any]]:
    """The headers that the fields do not say already: all but ours, where ours are in order."""
    headers = record.raw.headers
    if record.failure.dialect is Dialect.KITE and not record.failure.problems:
        headers = [each for each in headers if not each[0].startswith(_OURS)]
    return [[name, _text_or_base64(content)] for name, content in headers]


def _text_or_base64(content: bytes | None) -> Any:
    """Text where it is UTF-8; other bytes as ``{"base64": …}``."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
