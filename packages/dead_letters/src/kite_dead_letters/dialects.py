"""The headers of dead-letter producers in one form: one table drives all (pure).

`dialect_files` reads dialects of one's own.

Sources: the DeadLetter contract (ours); Kafka Connect's ``DeadLetterQueueReporter``, which its
sinks report through; Spring's ``KafkaHeaders`` and ``RetryTopicHeaders``; Spring Cloud Stream's
Kafka binder; KIP-1034 (Kafka Streams); KIP-1191 (share groups); SmallRye Reactive Messaging
(Quarkus); Watermill's poison queue; MassTransit's and NServiceBus' error queues.

Where a header is there twice the first one counts, because it is of the first failure; of a count
of attempts the last one. Nothing here raises for any headers: what cannot be read is left out and
reported as a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Final

from kite_contracts.reasons import ReasonCode
from kite_dead_letters.records import Dialect
from kite_kafka_io.redrives import ATTEMPT, FIRST_FAILURE_NS

TEXT_CHARS_MAX: Final = 4_000
"""A message is cut here; the header itself stays whole."""
VARYING: Final = ("origin_offset", "feed_seq", "first_failure_ns")
"""Numbers that differ from record to record, and the message, which may; all else repeats."""
MESSAGE: Final = "message"
STACK: Final = "stacktrace"
"""Read for the cause alone, where nothing else gives a reason."""

_INT_BYTES: Final = 4
_LONG_BYTES: Final = 8
_LONG_MAX: Final = 2**63 - 1
_DIGITS_MAX: Final = 19
_SHOWN_CHARS: Final = 40

_OF_A_REDRIVE: Final = frozenset((ATTEMPT, FIRST_FAILURE_NS))

Parse = Callable[[bytes], "str | int"]


def text(content: bytes) -> str:
    """Text for people and for Postgres, which takes no NUL: faulty bytes as ``\\xNN``, and cut."""
    found = _written(content)
    return found if len(found) <= TEXT_CHARS_MAX else found[:TEXT_CHARS_MAX] + "…"


def _written(content: bytes) -> str:
    """``text`` before it is cut; of what is longer at least one sign more than is shown."""
    try:
        found = content.decode()
    except UnicodeDecodeError:
        # A sign has four bytes at most.
        found = content[: 4 * (TEXT_CHARS_MAX + 1)].decode(errors="backslashreplace")
    if "\0" in found:
        found = found[: TEXT_CHARS_MAX + 1].replace("\0", r"\x00")
    return found


def decimal(content: bytes) -> int:
    """A whole number from 0 that fits 64 bits. Raises ValueError."""
    if not content.isdigit() or len(content) > _DIGITS_MAX or (found := int(content)) > _LONG_MAX:
        raise ValueError("no number")
    return found


def binary(content: bytes) -> int:
    """A big-endian int or long, as Spring writes them, or a decimal. Raises ValueError.

    Four or eight digits are taken for a decimal: as binary they would be partition 808 million.
    """
    if content.isdigit():
        return decimal(content)
    found = int.from_bytes(content, "big", signed=True)
    if len(content) not in (_INT_BYTES, _LONG_BYTES) or found < 0:
        raise ValueError("no number")
    return found


def attempts(content: bytes) -> int:
    """As ``binary``, and a single byte is the number that it is, but for a digit."""
    return content[0] if len(content) == 1 and not content.isdigit() else binary(content)


Known = Mapping[str, tuple[str, Parse]]
"""Header → the field that it fills ('' for none) and how it is read."""


def _fields(prefix: str, parsed: Known) -> Known:
    return {prefix + name: field for name, field in parsed.items()}


def _spring(prefix: str) -> Known:
    """What Spring writes about the record and the exception; the recoverer of a dead-letter topic
    and the one of retry topics differ by the prefix."""
    return _fields(
        prefix,
        {
            # The listener wraps every exception; the cause is the exception meant.
            "exception-cause-fqcn": ("exception", text),
            "exception-fqcn": ("exception", text),
            "exception-message": ("message", text),
            "exception-stacktrace": ("stacktrace", text),
            "key-exception-fqcn": ("exception", text),
            "key-exception-message": ("message", text),
            "key-exception-stacktrace": ("stacktrace", text),
            "original-topic": ("origin_topic", text),
            "original-partition": ("origin_partition", binary),
            "original-offset": ("origin_offset", binary),
            "original-timestamp": ("", binary),
            "original-timestamp-type": ("", text),
            "original-consumer-group": ("component", text),
        },
    )


FIELDS: Final[Mapping[str, Known]] = MappingProxyType(
    {
        Dialect.KITE: _fields(
            "dlq.",
            {
                "reason": ("reason", text),
                "message": ("message", text),
                "error_path": ("error_path", text),
                "origin_topic": ("origin_topic", text),
                "origin_partition": ("origin_partition", decimal),
                "origin_offset": ("origin_offset", decimal),
                "feed_session": ("feed_session", decimal),
                "feed_seq": ("feed_seq", decimal),
                "contract": ("contract", text),
                "first_failure_ns": ("first_failure_ns", decimal),
                "attempt": ("attempt", decimal),
                "unit": ("unit", text),
            },
        ),
        Dialect.CONNECT: _fields(
            "__connect.errors.",
            {
                "topic": ("origin_topic", text),
                "partition": ("origin_partition", decimal),
                "offset": ("origin_offset", decimal),
                "connector.name": ("component", text),
                "task.id": ("", text),
                "stage": ("", text),
                "class.name": ("", text),
                "exception.class.name": ("exception", text),
                "exception.message": ("message", text),
                "exception.stacktrace": ("stacktrace", text),
            },
        ),
        Dialect.SPRING: {
            **_spring("kafka_dlt-"),
            **_spring("kafka_"),
            "retry_topic-attempts": ("attempt", attempts),
            "kafka_deliveryAttempt": ("attempt", attempts),
            "retry_topic-original-timestamp": ("", binary),
            "retry_topic-backoff-timestamp": ("", binary),
        },
        Dialect.STREAMS: _fields(
            "__streams.errors.",
            {
                "exception": ("exception", text),
                "message": ("message", text),
                "stacktrace": ("stacktrace", text),
                "topic": ("origin_topic", text),
                "partition": ("origin_partition", decimal),
                "offset": ("origin_offset", decimal),
            },
        ),
        Dialect.SHARE_GROUP: _fields(
            "__dlq.errors.",
            {
                "topic": ("origin_topic", text),
                "partition": ("origin_partition", decimal),
                "offset": ("origin_offset", decimal),
                "group": ("component", text),
                "delivery.count": ("attempt", decimal),
                "message": ("message", text),
            },
        ),
        Dialect.CLOUD_STREAM: _fields(
            "x-",
            {
                "exception-fqcn": ("exception", text),
                "exception-message": ("message", text),
                "exception-stacktrace": ("stacktrace", text),
                "original-topic": ("origin_topic", text),
                "original-partition": ("origin_partition", binary),
                "original-offset": ("origin_offset", binary),
                "original-timestamp": ("", binary),
                "original-timestamp-type": ("", text),
            },
        ),
        Dialect.SMALLRYE: _fields(
            "dead-letter-",
            {
                "cause-class-name": ("exception", text),
                "exception-class-name": ("exception", text),
                "reason": ("message", text),
                "cause": ("message", text),
                "topic": ("origin_topic", text),
                "partition": ("origin_partition", binary),
                "offset": ("origin_offset", binary),
            },
        ),
        Dialect.WATERMILL: {
            "reason_poisoned": ("message", text),
            "topic_poisoned": ("origin_topic", text),
            "handler_poisoned": ("component", text),
            "subscriber_poisoned": ("", text),
        },
        Dialect.MASSTRANSIT: _fields(
            "MT-",
            {
                "Fault-ExceptionType": ("exception", text),
                "Fault-Message": ("message", text),
                "Reason": ("message", text),
                "Fault-StackTrace": ("stacktrace", text),
                "Fault-InputAddress": ("", text),
                "Fault-ConsumerType": ("component", text),
                "Fault-RetryCount": ("", text),
                "Fault-Timestamp": ("", text),
            },
        ),
        Dialect.NSERVICEBUS: _fields(
            "NServiceBus.",
            {
                "ExceptionInfo.ExceptionType": ("exception", text),
                "ExceptionInfo.Message": ("message", text),
                "ExceptionInfo.StackTrace": ("stacktrace", text),
                "FailedQ": ("origin_topic", text),
                "TimeOfFailure": ("", text),
            },
        ),
    }
)
"""Per dialect, what its headers mean. Where two headers fill one field, the earlier line wins."""

LAST: Final = frozenset(("retry_topic-attempts",))
"""Headers of which each retry adds one: the last one counts."""


@dataclass(frozen=True, eq=False)
class Table:
    """The dialects that are known, in the order in which they are tried."""

    fields: Mapping[str, Known]

    @cached_property
    def headers(self) -> frozenset[str]:
        """Every header that any of them writes."""
        return frozenset().union(*self.fields.values()) | LAST


TABLE: Final = Table(FIELDS)


@dataclass(frozen=True, slots=True)
class Place:
    """One header of a layout: its position, its name, the field that it fills, how it is read."""

    index: int
    name: str
    field: str
    parse: Parse


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What a sequence of header names means, whatever their values are.

    ``steady`` are the fields that repeat, ``varying`` those of ``VARYING`` for which there is a
    header. ``others`` are the positions of headers that fill no field: those of others, those
    without a field, and those that are there again.
    """

    dialect: str
    steady: tuple[Place, ...]
    message: Place | None
    stack: Place | None
    varying: tuple[Place, ...]
    others: tuple[int, ...]
    problems: tuple[str, ...]


