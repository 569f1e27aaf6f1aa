"""The headers of five dead-letter producers in one form (pure).

Sources: the DeadLetter contract (ours); Kafka Connect's ``DeadLetterQueueReporter``; Spring's
``KafkaHeaders`` (big-endian binary numbers); KIP-1034 (Kafka Streams); KIP-1191 (share groups).

Where a header is there twice the first one counts, because it is of the first failure. Nothing
here raises for any headers: what cannot be read is left out and reported as a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
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


def _fields(prefix: str, parsed: dict[str, tuple[str, Parse]]) -> dict[str, tuple[str, Parse]]:
    return {prefix + name: field for name, field in parsed.items()}


FIELDS: Final = MappingProxyType(
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
                "exception.stacktrace": ("", text),
            },
        ),
        Dialect.SPRING: {
            **_fields(
                "kafka_dlt-",
                {
                    # The listener wraps every exception; the cause is the exception meant.
                    "exception-cause-fqcn": ("exception", text),
                    "exception-fqcn": ("exception", text),
                    "exception-message": ("message", text),
                    "exception-stacktrace": ("", text),
                    "original-topic": ("origin_topic", text),
                    "original-partition": ("origin_partition", binary),
                    "original-offset": ("origin_offset", binary),
                    "original-timestamp": ("", binary),
                    "original-timestamp-type": ("", text),
                    "original-consumer-group": ("component", text),
                },
            ),
            "kafka_deliveryAttempt": ("attempt", binary),
            "retry_topic-attempts": ("attempt", binary),
        },
        Dialect.STREAMS: _fields(
            "__streams.errors.",
            {
                "exception": ("exception", text),
                "message": ("message", text),
                "stacktrace": ("", text),
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
    }
)
"""Per dialect: header → the field that it fills ('' for none) and how it is read. Where two headers
fill one field, the earlier line wins."""


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

    dialect: Dialect
    steady: tuple[Place, ...]
    message: Place | None
    varying: tuple[Place, ...]
    others: tuple[int, ...]
    problems: tuple[str, ...]


@lru_cache(maxsize=4_096)
def layout_of(names: tuple[str, ...]) -> Layout:
    """Which dialect these headers are, and where its fields stand.

    Ours wins over the others, because it has most fields; then the order of ``Dialect``. What a
    redrive has left on a record does not show who dead-lettered it again. The same names give the
    same object.
    """
    given = [name for name in names if name not in _OF_A_REDRIVE]
    for dialect, known in FIELDS.items():
        if any(name in known for name in given):
            return _layout(dialect, known, names)
    return Layout(Dialect.NONE, (), None, (), tuple(range(len(names))), ())


def _layout(dialect: Dialect, known: dict[str, tuple[str, Parse]], names: Sequence[str]) -> Layout:
    first: dict[str, int] = {}
    problems: list[str] = []
    for index, name in enumerate(names):
        if name not in known:
            continue
        if name in first:
            problems.append(f"the header {name} is there again; the first one counts")
        first.setdefault(name, index)
    places: dict[str, Place] = {}
    for name, (field, parse) in known.items():
        if field and name in first:
            places.setdefault(field, Place(first[name], name, field, parse))
    said = {place.index for place in places.values()}
    others = tuple(index for index in range(len(names)) if index not in said)
    varying = tuple(places.pop(field) for field in VARYING if field in places)
    message = places.pop(MESSAGE, None)
    return Layout(
        dialect,
        tuple(places.values()),
        message,
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


def reason_of_exception(name: str | None) -> ReasonCode | None:
    """The reason that an exception's class stands for, or None where it has no single meaning."""
    if name is None or name == _CONNECT_ERRORS:
        return None
    return REASONS.get(name.rpartition(".")[2].rpartition("$")[2])
