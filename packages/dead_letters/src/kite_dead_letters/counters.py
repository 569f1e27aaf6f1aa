"""What `consume` counts, and its public names as Prometheus metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kite_bars_store.failures import FailureRecord, Overview, Status, Stored

PREFIX: Final = "dlq_triage_"
_COUNTERS: Final = {
    "consumed": "Dead letters read from Kafka and handed to Postgres.",
    "stored": "Dead letters that Postgres did not have and has now.",
    "already_there": "Dead letters that Postgres had: read again after a restart.",
    "refused": "Dead letters of which Postgres took the place alone; they are in Kafka only.",
    "db_errors": "Times that Postgres was away, busy or lost; each is tried again.",
    "kafka_errors": "Times that Kafka was away; each is tried again.",
}


@dataclass
class IntakeCounters:
    """Written by the loop, read by the pages of the health server."""

    consumed: int = 0
    stored: int = 0
    already_there: int = 0
    refused: int = 0
    db_errors: int = 0
    kafka_errors: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    lag: int | None = None
    overview: Overview | None = None
    progress_at: float | None = None
    """When the last batch was committed, epoch seconds."""
    trouble: str | None = "not connected yet"
    """What is in the way now; None while it works."""

    def add(self, records: Sequence[FailureRecord], done: Stored, refused: int) -> None:
        """Count a batch that Postgres has."""
        self.consumed += len(records)
        self.stored += done.stored
        self.already_there += done.already_there
        self.refused += refused
        self.by_reason.update(record.reason for record in records)

    def progressed(self, now_s: float) -> None:
        """Note that a batch was stored and committed."""
        self.progress_at = now_s
        self.trouble = None

    def problems(self) -> list[str]:
        """For ``/readyz``."""
        return [] if self.trouble is None else [self.trouble]


class IntakeMetrics:
    """A collector for the Prometheus registry; ``clock`` is epoch seconds."""

    def __init__(self, counters: IntakeCounters, clock: Callable[[], float] = time.time) -> None:
        self._counters = counters
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        counters = self._counters
        for name, says in _COUNTERS.items():
            yield CounterMetricFamily(PREFIX + name, says, value=getattr(counters, name))
        reasons = CounterMetricFamily(
            PREFIX + "consumed_by_reason", "Dead letters read, by reason code.", labels=["reason"]
        )
        for reason, count in sorted(counters.by_reason.copy().items()):
            reasons.add_metric([reason], count)
        yield reasons
        if counters.lag is not None:
            says = "Offsets of the dead-letter topics that are not read yet."
            yield GaugeMetricFamily(PREFIX + "lag", says, value=counters.lag)
        if counters.overview is not None:
            yield from self._of_store(counters.overview)

    def _of_store(self, overview: Overview) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            PREFIX + "failures", "Stored failures, by how they stand.", labels=["status"]
        )
        for status in Status:
            states.add_metric([status], overview.by_status.get(status, 0))
        yield states
        reasons = GaugeMetricFamily(
            PREFIX + "open_by_reason", "Open failures, by reason code.", labels=["reason"]
        )
        for reason, count in overview.open_by_reason.items():
            reasons.add_metric([reason], count)
        yield reasons
        age = overview.oldest_open_age(datetime.fromtimestamp(self._clock(), UTC))
        yield GaugeMetricFamily(
            PREFIX + "oldest_open_seconds",
            "How long the oldest open failure has been waiting; 0 when none is open.",
            value=0.0 if age is None else max(0.0, age.total_seconds()),
        )
