"""Classifies dead letters: by their headers, else by decoding and validating their bytes (pure).

Headers of one producer repeat from record to record but for a few numbers. What repeats is read
once and remembered; ``tests`` hold the remembered against what is read without a memory.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from kite_contracts.reasons import ReasonCode
from kite_contracts.topics import load_topics
from kite_dead_letters.dialects import (
    TABLE,
    VARYING,
    Layout,
    Table,
    cause_of,
    layout_of,
    read_field,
    reason_of_exception,
)
from kite_dead_letters.inspection import Hints, Inspection, Inspector
from kite_dead_letters.records import ClassifiedRecord, Decoded, Dialect, Failure, ReasonSource
from kite_kafka_io.framing import Framing
from kite_kafka_io.raw_reader import RawRecord

REMEMBERED: Final = 4_096
"""Entries of each memory."""
REMEMBERED_BYTES_MAX: Final = 4_096
"""Headers larger than this (stack traces) are read each time, so noise costs time and no space."""

Contents = tuple[bytes | None, ...]

_CODES: Final = frozenset(map(str, ReasonCode))
_OURS: Final = (Dialect.KITE, Dialect.NONE)


class Classifier:
    """Classifies records one at a time; ``framing`` is that of the topics. Not thread-safe."""

    def __init__(self, framing: Framing | None = None, table: Table = TABLE) -> None:
        self._table = table
        self._inspector = Inspector(framing)
        self._subjects = subjects_by_topic()

    def classify(self, raw: RawRecord) -> ClassifiedRecord:
        """What is known of one record. Never raises, whatever its headers and bytes are."""
        names, contents = zip(*raw.headers, strict=True) if raw.headers else ((), ())
        layout = layout_of(names, self._table)
        failure = failure_of(layout, tuple([contents[place.index] for place in layout.steady]))
        numbers: dict[str, Any] = {}
        for place in layout.varying:
            numbers[place.field], problem = read_field(place, contents[place.index])
            if problem is not None:
                failure = _with_problem(failure, problem, place.index)
        offset, seq, first_ns = map(numbers.get, VARYING)
        message, decoded = "", None
        if failure.reason_source is ReasonSource.NONE and layout.stack is not None:
            failure = _with_cause(failure, contents[layout.stack.index])
        if failure.reason_source is ReasonSource.NONE:
            seen = self._inspect(raw, failure, seq, first_ns)
            failure, decoded = with_inspection(failure, seen), seen.decoded
            message = seen.message
        if layout.message is not None:
            shown, problem = read_field(layout.message, contents[layout.message.index])
            message = str(shown) if shown else message
            if problem is not None:
                failure = _with_problem(failure, problem, layout.message.index)
        mark = fingerprint(
            failure.reason,
            origin_name(failure.origin_topic, raw.topic),
            message,
            failure.error_path,
            failure.exception,
        )
        return ClassifiedRecord(raw, failure, message, mark, offset, seq, first_ns, decoded)

    def decoded(self, record: ClassifiedRecord) -> Decoded | None:
        """What the record's bytes are, as far as they can be read."""
        if record.decoded is not None:
            return record.decoded
        return self._inspect(
            record.raw, record.failure, record.feed_seq, record.first_failure_ns
        ).decoded

    def _inspect(
        self, raw: RawRecord, failure: Failure, seq: int | None, first_ns: int | None
    ) -> Inspection:
        if not raw.value and failure.dialect not in _OURS:
            # A null value is no fault of its own: what the others could not do is in their message.
            return Inspection(None, "there are no bytes")
        origin = origin_name(failure.origin_topic, raw.topic)
        hints = Hints(
            failure.unit,
            self._subjects.get(origin),
            failure.feed_session or 0,
            seq or 0,
            first_ns or 0,
        )
        return self._inspector.inspect(raw.value, hints)


def _with_cause(failure: Failure, stack: bytes | None) -> Failure:
    """A wrapper says little: the exception is the first cause that has one meaning."""
    cause = cause_of(stack)
    if cause is None:
        return failure
    name, reason = cause
    return replace(failure, exception=name, reason=str(reason), reason_source=ReasonSource.HEADER)


def _with_problem(failure: Failure, problem: str, position: int) -> Failure:
    return replace(
        failure,
        problems=(*failure.problems, problem),
        other_headers=tuple(sorted({*failure.other_headers, position})),
    )


