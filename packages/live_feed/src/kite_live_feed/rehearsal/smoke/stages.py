"""Dead letters as other stages write them: with them a smoke has every reason code (pure).

The fault script causes four codes by itself, three of decoding and SEMANTIC_RANGE. JOURNAL_CORRUPT
takes a bad disk, and all others come from those who read ticks later: merging, redrives, sinks. The
smoke writes one of each as they would: the record as it was read, where, and why it failed.
"""

from __future__ import annotations

from typing import Any, Final

from kite_contracts.reasons import ReasonCode
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import DeadLetter
from kite_live_feed.topics import TICKS

LARGE_BYTES: Final = 100_000
UNKNOWN_SCHEMA: Final = b"\xc3\x01smoke-no"
"""A framing whose fingerprint is no contract's."""

_MESSAGES: Final = {
    ReasonCode.UNCLASSIFIED: ("the stage gave no reason", None),
    ReasonCode.SCHEMA_UNKNOWN_ID: ("the value names a schema that is not known here", None),
    ReasonCode.SCHEMA_INVALID: ("the value does not fit its schema", None),
    ReasonCode.SEMANTIC_STALE: ("the tick is 86400 s old, and the live topic takes 300 s", None),
    ReasonCode.VOLUME_REGRESSION: ("the day's volume fell from 1200 to 1100", "/trade/volume_day"),
    ReasonCode.OUT_OF_SESSION: ("2026-01-05 03:00 IST is in no session of NSE", "/ts_event_ns"),
    ReasonCode.REF_UNKNOWN_INSTRUMENT: ("no instrument has this token today", "/instrument_token"),
    ReasonCode.SINK_TRANSIENT: ("the database did not answer within 5 s", None),
    ReasonCode.SINK_PERMANENT: ("the target refuses the row: 23514", None),
    ReasonCode.TOO_LARGE: (f"a record of {LARGE_BYTES} bytes is above the target's limit", None),
    ReasonCode.JOURNAL_CORRUPT: ("the checksum of the record fails", None),
    ReasonCode.AUTH: ("the target refused the credentials", None),
}


def stage_letters(tick: dict[str, Any], failed_ns: int) -> list[tuple[ReasonCode, DeadLetter]]:
    """One dead letter of each code that a stage behind the feed gives, about this Tick record.

    Each is told from the others by its ``origin_offset``. ``failed_ns`` is when it failed.
    """
    good = AvroCodec().encode("tick", tick, 1)
    raw = {
        ReasonCode.SCHEMA_UNKNOWN_ID: UNKNOWN_SCHEMA + good[len(UNKNOWN_SCHEMA) :],
        ReasonCode.SCHEMA_INVALID: good[:-1],
        ReasonCode.TOO_LARGE: good + bytes(LARGE_BYTES - len(good)),
        ReasonCode.JOURNAL_CORRUPT: b"KJ" + bytes(range(62)),
    }
    return [
        (
            code,
            DeadLetter(
                raw=raw.get(code, good),
                reason=str(code),
                message=message,
                error_path=path,
                contract="tick.v1",
                first_failure_ns=failed_ns,
                unit="journal" if code is ReasonCode.JOURNAL_CORRUPT else "record",
                origin_topic=TICKS,
                origin_partition=0,
                origin_offset=offset,
            ),
        )
        for offset, (code, (message, path)) in enumerate(_MESSAGES.items())
    ]