@lru_cache(maxsize=4_096)
def layout_of(names: tuple[str, ...], table: Table = TABLE) -> Layout:
    """Which dialect these headers are, and where its fields stand.

    Ours wins over the others, because it has most fields; then the order of ``Dialect``. What a
    redrive has left on a record does not show who dead-lettered it again. The same names give the
    same object.
    """
    given = [name for name in names if name not in _OF_A_REDRIVE]
    for dialect, known in table.fields.items():
        if any(name in known for name in given):
            return _layout(dialect, known, names)
    return Layout(Dialect.NONE, (), None, None, (), tuple(range(len(names))), ())


def _layout(dialect: str, known: Known, names: Sequence[str]) -> Layout:
    counts: dict[str, int] = {}
    problems: list[str] = []
    for index, name in enumerate(names):
        if name not in known:
            continue
        if name in LAST:
            counts[name] = index
            continue
        if name in counts:
            problems.append(f"the header {name} is there again; the first one counts")
        counts.setdefault(name, index)
    places: dict[str, Place] = {}
    for name, (field, parse) in known.items():
        if field and name in counts:
            places.setdefault(field, Place(counts[name], name, field, parse))
    stack = places.pop(STACK, None)
    said = {place.index for place in places.values()}
    others = tuple(index for index in range(len(names)) if index not in said)
    varying = tuple(places.pop(field) for field in VARYING if field in places)
    message = places.pop(MESSAGE, None)
    return Layout(
        dialect,
        tuple(places.values()),
        message,
        stack,
        varying,
        others,
        tuple(dict.fromkeys(problems)),
    )