def failure_of(layout: Layout, steady: Contents) -> Failure:
    """What the headers alone give; ``reason_source`` is NONE where the bytes must decide."""
    if sum([len(content) for content in steady if content]) > REMEMBERED_BYTES_MAX:
        return _read(layout, steady)
    return _remembered(layout, steady)


def _read(layout: Layout, steady: Contents) -> Failure:
    fields: dict[str, Any] = {}
    problems = list(layout.problems)
    other_headers = set(layout.others)
    for place, content in zip(layout.steady, steady, strict=True):
        found, problem = read_field(place, content)
        if found is not None:
            fields[place.field] = found
        if place.field == "reason" and found not in _CODES:
            # As the contract has it for a reader that is older than the code.
            problem = problem or f"the reason {str(found)[:40]} is unknown to this version"
        if problem is not None:
            problems.append(problem)
            other_headers.add(place.index)
    code = fields.pop("reason", None)
    if code not in _CODES:
        meant = reason_of_exception(fields.get("exception"))
        code = str(meant) if meant is not None else None
    if code is not None and code != ReasonCode.UNCLASSIFIED:
        fields.update(reason=code, reason_source=ReasonSource.HEADER)
    fields["attempt"] = max(1, fields.get("attempt", 1))
    return Failure(
        dialect=layout.dialect,
        problems=tuple(problems),
        other_headers=tuple(sorted(other_headers)),
        **fields,
    )


_remembered: Final = lru_cache(REMEMBERED)(_read)


def with_inspection(failure: Failure, seen: Inspection) -> Failure:
    """The failure with what its bytes show."""
    contract = seen.decoded.contract if seen.decoded is not None else None
    if seen.reason is None:
        return replace(failure, contract=failure.contract or contract)
    return replace(
        failure,
        reason=str(seen.reason),
        reason_source=ReasonSource.DECODED,
        error_path=failure.error_path or seen.error_path,
        contract=failure.contract or contract,
    )


def subjects_by_topic() -> dict[str, str]:
    """The contract of each topic that has one."""
    return {topic.name: topic.subject for topic in load_topics() if topic.subject is not None}


_VARIES: Final = re.compile(
    r"""
    (?<!\w)'[^'\n]*'(?!\w)                                     # quoted values
    | "[^"\n]*"
    | \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b          # UUIDs
    | \d{4}-\d\d-\d\d(?:[T ][0-9:.,]+(?:Z|[+-]\d\d:?\d\d)?)?   # times
    | \b(?:[0-9a-f]{2}[ ]){3,}[0-9a-f]{2}\b                    # bytes in hex, and hex numbers
    | \b\dx[0-9a-f]+
    | \b(?=[a-f]*\d)[0-9a-f]{8,}\b
    | [-+]?\d+(?:[.,:_]\d+)*(?:e[-+]?\d+)?                     # numbers
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SUFFIX: Final = re.compile(r"(?:[._-](?:dlq|dlt|quarantine|retry(?:[._-]\d+)?))+\Z", re.IGNORECASE)
_HEX_DIGITS: Final = 16

DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
"""For ``bytes.translate``: messages that become equal by it have one normalised form."""


def normalise(message: str) -> str:
    """The message with ``*`` for what differs from record to record.

    Numbers, times, UUIDs, hex and quoted values are taken to differ. Which digits there are makes
    no difference.
    """
    return _VARIES.sub("*", message)


@lru_cache(REMEMBERED)
def origin_name(origin_topic: str | None, topic: str) -> str:
    """Where a record of the dead-letter ``topic`` comes from, when its headers do not name it.

    ``ticks.dlq`` and ``ticks.quarantine`` both hold what should have gone to ``ticks``.
    """
    return origin_topic if origin_topic else _SUFFIX.sub("", topic) or topic


def fingerprint(
    reason: str, origin: str, message: str, error_path: str | None, exception: str | None
) -> str:
    """16 hex digits over the reason, the origin and the normalised message.

    Path and exception count too: one message can be about several fields.
    """
    form = message.encode(errors="replace").translate(DIGITS_ALIKE)
    return _digest(reason, origin, form, error_path or "", exception)


@lru_cache(REMEMBERED)
def _digest(reason: str, origin: str, form: bytes, error_path: str, exception: str | None) -> str:
    parts = (reason, origin, exception or "", normalise(error_path), normalise(form.decode()))
    joined = "\x1f".join(parts).encode(errors="replace")
    return blake2b(joined, digest_size=_HEX_DIGITS // 2).hexdigest()
