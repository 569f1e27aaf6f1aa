"""Refused rows as dead letters: lines of a file, and records of a topic (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from kite_broker_zerodha.instrument_dump import CONTRACT, RefusedRow
from kite_kafka_io.dead_letters import DeadLetter


def letter_of(row: RefusedRow, source: str, found_ns: int) -> DeadLetter:
    """The row as a dead letter; ``source`` names the dump, ``found_ns`` is now (UTC)."""
    return DeadLetter(
        raw=row.raw,
        reason=str(row.reason),
        message=f"{source}, line {row.line}: {row.message}",
        error_path=row.error_path,
        contract=CONTRACT,
        first_failure_ns=found_ns,
        unit="record",
    )


def key_of(row: RefusedRow) -> bytes | None:
    """The key of the topic: EXCHANGE:TRADINGSYMBOL, or none where the row has no symbol."""
    if not row.exchange or not row.tradingsymbol:
        return None
    return f"{row.exchange}:{row.tradingsymbol}".encode()


def as_lines(rows: Iterable[RefusedRow], source: str, found_ns: int) -> bytes:
    """One JSON object a line: the DeadLetter contract's fields, the row's bytes as base64."""
    letters = (letter_of(row, source, found_ns).record() for row in rows)
    return "".join(json.dumps(letter) + "\n" for letter in letters).encode()
