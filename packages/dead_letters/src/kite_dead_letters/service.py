"""`consume` as a service: sessions of `intake`, one after another, through every outage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from kite_bars_store.database import Connection, connect, let_go
from kite_bars_store.errors import TryAgain
from kite_bars_store.failures import FailureStore
from kite_dead_letters.classify import Classifier
from kite_dead_letters.defaults import GROUP
from kite_dead_letters.dialects import TABLE, Table
from kite_dead_letters.intake import AWAY_S, LOCK_S, STATEMENT_S, Intake, IntakeCounters
from kite_kafka_io.errors import BrokerUnreachable, ReadError, RegistryError, UnknownTopic
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import find_extents, match_topics
from kite_kafka_io.topics import Place, Ranges, topic_ids
from kite_runtime.health import Pulse
from kite_runtime.retry import Backoff

BACKOFF_FIRST_S: Final = 0.4
BACKOFF_MAX_S: Final = 30.0
ONCE_PATIENCE_S: Final = 60.0
"""How long `--once` bears an outage before it ends with: try again later."""
LOOK_EVERY_S: Final = 10.0
"""How often it looks for topics that are new, or recreated."""
LET_GO_S: Final = 5.0
"""How long after a stop Postgres may still answer; then its connection is broken."""
APPLICATION: Final = "dlq_triage consume"

log = structlog.get_logger()
_PASSING: Final = (TryAgain, BrokerUnreachable, ReadError, RegistryError)


@dataclass
class IntakeService:
    """Stores the dead letters of ``patterns`` until ``stop`` is set, or with ``once`` to the end.

    Broker and database may go and come: it tries again, ever more slowly up to `BACKOFF_MAX_S`.
    Nothing is lost, because offsets are committed after the rows, and nothing is stored twice.
    """

    kafka: KafkaSettings
    dsn: str
    patterns: Sequence[str]
    group: str = GROUP
    once: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    counters: IntakeCounters = field(default_factory=IntakeCounters)
    pulse: Pulse = field(default_factory=Pulse)
    table: Table = TABLE
    clock: Callable[[], float] = time.monotonic
    look_every_s: float = LOOK_EVERY_S
    _topics: list[str] = field(default_factory=list, init=False)
    _connection: Connection | None = field(default=None, init=False)
    _missing: dict[tuple[UUID, int], int] = field(default_factory=dict, init=False)

    def run(self) -> IntakeCounters:
        """Work until the end. Raises what a person must correct: settings, tables, a topic.

        With ``once`` it also raises what is away at the very beginning, and later for longer than
        `ONCE_PATIENCE_S`.
        """
        ended = threading.Event()
        threading.Thread(target=self._let_go, args=[ended], daemon=True).start()
        try:
            return self._run()
        finally:
            ended.set()

    def _let_go(self, ended: threading.Event) -> None:
        self.stop.wait()
        if not ended.wait(LET_GO_S) and self._connection is not None:
            let_go(self._connection)

    def _run(self) -> IntakeCounters:
        backoff, since_s = _backoff(), self.clock()
        while not self.stop.is_set():
            before = self.counters.progress_at
            try:
                if self._session():
                    break
                backoff, since_s = _backoff(), self.clock()
                continue
            except _PASSING as exc:
                if self.counters.progress_at != before:
                    backoff, since_s = _backoff(), self.clock()
                if self._gives_up(since_s):
                    raise
                self._note(exc)
            except UnknownTopic as exc:
                # One that was there is being deleted or recreated.
                if not self._topics or self._gives_up(since_s):
                    raise
                self._note(exc)
            wait_s = backoff.next_wait_s(self.clock())
            self.pulse.beat(wait_s)
            self.stop.wait(wait_s)
        return self.counters

    def _gives_up(self, since_s: float) -> bool:
        waited_s = self.clock() - since_s
        return self.once and (not self._topics or waited_s >= ONCE_PATIENCE_S)

    def _session(self) -> bool:
        """One session; true when there is nothing more to do, false for another one."""
        self.pulse.beat(AWAY_S)
        with ExitStack() as opened:
            connection = opened.enter_context(
                closing(
                    connect(
                        self.dsn,
                        application_name=APPLICATION,
                        lock_timeout_s=LOCK_S,
                        statement_timeout_s=STATEMENT_S,
                    )
                )
            )
            self._connection = connection
            store = FailureStore(connection)
            store.check()
            store.check_writable()
            topics = match_topics(self.kafka, self.patterns)
            if topics != self._topics:
                log.info("dead-letter topics", topics=topics)
                self._topics = topics
            ids = topic_ids(self.kafka, topics)
            classifier = Classifier(open_framing(self.kafka), self.table)
            self._catch_up(store, classifier, ids)
            reader = opened.enter_context(
                RawReader(self.kafka, topics, group=self.group, follow=not self.once)
            )
            self.counters.trouble = None
            intake = self._intake(reader, store, classifier, ids)
            intake.run(self._other_topics(ids))
            return self.stop.is_set() or reader.finished

    def _catch_up(
        self, store: FailureStore, classifier: Classifier, ids: Mapping[str, UUID]
    ) -> None:
        """Store what the group has passed and the database has not.

        So it is after the database was restored from a backup, and of a topic that was recreated,
        where the group's progress is that of the topic before.
        """
        extents = find_extents(self.kafka, list(ids), self.group)
        after = store.next_offsets(ids, extents)
        behind: Ranges = {}
        for place, (low, high, committed) in extents.items():
            if committed is None and place not in after:
                continue
            first = after.get(place, 0)
            self._report_missing(ids[place[0]], place, first, low)
            first = max(first, low)
            if committed is not None and first < committed:
                behind[place] = (first, max(first, min(committed, high)))
        if not behind:
            return
        log.info(
            "reading again what the database does not have",
            ranges={f"{topic}/{number}": each for (topic, number), each in behind.items()},
        )
        topics = sorted({topic for topic, _ in behind})
        with RawReader(self.kafka, topics, group=self.group, ranges=behind) as reader:
            reader.rewind()
            self._intake(reader, store, classifier, ids).run()

    def _report_missing(self, topic_id: UUID, place: Place, first: int, low: int) -> None:
        """Report what Kafka, which begins at ``low``, does not have any more, once a run."""
        key = (topic_id, place[1])
        first = max(first, self._missing.get(key, 0))
        if low <= first:
            return
        self._missing[key] = low
        self.counters.missing += low - first
        log.error(
            "kafka removed dead letters before they were stored",
            place=f"{place[0]}/{place[1]}",
            first_offset=first,
            last_offset=low - 1,
        )

    def _intake(
        self,
        reader: RawReader,
        store: FailureStore,
        classifier: Classifier,
        ids: Mapping[str, UUID],
    ) -> Intake:
        stopped = self.stop.is_set
        return Intake(reader, store, classifier, self.counters, ids, stopped, self.pulse)

    def _other_topics(self, ids: Mapping[str, UUID]) -> Callable[[], bool]:
        """Asks now and then whether the patterns mean other topics than these."""
        next_s = self.clock() + self.look_every_s

        def changed() -> bool:
            nonlocal next_s
            if self.once or self.clock() < next_s:
                return False
            next_s = self.clock() + self.look_every_s
            self.pulse.beat(AWAY_S)
            return topic_ids(self.kafka, match_topics(self.kafka, self.patterns)) != ids

        return changed

    def _note(self, exc: Exception) -> None:
        self.counters.trouble = str(exc)
        if isinstance(exc, TryAgain):
            self.counters.db_errors += 1
        else:
            self.counters.kafka_errors += 1
        log.warning("intake interrupted, trying again", why=str(exc))


def _backoff() -> Backoff:
    return Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S)
