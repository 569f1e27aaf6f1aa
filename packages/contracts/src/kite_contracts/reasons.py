"""Why something became a dead letter: the codes, what each means, whose it is, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kite_contracts.tick_batch import FIELD_COUNT, Verdict


class ReasonCode(StrEnum):
    """The codes of the ``dlq.reason`` header, in the order of the DeadLetter contract's enum."""

    UNCLASSIFIED = "UNCLASSIFIED"
    DECODE_TRUNCATED = "DECODE_TRUNCATED"
    DECODE_UNKNOWN_PACKET = "DECODE_UNKNOWN_PACKET"
    DECODE_TRAILING_BYTES = "DECODE_TRAILING_BYTES"
    SCHEMA_UNKNOWN_ID = "SCHEMA_UNKNOWN_ID"
    SCHEMA_INVALID = "SCHEMA_INVALID"
    SEMANTIC_RANGE = "SEMANTIC_RANGE"
    SEMANTIC_STALE = "SEMANTIC_STALE"
    VOLUME_REGRESSION = "VOLUME_REGRESSION"
    OUT_OF_SESSION = "OUT_OF_SESSION"
    REF_UNKNOWN_INSTRUMENT = "REF_UNKNOWN_INSTRUMENT"
    SINK_TRANSIENT = "SINK_TRANSIENT"
    SINK_PERMANENT = "SINK_PERMANENT"
    TOO_LARGE = "TOO_LARGE"
    JOURNAL_CORRUPT = "JOURNAL_CORRUPT"
    AUTH = "AUTH"

    @property
    def meaning(self) -> str:
        """What happened, in one sentence."""
        return _REASONS[self].meaning

    @property
    def retryable(self) -> bool:
        """Whether the same bytes can succeed later without anybody changing code or data."""
        return _REASONS[self].retryable

    @property
    def owner(self) -> str:
        """The place in the repository whose owner looks into it."""
        return _REASONS[self].owner

    @property
    def action(self) -> str:
        """What to do about it, in one sentence."""
        return _REASONS[self].action


@dataclass(frozen=True)
class _Reason:
    meaning: str
    retryable: bool
    owner: str
    action: str


_REASONS: Final[dict[ReasonCode, _Reason]] = {
    ReasonCode.UNCLASSIFIED: _Reason(
        "No reason was given yet, or the reader is older than the code.",
        False,
        "apps/dlq_triage",
        "Classify it again with a current dlq_triage; what stays unclear needs a code of its own.",
    ),
    ReasonCode.DECODE_TRUNCATED: _Reason(
        "The frame ends inside a packet, or announces more packets than it holds.",
        False,
        "packages/broker_zerodha",
        "Compare it with the frame in the journal, then quarantine it: the rest comes no more.",
    ),
    ReasonCode.DECODE_UNKNOWN_PACKET: _Reason(
        "The packet's length is none that Kite documents.",
        False,
        "packages/broker_zerodha",
        "See whether Kite has a new kind of packet; teach the decoder, then redrive.",
    ),
    ReasonCode.DECODE_TRAILING_BYTES: _Reason(
        "Bytes follow the last packet that the frame announces.",
        False,
        "packages/broker_zerodha",
        "Compare it with the frame in the journal, then quarantine it: its ticks are published.",
    ),
    ReasonCode.SCHEMA_UNKNOWN_ID: _Reason(
        "The value's framing names a schema that the reader does not know.",
        True,
        "packages/contracts",
        "Upgrade the reader to a version of contracts that has the schema, then redrive.",
    ),
    ReasonCode.SCHEMA_INVALID: _Reason(
        "A field is missing, of the wrong type or not in the contract.",
        False,
        "packages/contracts",
        "Correct whoever wrote it, then quarantine it; redrive it if the contract was at fault.",
    ),
    ReasonCode.SEMANTIC_RANGE: _Reason(
        "A field is outside the range that the contract states.",
        False,
        "packages/contracts",
        "Look at the field that the path names; redrive it if the contract was at fault.",
    ),
    ReasonCode.SEMANTIC_STALE: _Reason(
        "The record is too old for where it should go.",
        False,
        "apps/dlq_triage",
        "Redrive it into the repair topic, never into the live one.",
    ),
    ReasonCode.VOLUME_REGRESSION: _Reason(
        "The day's cumulative volume became smaller.",
        False,
        "packages/broker_zerodha",
        "Compare it with Kite's day volume; quarantine it if the exchange corrected itself.",
    ),
    ReasonCode.OUT_OF_SESSION: _Reason(
        "The exchange time is outside every session of the exchange.",
        False,
        "apps/hist_merge",
        "Correct the session calendar if the exchange was open, then redrive; else quarantine it.",
    ),
    ReasonCode.REF_UNKNOWN_INSTRUMENT: _Reason(
        "The instrument is not in the master of its day.",
        True,
        "apps/instruments",
        "Sync the instrument master of that day, then redrive.",
    ),
    ReasonCode.SINK_TRANSIENT: _Reason(
        "The target refused for now, such as while it is down.",
        True,
        "platform",
        "Wait until the target is back, then redrive.",
    ),
    ReasonCode.SINK_PERMANENT: _Reason(
        "The target refuses this record for good.",
        False,
        "platform",
        "Read the target's answer in the message, correct the cause, then redrive.",
    ),
    ReasonCode.TOO_LARGE: _Reason(
        "The record is larger than the topic or the target takes.",
        False,
        "packages/kafka_io",
        "Raise max.message.bytes if such records are meant to be, then redrive.",
    ),
    ReasonCode.JOURNAL_CORRUPT: _Reason(
        "A piece of the journal fails its checksum.",
        False,
        "apps/ws_bridge",
        "Check the disk and keep the segment as evidence; its other frames were replayed.",
    ),
    ReasonCode.AUTH: _Reason(
        "The credentials were refused or have expired.",
        True,
        "platform",
        "Log in again with instruments auth, then redrive.",
    ),
}


def reason_of(verdict: int) -> ReasonCode:
    """The code for a ``TickBatch`` row's verdict; a positive one names a column out of bounds.

    Raises ValueError for a good row and for a number that is no verdict.
    """
    if 0 < verdict <= FIELD_COUNT:
        return ReasonCode.SEMANTIC_RANGE
    try:
        return _OF_VERDICT[verdict]
    except KeyError:
        raise ValueError(f"verdict {verdict} is no fault") from None


_OF_VERDICT: Final[dict[int, ReasonCode]] = {
    Verdict.TRUNCATED: ReasonCode.DECODE_TRUNCATED,
    Verdict.UNKNOWN_PACKET: ReasonCode.DECODE_UNKNOWN_PACKET,
    Verdict.TRAILING_BYTES: ReasonCode.DECODE_TRAILING_BYTES,
}
