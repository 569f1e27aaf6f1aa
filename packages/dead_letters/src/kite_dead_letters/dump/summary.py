"""How many dead letters of which reason, where, and when the first and the last were (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from kite_contracts.reasons import ReasonCode
from kite_dead_letters.records import ClassifiedRecord

_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Tally:
    """Records of one topic and reason. Times are those that Kafka keeps, epoch ns."""

    count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, ts_ns: int | None) -> None:
        """One record more."""
        self.count += 1
        if ts_ns is not None:
            if self.first_ns is None or ts_ns < self.first_ns:
                self.first_ns = ts_ns
            if self.last_ns is None or ts_ns > self.last_ns:
                self.last_ns = ts_ns


@dataclass(slots=True)
class Summary:
    """The tallies by topic and reason, and how many records had something wrong with headers."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    read: int = 0
    """Records looked at, also those that ``--reason`` left out."""
    decoded: int = 0
    """Records whose reason was found by decoding."""
    with_problems: int = 0
    lines: int = 0
    """Lines written."""

    @property
    def count(self) -> int:
        """Records chosen."""
        return sum(tally.count for tally in self.tallies.values())

    def tally(self, topic: str, reason: str) -> Tally:
        """The tally of this topic and reason, to count in."""
        tally = self.tallies.get((topic, reason))
        if tally is None:
            tally = self.tallies[topic, reason] = Tally()
        return tally

    def add(self, record: ClassifiedRecord) -> None:
        """One record more."""
        raw, failure = record.raw, record.failure
        self.tally(raw.topic, failure.reason).add(raw.ts_ns)
        if failure.reason_source == "decoded":
            self.decoded += 1
        if failure.problems or raw.problems:
            self.with_problems += 1

    def rows(self) -> list[dict[str, Any]]:
        """One object a topic and reason, the most frequent first."""
        counted = [item for item in self.tallies.items() if item[1].count]
        ordered = sorted(counted, key=lambda item: (-item[1].count, item[0]))
        return [
            {
                "topic": topic,
                "reason": reason,
                "count": tally.count,
                "first": time_text(tally.first_ns),
                "last": time_text(tally.last_ns),
                "retryable": ReasonCode(reason).retryable,
                "owner": ReasonCode(reason).owner,
                "action": ReasonCode(reason).action,
            }
            for (topic, reason), tally in ordered
        ]


def time_text(ns: int | None) -> str | None:
    """Epoch ns as ISO 8601 UTC in milliseconds; after the year 9999 the milliseconds alone."""
    if ns is None:
        return None
    try:
        stamp = datetime.fromtimestamp(ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ns // 1_000_000} ms"  # Kafka keeps any number that a producer gives
    return f"{stamp}.{ns % _NS // 1_000_000:03d}Z"
