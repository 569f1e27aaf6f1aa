"""What the bridge says of data that it cannot publish as a tick (pure).

The value is the bytes that were received; everything else explains them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kite_contracts.reasons import ReasonCode, reason_of
from kite_contracts.tick_batch import FEED_SEQ, FEED_SESSION, TS_RECV_NS, TickBatch, Verdict
from kite_contracts.tick_rows import tick_record
from kite_contracts.validate import explain
from kite_kafka_io.dead_letters import DeadLetter
from kite_live_feed.journal import Damage

CONTRACT: Final = "tick.v1"
RAW_BYTES_MAX: Final = 900_000
"""Below Kafka's usual limit of 1 MB a record; the journal keeps the whole."""

_MESSAGES: Final = {
    Verdict.TRUNCATED: "the frame ends inside this packet, or announced more packets than it holds",
    Verdict.UNKNOWN_PACKET: "Kite documents no packet of this length",
    Verdict.TRAILING_BYTES: "bytes follow the last packet that the frame announced",
}


def letter_of_row(batch: TickBatch, row: int, buffer: npt.NDArray[np.uint8]) -> DeadLetter:
    """The dead letter of one row whose verdict is not OK.

    A row out of bounds is explained by the reference validator, because the compiled bounds know
    only the column.
    """
    verdict = int(batch.verdict[row])
    start, end = int(batch.start[row]), int(batch.end[row])
    session, seq, ts_recv_ns = batch.values[row, [FEED_SESSION, FEED_SEQ, TS_RECV_NS]].tolist()
    if verdict > Verdict.OK:
        message, path = _violation(batch, row)
        unit = "packet"
    else:
        message = f"{_MESSAGES[Verdict(verdict)]} ({end - start} bytes)"
        path = None
        unit = "packet" if verdict == Verdict.UNKNOWN_PACKET else "frame-tail"
    raw, message = _bounded(buffer[start:end].tobytes(), message)
    return DeadLetter(
        raw=raw,
        reason=str(reason_of(verdict)),
        message=message,
        error_path=path,
        feed_session=session,
        feed_seq=seq,
        contract=CONTRACT,
        first_failure_ns=ts_recv_ns,
        attempt=1,
        unit=unit,
    )


def letter_of_damage(damage: Damage, buffer: npt.NDArray[np.uint8], found_ns: int) -> DeadLetter:
    """The dead letter of a stretch of the journal that cannot be read."""
    raw, message = _bounded(buffer[damage.start : damage.end].tobytes(), damage.cause)
    return DeadLetter(
        raw=raw,
        reason=str(ReasonCode.JOURNAL_CORRUPT),
        message=message,
        feed_session=damage.feed_session,
        feed_seq=damage.first_seq,
        contract=CONTRACT,
        first_failure_ns=damage.ts_recv_ns if damage.ts_recv_ns is not None else found_ns,
        attempt=1,
        unit="journal",
    )


def _bounded(raw: bytes, message: str) -> tuple[bytes, str]:
    """The bytes as far as a Kafka record takes them; a cut is said in the message."""
    if len(raw) <= RAW_BYTES_MAX:
        return raw, message
    return raw[:RAW_BYTES_MAX], f"{message}; the first {RAW_BYTES_MAX} of {len(raw)} bytes"


def _violation(batch: TickBatch, row: int) -> tuple[str, str | None]:
    record = tick_record(batch, row)
    violation = explain("tick", 1, record)
    if violation is None:
        # The bounds and the reference disagree: a defect of ours, which the record must show.
        return "the compiled bounds refuse what the schema accepts", None
    return violation.message, violation.path
