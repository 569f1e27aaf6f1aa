"""What the bytes of a record are, and what is wrong with them: decoded and validated again (pure).

Used where no header gives a reason, and to show what a record holds. Never raises for any bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import jsonschema_rs

from kite_broker_zerodha.packet_records import packet_record
from kite_broker_zerodha.packets import COUNT_BYTES, LENGTH_BYTES, PacketKind, Segment, segment_of
from kite_contracts import schemas
from kite_contracts.reasons import ReasonCode
from kite_contracts.schemas import json_schema
from kite_contracts.validate import Violation, explain
from kite_dead_letters.json_text import parse_json
from kite_dead_letters.records import Decoded
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import KafkaIoError, MalformedRecord, UnknownSchema
from kite_kafka_io.framing import CONFLUENT_MARKER, CONFLUENT_PREFIX_BYTES, Framing

_STRUCTURE: Final = frozenset({"type", "required", "additionalProperties", "dependentRequired"})


def violation_of(subject: str, version: int, record: Any) -> Violation | None:
    """The first rule that the record breaks, or None.

    ``kite_contracts.validate`` is the reference and explains a rejection, thousands a second;
    jsonschema-rs reads the same JSON Schema and answers most records before it comes to that.
    """
    if _quick(subject, version).is_valid(record):
        # Draft 2020-12 takes 1.0 for an integer and our contract does not; Avro has no such case.
        return None
    return explain(subject, version, record)


def reason_of_violation(violation: Violation) -> ReasonCode:
    """A wrong structure and a value outside its range are different codes."""
    if violation.keyword in _STRUCTURE:
        return ReasonCode.SCHEMA_INVALID
    return ReasonCode.SEMANTIC_RANGE


def json_form(value: Any) -> Any:
    """An Avro record as JSON has it: bytes as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: json_form(each) for key, each in value.items()}
    if isinstance(value, list):
        return [json_form(each) for each in value]
    return value


@cache
def _quick(subject: str, version: int) -> Any:
    return jsonschema_rs.Draft202012Validator(json_schema(subject, version))


SINGLE_OBJECT_MARKER: Final = b"\xc3\x01"
TICK: Final = "tick"

_LENGTHS: Final = frozenset(PacketKind)
_SEGMENTS: Final = frozenset(Segment)
_TEXT_BYTES_MAX: Final = 100_000
_JSON_STARTS: Final = b"{["


@dataclass(frozen=True, slots=True)
class Inspection:
    """``reason`` is None where the bytes are good now, or unknown: ``message`` says which.

    ``decoded`` is what they are, as far as they could be read.
    """

    reason: ReasonCode | None
    message: str
    error_path: str | None = None
    decoded: Decoded | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What headers and topic imply about the bytes. ``subject`` is the contract expected."""

    unit: str | None = None
    subject: str | None = None
    feed_session: int = 0
    feed_seq: int = 0
    ts_recv_ns: int = 0


class Inspector:
    """Decodes with every released version of every contract; ``framing`` is the topics' framing."""

    def __init__(self, framing: Framing | None = None) -> None:
        self._codec = AvroCodec(framing)
        self._single_object = AvroCodec()

    def inspect(self, value: bytes | None, hints: Hints) -> Inspection:
        """Identify the bytes."""
        if not value:
            what = "the record has a null value" if value is None else "there are no bytes"
            return Inspection(ReasonCode.DECODE_TRUNCATED, what)
        if hints.unit == "journal":
            return Inspection(ReasonCode.JOURNAL_CORRUPT, "a piece of the journal")
        if hints.unit == "packet":
            return self._packet(value, hints)
        if hints.unit == "frame-tail":
            return _frame_tail(value)
        for found in self._guesses(value, hints):
            if found is not None:
                return found
        return Inspection(None, _unknown(value), decoded=_text(value))

    def _guesses(self, value: bytes, hints: Hints) -> Iterator[Inspection | None]:
        """From what cannot be taken for anything else to what can."""
        if value.startswith(SINGLE_OBJECT_MARKER):
            yield self._avro(self._single_object, value, hints)
        framed = value[0] == CONFLUENT_MARKER and len(value) >= CONFLUENT_PREFIX_BYTES
        if framed:
            yield self._registered(value, hints)
            yield self._body(value[CONFLUENT_PREFIX_BYTES:], hints)
        if hints.unit is None and len(value) in _LENGTHS:
            token = int.from_bytes(value[:4], "big")
            if segment_of(token) in _SEGMENTS and token >> 8:
                yield self._packet(value, hints)
        if hints.unit is None:
            yield self._frame(value, hints)
        if value[0] in _JSON_STARTS:
            yield _json(value, hints)
        if framed and hints.subject is not None:
            number = int.from_bytes(value[1:CONFLUENT_PREFIX_BYTES], "big")
            yield Inspection(
                ReasonCode.SCHEMA_UNKNOWN_ID,
                f"the value names schema {number} of a registry, and fits no contract of ours",
            )

    def _avro(self, codec: AvroCodec, value: bytes, hints: Hints) -> Inspection:
        try:
            found = codec.decode_as_written(value)
        except UnknownSchema as error:
            return Inspection(ReasonCode.SCHEMA_UNKNOWN_ID, str(error))
        except MalformedRecord as error:
            return Inspection(ReasonCode.SCHEMA_INVALID, str(error))
        return _held(found.subject, found.version, found.record, hints)

    def _registered(self, value: bytes, hints: Hints) -> Inspection | None:
        """By the registry's number, where the topics are framed so and the number is known."""
        try:
            found = self._codec.decode_as_written(value)
        except KafkaIoError:
            return None
        return _held(found.subject, found.version, found.record, hints)

    def _body(self, body: bytes, hints: Hints) -> Inspection | None:
        """Without the registry: the one contract that takes exactly these bytes, if any does."""
        subjects = sorted(schemas.subjects(), key=lambda subject: subject != hints.subject)
        for subject in subjects:
            for version in reversed(schemas.versions(subject)):
                try:
                    record = self._codec.decode_body(subject, version, body)
                except MalformedRecord:
                    continue
                if violation_of(subject, version, json_form(record)) is None:
                    return _held(subject, version, record, hints)
        return None

    def _packet(self, value: bytes, hints: Hints) -> Inspection:
        record = packet_record(
            value,
            feed_session=hints.feed_session,
            feed_seq=hints.feed_seq,
            ts_recv_ns=hints.ts_recv_ns,
        )
        if record is None:
            return Inspection(
                ReasonCode.DECODE_UNKNOWN_PACKET,
                f"Kite documents no packet of this length ({len(value)} bytes)",
            )
        return _with_form(
            _held(TICK, schemas.latest(TICK), record, Hints(subject=TICK)), "packet", [record]
        )

    def _frame(self, value: bytes, hints: Hints) -> Inspection | None:
        """A whole frame: exactly as many packets as announced, all of documented lengths."""
        packets = split_frame(value)
        if not packets:
            return None
        found = [self._packet(packet, hints) for packet in packets]
        records = [each.decoded.records[0] for each in found if each.decoded is not None]
        worst = next((each for each in found if each.reason is not None), found[0])
        return _with_form(worst, "frame", records)


