"""Kafka to Postgres, one session: read, classify, store, and commit what is stored.

A session ends with an error of either side, and the next one begins where the last commit was. What
is read twice is stored once, so no session has to know how the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from kite_bars_store.errors import StatementFailed
from kite_bars_store.failures import FailureRecord, FailureStore, Stored
from kite_dead_letters.classify import Classifier
from kite_dead_letters.counters import IntakeCounters
from kite_dead_letters.stored import to_store, without_content
from kite_kafka_io.raw_reader import RawReader

BATCH_RECORDS: Final = 2_000
BATCH_BYTES: Final = 8 * 1024 * 1024
BATCH_AGE_S: Final = 0.5
READ_S: Final = 0.2
LOOK_EVERY_S: Final = 15.0

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
    clock: Callable[[], float] = time.monotonic
    _look_s: float = field(default=0.0, init=False)

    def run(self, due: Callable[[], bool] = lambda: False) -> None:
        """Until the reader is at its end, it is stopped, or ``due`` asks for a new session.

        Raises the errors of reader and store; what was not committed is read again.
        """
        batch = _Batch()
        while not self.stopped() and not due():
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
        self.counters.lag = self.reader.lag()
        self.counters.overview = self.store.overview()
