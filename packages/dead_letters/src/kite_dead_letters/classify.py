"""Classifies dead letters: by their headers, else by decoding and validating their bytes (pure).

Headers of one producer repeat from record to record but for a few numbers. What repeats is read
once and remembered; ``tests`` hold the remembered against a classifier without memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final

from kite_contracts.reasons import ReasonCode
from kite_contracts.topics import load_topics
from kite_dead_letters.dialects import (
    TEXT_CHARS_MAX,
    Layout,
    Parse,
    decimal,
    layout_of,
    read_field,
    reason_of_exception,
    text,
    text_problem,
)
from kite_dead_letters.inspection import Hints, Inspection, Inspector
from kite_dead_letters.records import ClassifiedRecord, Decoded, Dialect, Failure, ReasonSource
from kite_kafka_io.framing import Framing
from kite_kafka_io.raw_reader import RawRecord

REMEMBERED: Final = 4_096
"""Entries of each memory; a full one is emptied, so noise costs time and no space."""
REMEMBERED_BYTES_MAX: Final = 4_096
"""Headers larger than this (stack traces) are read each time."""

Contents = tuple[bytes | None, ...]
Pick = Callable[[Contents], Contents]

_CODES: Final = frozenset(map(str, ReasonCode))
_BEHIND: Final = ("", None)
_OTHERS: Final = frozenset(Dialect) - {Dialect.KITE, Dialect.NONE}


@dataclass(slots=True)
class Known:
    """A failure seen before, its last message, and the fingerprints of its messages: (topic, form)
    → fingerprint. The form is the message with all digits alike, for which ``normalise`` gives the
    same.
    """

    failure: Failure
    by_bytes: bool
    topic: str = ""
    content: bytes | None = None
    message: str = ""
    mark: str = ""
    plain: bool = True
    """Whether the message is its header's text, sign by sign."""
    marks: dict[tuple[str, bytes], str] = field(default_factory=dict)


@dataclass(slots=True)
class Kind:
    """Headers of one layout. ``*_at`` are positions; -1 is that of a None behind the last one."""

    names: tuple[str, ...]
    layout: Layout
    steady: Pick
    message_at: int
    offset_at: int
    seq_at: int
    first_at: int
    parse_offset: Parse
    known: dict[Contents, Known] = field(default_factory=dict)


