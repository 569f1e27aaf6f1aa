"""Whether a dead letter is a good record by today's contract, and its bytes if it is (pure)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

from kite_bars_store.failures import FailureRecord
from kite_broker_zerodha.packet_records import packet_record
from kite_contracts import schemas
from kite_dead_letters.inspection import json_form, violation_of
from kite_dead_letters.json_text import parse_json
from kite_dead_letters.redrive.transforms import Transform, TransformFailed, differences
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import KafkaIoError
from kite_kafka_io.framing import CONFLUENT_MARKER, Framing

TICK: Final = "tick"
_SINGLE_OBJECT: Final = b"\xc3\x01"
_TOKEN_SUBJECTS: Final = frozenset((TICK, "bar"))
_PIECES: Final = {
    "frame-tail": "it is a piece of a frame and no record; a transform can make one of it",
    "journal": "it is a piece of the journal and no record",
}


class Unfit(Exception):
    """The dead letter is not good by today's contract; the text says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the transform changes. `pointers.MISSING` where there was, or is, nothing."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Corrected:
    """A record that today's contract takes."""

    subject: str
    record: dict[str, Any]
    changes: tuple[Change, ...] = ()


class Corrector:
    """Decodes, transforms and validates; ``framing`` is what the targets are written in."""

    def __init__(self, framing: Framing | None = None, transform: Transform | None = None) -> None:
        self._transform = transform
        self._codec = AvroCodec(framing)
        self._single_object = AvroCodec()

    def correct(self, failed: FailureRecord, subject: str) -> Corrected:
        """The dead letter as a record of ``subject``. Raises Unfit."""
        value = failed.value
        if not value:
            raise Unfit("it has no bytes" if value == b"" else "its value is null")
        if failed.unit in _PIECES and self._transform is None:
            raise Unfit(_PIECES[failed.unit])
        if self._transform is None:
            return self._checked(subject, self._decode(failed, value, subject), ())
        return self._transformed(self._transform, failed, value, subject)

    def encode(self, subject: str, record: dict[str, Any]) -> bytes:
        """The bytes to publish, by the newest version. Raises Unfit."""
        try:
            return self._codec.encode(subject, record)
        except KafkaIoError as exc:
            raise Unfit(str(exc)) from exc

    def _transformed(
        self, transform: Transform, failed: FailureRecord, value: bytes, subject: str
    ) -> Corrected:
        before: dict[str, Any] | bytes
        try:
            before = self._decode(failed, value, subject)
        except Unfit:
            before = value
        try:
            after = transform.apply(copy.deepcopy(before))
        except TransformFailed as exc:
            raise Unfit(str(exc)) from exc
        if after is None:
            raise Unfit("the transform leaves it as it is")
        if isinstance(after, bytes):
            after = self._decode(failed, after, subject)
        changes = differences(before if isinstance(before, dict) else {}, after)
        return self._checked(subject, after, tuple(Change(*each) for each in changes))

    def _decode(self, failed: FailureRecord, value: bytes, subject: str) -> dict[str, Any]:
        """The record in the newest released shape, whether the contract takes its values or not."""
        if failed.unit == "packet" or (failed.unit is None and subject == TICK):
            record = packet_record(
                value,
                feed_session=failed.feed_session or 0,
                feed_seq=failed.feed_seq or 0,
                ts_recv_ns=failed.first_failure_ns or failed.ts_ns or 0,
            )
            if record is not None:
                return record
            if failed.unit == "packet":
                raise Unfit(f"Kite documents no packet of this length ({len(value)} bytes)")
        if value.startswith(_SINGLE_OBJECT):
            return self._avro(self._single_object, value, subject)
        if value[0] == CONFLUENT_MARKER:
            return self._avro(self._codec, value, subject)
        if value.startswith(b"{"):
            return _json(value)
        raise Unfit(f"its {len(value)} bytes are no {subject} in any form")

    def _avro(self, codec: AvroCodec, value: bytes, subject: str) -> dict[str, Any]:
        try:
            found = codec.decode(value)
        except KafkaIoError as exc:
            raise Unfit(str(exc)) from exc
        if found.subject != subject:
            raise Unfit(f"it is a {found.subject or 'record of another kind'}, not a {subject}")
        return found.record

    def _checked(
        self, subject: str, record: dict[str, Any], changes: tuple[Change, ...]
    ) -> Corrected:
        version = schemas.latest(subject)
        violation = violation_of(subject, version, json_form(record))
        if violation is not None:
            raise Unfit(f"{subject}.v{version} refuses it: {violation}")
        return Corrected(subject, record, changes)


def key_of(subject: str, record: dict[str, Any], key: bytes | None) -> bytes | None:
    """The record key: the token of a tick or bar as its topic has it, else the one it had."""
    if subject in _TOKEN_SUBJECTS:
        return b"%d" % record["instrument_token"]
    return key


def _json(value: bytes) -> dict[str, Any]:
    try:
        found = parse_json(value)
    except ValueError as exc:
        raise Unfit(f"it is no JSON to correct: {exc}") from exc
    if not isinstance(found, dict):
        raise Unfit("it is JSON, and no object")
    return found