def split_frame(value: bytes) -> list[bytes]:
    """The packets of a whole and documented frame; none for any other bytes."""
    packets: list[bytes] = []
    at = COUNT_BYTES
    count = int.from_bytes(value[:COUNT_BYTES], "big")
    while len(packets) < count:
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(value[at:start], "big")
        if at > len(value) or at - start not in _LENGTHS:
            return []
        packets.append(value[start:at])
    return packets if at == len(value) else []


def _frame_tail(value: bytes) -> Inspection:
    """The rest of a frame: either a packet that is cut short, or bytes that were not announced."""
    announced = int.from_bytes(value[:LENGTH_BYTES], "big")
    if len(value) < LENGTH_BYTES or announced > len(value) - LENGTH_BYTES:
        return Inspection(
            ReasonCode.DECODE_TRUNCATED, f"the frame ends inside a packet ({len(value)} bytes)"
        )
    return Inspection(
        ReasonCode.DECODE_TRAILING_BYTES, f"bytes follow the last packet ({len(value)} bytes)"
    )


def _held(subject: str | None, version: int | None, record: Any, hints: Hints) -> Inspection:
    """Hold a decoded record against the contract that wrote it."""
    name = f"{subject}.v{version}" if subject and version else None
    decoded = Decoded("record", name, [record])
    if subject is None or version is None:
        message = "a record of a schema that is none of our contracts"
        return Inspection(ReasonCode.SCHEMA_UNKNOWN_ID, message, None, decoded)
    violation = violation_of(subject, version, json_form(record))
    if violation is not None:
        reason = reason_of_violation(violation)
        return Inspection(reason, violation.message, violation.path, decoded)
    if hints.subject is not None and subject != hints.subject:
        message = f"a good {name}, where a {hints.subject} is due"
        return Inspection(ReasonCode.SCHEMA_INVALID, message, None, decoded)
    return Inspection(None, f"a good {name} by today's contracts", None, decoded)


def _with_form(found: Inspection, form: str, records: list[Any]) -> Inspection:
    contract = found.decoded.contract if found.decoded is not None else None
    decoded = Decoded(form, contract, records)
    return Inspection(found.reason, found.message, found.error_path, decoded)


def _json(value: bytes, hints: Hints) -> Inspection | None:
    try:
        parsed = parse_json(value)
    except ValueError:
        return None
    decoded = Decoded("json", None, [parsed])
    if hints.subject is None:
        return Inspection(None, "JSON; no contract is known for its topic", None, decoded)
    message = f"JSON, where an Avro {hints.subject} is due"
    return Inspection(ReasonCode.SCHEMA_INVALID, message, None, decoded)


def _text(value: bytes) -> Decoded | None:
    """Printable text, or None."""
    try:
        text = value[:_TEXT_BYTES_MAX].decode()
    except UnicodeDecodeError:
        return None
    return Decoded("text", None, [text]) if text.isprintable() else None


def _unknown(value: bytes) -> str:
    return f"no header says why, and {len(value)} bytes are nothing that we know"
