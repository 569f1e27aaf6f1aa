"""Dead letters for tests: everything but the place has a default."""

from __future__ import annotations

from typing import Any

from kite_bars_store.failures import FailureRecord

TOPIC = "ticks.dlq"


def letter(offset: int = 0, **fields: Any) -> FailureRecord:
    """A dead letter of partition 0 of ``ticks.dlq`` with these fields."""
    values: dict[str, Any] = {
        "topic": TOPIC,
        "partition": 0,
        "offset": offset,
        "ts_ns": 1_790_000_000_000_000_000 + offset * 1_000_000_000,
        "key": b"256265",
        "value": b"\x00\x01raw",
        "headers": [(b"dlq.reason", b"SEMANTIC_RANGE")],
        "dialect": "kite",
        "reason": "SEMANTIC_RANGE",
        "reason_source": "header",
        "message": "-1 is less than the minimum of 0",
        "fingerprint": "f" * 16,
        "origin_topic": "ticks",
        "attempt": 1,
    }
    return FailureRecord(**{**values, **fields})
