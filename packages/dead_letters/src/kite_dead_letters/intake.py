"""Kafka to Postgres, one session: read, classify, store, and commit what is stored.

A session ends with an error of either side, and the next one begins where the last commit was. What
is read twice is stored once, so no session has to know how the one before it ended.
What it counts is shown as Prometheus metrics.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kite_bars_store.errors import StatementFailed
from kite_bars_store.failures import FailureRecord, FailureStore, Overview, Status, Stored
from kite_dead_letters.classify import Classifier
from kite_dead_letters.stored import to_store, without_content
from kite_kafka_io.raw_reader import RawReader
from kite_runtime.health import Pulse

PREFIX: Final = "dlq_triage_"
_COUNTERS: Final = {
    "consumed": "Dead letters read from Kafka and handed to Postgres.",
    "stored": "Dead letters that Postgres did not have and has now.",
    "already_there": "Dead letters that Postgres had: read again after a restart.",
    "missing": "Offsets that Kafka removed before their dead letters were stored.",
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
    missing: int = 0
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


BATCH_RECORDS: Final = 2_000
BATCH_BYTES: Final = 8 * 1024 * 1024
BATCH_AGE_S: Final = 0.5
READ_S: Final = 0.2
LOOK_EVERY_S: Final = 15.0
LOCK_S: Final = 5
STATEMENT_S: Final = 60
AWAY_S: Final = 2.0 * STATEMENT_S
"""How long Kafka and Postgres may keep the loop, by the limits of each call."""

log = structlog.get_logger()


@dataclass
class _Batch:
    records: list[FailureRecord] = field(default_factory=list)
    value_bytes: int = 0
    began_s: float = 0.0

    def add(self, record: FailureRecord, now_s: float) -> None:
        if not self.records:
            self.began_s = now_s
        self.records.append(record)
        self.value_bytes += len(record.value or b"")

    def is_due(self, now_s: float) -> bool:
        """Whether it is large, or old, enough to be stored."""
        return bool(self.records) and (
            len(self.records) >= BATCH_RECORDS
            or self.value_bytes >= BATCH_BYTES
            or now_s - self.began_s >= BATCH_AGE_S
        )


@dataclass
class Intake:
    """One session over an open reader and an open store. ``ids`` are those of the topics."""

    reader: RawReader
    store: FailureStore
    classifier: Classifier
    counters: IntakeCounters
    ids: Mapping[str, UUID]
    stopped: Callable[[], bool]
    pulse: Pulse = field(default_factory=Pulse)
    clock: Callable[[], float] = time.monotonic
    _look_s: float = field(default=0.0, init=False)

    def run(self, due: Callable[[], bool] = lambda: False) -> None:
        """Until the reader is at its end, it is stopped, or ``due`` asks for a new session.

        Raises the errors of reader and store; what was not committed is read again.
        """
        batch = _Batch()
        while not self.stopped() and not due():
            self.pulse.beat()
            raws = self.reader.read(READ_S)
            now_s = self.clock()
            for raw in raws:
                found = self.classifier.classify(raw)
                batch.add(to_store(found, self.ids[raw.topic]), now_s)
            if batch.is_due(now_s) or (self.reader.finished and batch.records):
                self._store(batch.records)
                batch = _Batch()
            if now_s >= self._look_s:
                self._look_s = now_s + LOOK_EVERY_S
                self._look()
            if self.reader.finished:
                break
        if batch.records:
            self._store(batch.records)
        self._look()

    def _store(self, records: Sequence[FailureRecord]) -> None:
        self.pulse.beat(AWAY_S)
        done, refused = self._record(records)
        self.counters.add(records, done, refused)
        self.reader.commit()
        self.counters.progressed(time.time())

    def _record(self, records: Sequence[FailureRecord]) -> tuple[Stored, int]:
        """Store them; what Postgres refuses is found by halves, and its place stored."""
        try:
            return self.store.record(records), 0
        except StatementFailed as exc:
            if len(records) == 1:
                return self._record_remains(records[0], str(exc))
        middle = len(records) // 2
        first, first_refused = self._record(records[:middle])
        second, second_refused = self._record(records[middle:])
        total = Stored(first.stored + second.stored, first.already_there + second.already_there)
        return total, first_refused + second_refused

    def _record_remains(self, record: FailureRecord, why: str) -> tuple[Stored, int]:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        log.error("postgres does not take a dead letter", place=place, why=why)
        done = self.store.record([without_content(record, why)])
        return Stored(0, done.already_there), done.stored

    def _look(self) -> None:
        """What the metrics show, from both sides."""
        self.pulse.beat(AWAY_S)
        self.counters.lag = self.reader.lag()
        self.counters.overview = self.store.overview()
