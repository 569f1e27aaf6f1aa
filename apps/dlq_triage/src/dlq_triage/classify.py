"""Classifies dead letters: by their headers, else by decoding and validating their bytes (pure).

Headers of one producer repeat from record to record but for a few numbers. What repeats is read
once and remembered; ``tests`` hold the remembered against a classifier without memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Final

from contracts.reasons import ReasonCode
from contracts.topics import load_topics
from dlq_triage.dialects import Layout, layout_of, read_fields
from dlq_triage.exceptions import reason_of_exception
from dlq_triage.fingerprint import fingerprint, origin_name
from dlq_triage.inspection import Hints, Inspection, Inspector
from dlq_triage.records import ClassifiedRecord, Decoded, Dialect, Failure, ReasonSource
from kafka_io.framing import Framing
from kafka_io.raw_reader import RawRecord

REMEMBERED: Final = 4_096
"""Entries of each memory; a full one is emptied, so noise costs time and no space."""
REMEMBERED_BYTES_MAX: Final = 4_096
"""Headers larger than this (stack traces) are read each time."""

Contents = tuple[bytes | None, ...]
Pick = Callable[[Contents], Contents]

_CODES: Final = frozenset(map(str, ReasonCode))
_OTHERS: Final = frozenset(Dialect) - {Dialect.KITE, Dialect.NONE}


@dataclass(slots=True)
class _Kind:
    """Headers of one layout: how their contents are picked, and the failures seen so far."""

    layout: Layout
    steady: Pick
    varying: Pick
    failures: dict[Contents, Failure] = field(default_factory=dict)


class Classifier:
    """Classifies records one at a time; ``framing`` is that of the topics. Not thread-safe."""

    def __init__(self, framing: Framing | None = None) -> None:
        self._inspector = Inspector(framing)
        self._kinds: dict[tuple[str, ...], _Kind] = {}
        self._fingerprints: dict[tuple[str | None, ...], str] = {}
        self._subjects = subjects_by_topic()

    def classify(self, raw: RawRecord) -> ClassifiedRecord:
        """What is known of one record. Never raises, whatever its headers and bytes are."""
        headers = raw.headers
        names = tuple([name for name, _ in headers])
        contents = tuple([content for _, content in headers])
        kind = self._kinds.get(names) or self._learn(names)
        steady = kind.steady(contents)
        failure = kind.failures.get(steady) or self._read(kind, steady)
        found: dict[str, Any] = {}
        if kind.layout.varying:
            found, problems = read_fields(kind.layout.varying, kind.varying(contents))
            if problems:
                failure = replace(failure, problems=(*failure.problems, *problems))
        message = found.get("message", "")
        seq, first_ns = found.get("feed_seq"), found.get("first_failure_ns")
        decoded = None
        if failure.reason_source is ReasonSource.NONE:
            seen = self._inspect(raw, failure, seq, first_ns)
            failure = with_inspection(failure, seen)
            message, decoded = message or seen.message, seen.decoded
        mark = self._fingerprint(failure, message, raw.topic)
        offset = found.get("origin_offset")
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
        if not raw.value and failure.dialect in _OTHERS:
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

    def _learn(self, names: tuple[str, ...]) -> _Kind:
        layout = layout_of(names)
        kind = _Kind(
            layout,
            _picker([place.index for place in layout.steady]),
            _picker([place.index for place in layout.varying]),
        )
        if len(self._kinds) >= REMEMBERED:
            self._kinds.clear()
        self._kinds[names] = kind
        return kind

    def _read(self, kind: _Kind, steady: Contents) -> Failure:
        failure = failure_of(kind.layout, steady)
        if sum(len(content or b"") for content in steady) <= REMEMBERED_BYTES_MAX:
            if len(kind.failures) >= REMEMBERED:
                kind.failures.clear()
            kind.failures[steady] = failure
        return failure

    def _fingerprint(self, failure: Failure, message: str, topic: str) -> str:
        origin, path, exception = failure.origin_topic, failure.error_path, failure.exception
        key = (failure.reason, origin, topic, message, path, exception)
        known = self._fingerprints.get(key)
        if known is None:
            known = fingerprint(
                failure.reason, origin_name(origin, topic), message, path, exception
            )
            if len(self._fingerprints) >= REMEMBERED:
                self._fingerprints.clear()
            self._fingerprints[key] = known
        return known


def failure_of(layout: Layout, steady: Contents) -> Failure:
    """What the headers alone say; ``reason_source`` is NONE where the bytes must tell."""
    found, problems = read_fields(layout.steady, steady)
    known: dict[str, Any] = {**found, "problems": (*layout.problems, *problems)}
    code = known.pop("reason", None)
    if code is None:
        meant = reason_of_exception(known.get("exception"))
        code = str(meant) if meant is not None else None
    elif code not in _CODES:
        # As the contract has it for a reader that is older than the code.
        known["problems"] += (f"the reason {code[:40]} is unknown to this version",)
        code = None
    if code is not None and code != ReasonCode.UNCLASSIFIED:
        known.update(reason=code, reason_source=ReasonSource.HEADER)
    known["attempt"] = max(1, known.get("attempt", 1))
    return Failure(dialect=layout.dialect, **known)


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


def _picker(indices: list[int]) -> Pick:
    """Contents at these positions, as a tuple; itemgetter gives none for one position."""
    if len(indices) > 1:
        return itemgetter(*indices)
    if indices:
        index = indices[0]
        return lambda contents: (contents[index],)
    return lambda contents: ()