class Classifier:
    """Classifies records one at a time; ``framing`` is that of the topics. Not thread-safe."""

    def __init__(self, framing: Framing | None = None) -> None:
        self._inspector = Inspector(framing)
        self._kinds: dict[tuple[str, ...], Kind] = {}
        self._last_kinds: dict[int, Kind] = {}
        """Number of headers → the layout last seen with so many: comparing is quicker than hashing
        names that are new objects each time."""
        self._subjects = subjects_by_topic()

    def classify(self, raw: RawRecord) -> ClassifiedRecord:
        """What is known of one record. Never raises, whatever its headers and bytes are."""
        # A None behind the last header is for the fields that no header fills.
        names, contents = zip(*raw.headers, _BEHIND, strict=False)
        last = self._last_kinds.get(len(names))
        kind = last if last is not None and last.names == names else self._kind(names)
        steady = kind.steady(contents)
        known = kind.known.get(steady) or self._read(kind, steady)
        failure = known.failure
        offset: Any = contents[kind.offset_at]
        seq: Any = contents[kind.seq_at]
        first_ns: Any = contents[kind.first_at]
        try:
            if offset is not None:
                offset = kind.parse_offset(offset)
            if seq is not None:
                seq = decimal(seq)
            if first_ns is not None:
                first_ns = decimal(first_ns)
        except ValueError:
            failure, offset, seq, first_ns = _piece_by_piece(failure, kind.layout, contents)
        if known.by_bytes:
            return self._by_bytes(raw, kind, failure, contents, (offset, seq, first_ns))
        content = contents[kind.message_at] or b""
        if content != known.content or raw.topic != known.topic:
            self._say(known, content, raw.topic)
        if not known.plain:
            failure = self._said(failure, kind, content)
        return ClassifiedRecord(raw, failure, known.message, known.mark, offset, seq, first_ns)

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

    def _by_bytes(
        self,
        raw: RawRecord,
        kind: Kind,
        failure: Failure,
        contents: Contents,
        numbers: tuple[int | None, int | None, int | None],
    ) -> ClassifiedRecord:
        """A record whose headers give no reason: no two need be alike, so nothing is kept."""
        offset, seq, first_ns = numbers
        seen = self._inspect(raw, failure, seq, first_ns)
        failure = with_inspection(failure, seen)
        content = contents[kind.message_at] or b""
        failure = self._said(failure, kind, content)
        message = text(content) or seen.message
        mark = _mark(failure, message, raw.topic)
        return ClassifiedRecord(raw, failure, message, mark, offset, seq, first_ns, seen.decoded)

    def _said(self, failure: Failure, kind: Kind, content: bytes) -> Failure:
        """The failure, with a problem where the message is not the whole of its header."""
        place = kind.layout.message
        problem = text_problem(place.name, content) if place is not None else None
        if place is None or problem is None:
            return failure
        return _with_problem(failure, problem, place.index)

    def _kind(self, names: tuple[str, ...]) -> Kind:
        kind = self._kinds.get(names) or self._learn(names)
        self._last_kinds[len(names)] = kind
        return kind

    def _learn(self, names: tuple[str, ...]) -> Kind:
        layout = layout_of(names[:-1])
        message_at, offset_at, seq_at, first_at = (
            place.index if place is not None else -1 for place in (layout.message, *layout.varying)
        )
        offset = layout.varying[0]
        kind = Kind(
            names=names,
            layout=layout,
            steady=_picker([place.index for place in layout.steady]),
            message_at=message_at,
            offset_at=offset_at,
            seq_at=seq_at,
            first_at=first_at,
            parse_offset=offset.parse if offset is not None else decimal,
        )
        if len(self._kinds) >= REMEMBERED:
            self._kinds.clear()
            self._last_kinds.clear()
        self._kinds[names] = kind
        return kind

    def _read(self, kind: Kind, steady: Contents) -> Known:
        failure = failure_of(kind.layout, steady)
        known = Known(failure, failure.reason_source is ReasonSource.NONE)
        if sum(len(content or b"") for content in steady) <= REMEMBERED_BYTES_MAX:
            if len(kind.known) >= REMEMBERED:
                kind.known.clear()
            kind.known[steady] = known
        return known

    def _say(self, known: Known, content: bytes, topic: str) -> None:
        """Note text and fingerprint of the message."""
        form = (topic, content.translate(DIGITS_ALIKE))
        message = text(content)
        mark = known.marks.get(form)
        if mark is None:
            mark = _mark(known.failure, message, topic)
            if len(content) <= REMEMBERED_BYTES_MAX:
                if len(known.marks) >= REMEMBERED:
                    known.marks.clear()
                known.marks[form] = mark
        known.plain = content.isascii() and len(content) <= TEXT_CHARS_MAX and b"\0" not in content
        known.topic, known.content, known.message, known.mark = topic, content, message, mark


def _piece_by_piece(
    failure: Failure, layout: Layout, contents: Contents
) -> tuple[Failure, int | None, int | None, int | None]:
    """The varying numbers one at a time; the failure names those that are none."""
    numbers: list[int | None] = []
    for place in layout.varying:
        found, problem = read_field(place, contents[place.index]) if place else (None, None)
        numbers.append(found if isinstance(found, int) else None)
        if place is not None and problem is not None:
            failure = _with_problem(failure, problem, place.index)
    offset, seq, first_ns = numbers
    return failure, offset, seq, first_ns


def _with_problem(failure: Failure, problem: str, position: int) -> Failure:
    return replace(
        failure,
        problems=(*failure.problems, problem),
        other_headers=tuple(sorted({*failure.other_headers, position})),
    )


def _mark(failure: Failure, message: str, topic: str) -> str:
    origin = origin_name(failure.origin_topic, topic)
    return fingerprint(failure.reason, origin, message, failure.error_path, failure.exception)


def failure_of(layout: Layout, steady: Contents) -> Failure:
    """What the headers alone give; ``reason_source`` is NONE where the bytes must decide."""
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
    parts = (reason, origin, exception or "", normalise(error_path or ""), normalise(message))
    text = "\x1f".join(parts).encode(errors="replace")
    return blake2b(text, digest_size=_HEX_DIGITS // 2).hexdigest()