def read_field(place: Place, content: bytes | None) -> tuple[str | int | None, str | None]:
    """The field, and what of the header is missing in it, if anything.

    A header without a value is as good as none.
    """
    if content is None:
        return None, None
    if place.parse is text:
        if content.isascii() and len(content) <= TEXT_CHARS_MAX and b"\0" not in content:
            return content.decode(), None  # nearly all
        return text(content), _text_problem(place.name, content)
    try:
        return place.parse(content), None
    except ValueError:
        shown = text(content)[:_SHOWN_CHARS]
        return None, f"the header {place.name} holds no number: {shown}"


def _text_problem(name: str, content: bytes) -> str | None:
    """Why ``text`` of this header is not the whole of it, or None."""
    if len(_written(content)) > TEXT_CHARS_MAX:
        return f"the header {name} is cut from {len(content)} bytes"
    try:
        content.decode()
    except UnicodeDecodeError:
        return f"the header {name} is not UTF-8"
    return rf"the header {name} holds a NUL, shown as \x00" if b"\0" in content else None


# Only classes with one meaning. A SerializationException or a DataException means that bytes were
# not what they should be: what they are is found by decoding them.
REASONS: Final = MappingProxyType(
    {
        "RecordTooLargeException": ReasonCode.TOO_LARGE,
        "RecordBatchTooLargeException": ReasonCode.TOO_LARGE,
        "MessageSizeTooLargeException": ReasonCode.TOO_LARGE,
        "TimeoutException": ReasonCode.SINK_TRANSIENT,
        "SocketTimeoutException": ReasonCode.SINK_TRANSIENT,
        "ConnectException": ReasonCode.SINK_TRANSIENT,
        "RetriableException": ReasonCode.SINK_TRANSIENT,
        "NetworkException": ReasonCode.SINK_TRANSIENT,
        "DisconnectException": ReasonCode.SINK_TRANSIENT,
        "NotEnoughReplicasException": ReasonCode.SINK_TRANSIENT,
        "SQLTransientException": ReasonCode.SINK_TRANSIENT,
        "SQLTransientConnectionException": ReasonCode.SINK_TRANSIENT,
        "SQLRecoverableException": ReasonCode.SINK_TRANSIENT,
        "TransientDataAccessException": ReasonCode.SINK_TRANSIENT,
        "DataIntegrityViolationException": ReasonCode.SINK_PERMANENT,
        "DuplicateKeyException": ReasonCode.SINK_PERMANENT,
        "SQLIntegrityConstraintViolationException": ReasonCode.SINK_PERMANENT,
        "SQLNonTransientException": ReasonCode.SINK_PERMANENT,
        "SQLSyntaxErrorException": ReasonCode.SINK_PERMANENT,
        "InvalidTopicException": ReasonCode.SINK_PERMANENT,
        "UnknownTopicOrPartitionException": ReasonCode.SINK_PERMANENT,
        "AuthenticationException": ReasonCode.AUTH,
        "SaslAuthenticationException": ReasonCode.AUTH,
        "SslAuthenticationException": ReasonCode.AUTH,
        "AuthorizationException": ReasonCode.AUTH,
        "TopicAuthorizationException": ReasonCode.AUTH,
        "GroupAuthorizationException": ReasonCode.AUTH,
        "ClusterAuthorizationException": ReasonCode.AUTH,
        "AccessDeniedException": ReasonCode.AUTH,
    }
)
_CONNECT_ERRORS: Final = "org.apache.kafka.connect.errors.ConnectException"
"""Kafka Connect's own base class of everything, not ``java.net.ConnectException``."""


_CAUSE: Final = re.compile(rb"^\s*Caused by: ([\w.$]+)", re.MULTILINE)


def reason_of_exception(name: str | None) -> ReasonCode | None:
    """The reason that an exception's class stands for, or None where it has no single meaning."""
    if name is None or name == _CONNECT_ERRORS:
        return None
    return REASONS.get(name.rpartition(".")[2].rpartition("$")[2])


def cause_of(stack: bytes | None) -> tuple[str, ReasonCode] | None:
    """The first cause of a Java stack trace that has one meaning, and this."""
    for found in _CAUSE.finditer(stack or b""):
        name = found[1].decode()
        reason = reason_of_exception(name)
        if reason is not None:
            return name, reason
    return None
