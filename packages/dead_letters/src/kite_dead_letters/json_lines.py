"""Classified records as lines of JSON: what ``dump`` writes (pure).

A dump writes millions of lines, and most of a line is that of the line before: what a failure holds
is put into JSON once and remembered. A test holds the lines to plain ``orjson``.
"""

from __future__ import annotations

import base64
from binascii import b2a_base64
from typing import Any, Final

import orjson

from kite_broker_zerodha.packet_records import packet_record
from kite_dead_letters.classify import REMEMBERED, Classifier
from kite_dead_letters.records import ClassifiedRecord, Decoded, Failure
from kite_kafka_io.client import RawHeaders

_NULL: Final = b"null"
_NONE: Final = b"[]"
_LINE: Final = (
    b'{"topic":%b,"partition":%d,"offset":%d,"ts_ns":%b,%b,"message":%b,"fingerprint":"%b",'
    b'"origin_offset":%b,"feed_seq":%b,"first_failure_ns":%b,"problems":%b,"key":%b,"headers":%b,'
    b'"value":%b,"decoded":%b}\n'
)
_FAILURE_FIELDS: Final = (
    *("reason", "reason_source", "error_path", "dialect", "exception", "component"),
    *("origin_topic", "origin_partition", "feed_session", "contract", "unit", "attempt"),
)
"""Those of a failure that a line has, in its order."""


class LineMaker:
    """Makes lines of records that ``classifier`` classified. Not thread-safe."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._failures: dict[int, tuple[Failure, bytes]] = {}

    def line(self, record: ClassifiedRecord) -> bytes:
        """One line, with its newline. docs/dead-letters.md explains the fields."""
        raw, failure, message, fingerprint, offset, seq, first_ns, _ = record
        topic, partition, at, ts_ns, key, value, headers, _ = raw
        problems = failure.problems or raw.problems
        return _LINE % (
            orjson.dumps(topic),
            partition,
            at,
            _NULL if ts_ns is None else b"%d" % ts_ns,
            self.fields(failure),
            orjson.dumps(message),
            fingerprint.encode(),
            _NULL if offset is None else b"%d" % offset,
            _NULL if seq is None else b"%d" % seq,
            _NULL if first_ns is None else b"%d" % first_ns,
            orjson.dumps(record.problems) if problems else _NONE,
            _key(key),
            _headers(headers, failure.other_headers) if failure.other_headers else _NONE,
            _NULL if value is None else b'"%b"' % b2a_base64(value, newline=False),
            self._decoded(record),
        )

    def _decoded(self, record: ClassifiedRecord) -> bytes:
        failure = record.failure
        if failure.unit == "packet":
            tick = packet_record(
                record.raw.value or b"",
                feed_session=failure.feed_session or 0,
                feed_seq=record.feed_seq or 0,
                ts_recv_ns=record.first_failure_ns or 0,
            )
            if tick is None:
                return _NULL
            return orjson.dumps({"form": "packet", "contract": failure.contract, "records": [tick]})
        decoded = self._classifier.decoded(record)
        return _NULL if decoded is None else decoded_json(decoded)

    def fields(self, failure: Failure) -> bytes:
        """The failure as members of a JSON object."""
        return (self._failures.get(id(failure)) or self._learn(failure))[1]

    def _learn(self, failure: Failure) -> tuple[Failure, bytes]:
        """The failure as JSON without braces; it is kept so that its id stays its own."""
        fields = {name: getattr(failure, name) for name in _FAILURE_FIELDS}
        known = (failure, orjson.dumps(fields)[1:-1])
        if len(self._failures) >= REMEMBERED:
            self._failures.clear()
        self._failures[id(failure)] = known
        return known


def decoded_json(decoded: Decoded) -> bytes:
    """What the bytes are, as JSON."""
    return orjson.dumps(
        {"form": decoded.form, "contract": decoded.contract, "records": decoded.records}, to_json
    )


def to_json(value: Any) -> Any:
    """What JSON has no form for: bytes as base64, anything else as its text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def text_or_base64(content: bytes | None) -> Any:
    """Text where it is UTF-8; other bytes as ``{"base64": …}``."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _key(key: bytes | None) -> bytes:
    if key is None:
        return _NULL
    if key.isalnum():  # as instrument tokens are
        return b'"%b"' % key
    return orjson.dumps(text_or_base64(key))


def _headers(headers: RawHeaders, positions: tuple[int, ...]) -> bytes:
    chosen = [headers[position] for position in positions]
    return orjson.dumps([(name, text_or_base64(content)) for name, content in chosen])
