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

from kite_bars_store.database import connect
from kite_bars_store.errors import TryAgain
from kite_bars_store.failures import FailureStore
from kite_dead_letters.classify import Classifier
from kite_dead_letters.defaults import GROUP
from kite_dead_letters.intake import Intake, IntakeCounters
from kite_kafka_io.errors import BrokerUnreachable, ReadError, RegistryError, UnknownTopic
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import match_topics
from kite_kafka_io.topics import topic_ids
from kite_runtime.retry import Backoff

BACKOFF_FIRST_S: Final = 0.4
BACKOFF_MAX_S: Final = 30.0
ONCE_PATIENCE_S: Final = 60.0
"""How long `--once` bears an outage before it ends with: try again later."""
LOOK_EVERY_S: Final = 10.0
"""How often it looks for topics that are new, or recreated."""
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
    clock: Callable[[], float] = time.monotonic
    look_every_s: float = LOOK_EVERY_S
    _topics: list[str] = field(default_factory=list, init=False)

    def run(self) -> IntakeCounters:
        """Work until the end. Raises what a person must correct: settings, tables, a topic.

        With ``once`` it also raises what is away at the very beginning, and later for longer than
        `ONCE_PATIENCE_S`.
        """
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
            self.stop.wait(backoff.next_wait_s(self.clock()))
        return self.counters

    def _gives_up(self, since_s: float) -> bool:
        waited_s = self.clock() - since_s
        return self.once and (not self._topics or waited_s >= ONCE_PATIENCE_S)

    def _session(self) -> bool:
        """One session; true when there is nothing more to do, false for another one."""
        with ExitStack() as opened:
            connection = opened.enter_context(
                closing(connect(self.dsn, application_name=APPLICATION))
            )
            store = FailureStore(connection)
            store.check()
            topics = match_topics(self.kafka, self.patterns)
            if topics != self._topics:
                log.info("dead-letter topics", topics=topics)
                self._topics = topics
            ids = topic_ids(self.kafka, topics)
            classifier = Classifier(open_framing(self.kafka))
            self._catch_up(store, classifier, ids)
            reader = opened.enter_context(
                RawReader(self.kafka, topics, group=self.group, follow=not self.once)
            )
            self.counters.trouble = None
            intake = Intake(reader, store, classifier, self.counters, ids, self.stop.is_set)
            intake.run(self._other_topics(ids))
            return self.stop.is_set() or reader.finished

    def _catch_up(
        self, store: FailureStore, classifier: Classifier, ids: Mapping[str, UUID]
    ) -> None:
        """Store recreated topics from their beginning.

        The group's progress may be that of the topic before, and means nothing for the new one.
        """
        recreated = [
            topic for topic, id in ids.items() if store.last_topic_id(topic) not in (None, id)
        ]
        if recreated:
            log.info("recreated topics are read from the beginning", topics=recreated)
            with RawReader(self.kafka, recreated) as reader:
                Intake(reader, store, classifier, self.counters, ids, self.stop.is_set).run()

    def _other_topics(self, ids: Mapping[str, UUID]) -> Callable[[], bool]:
        """Asks now and then whether the patterns mean other topics than these."""
        next_s = self.clock() + self.look_every_s

        def changed() -> bool:
            nonlocal next_s
            if self.once or self.clock() < next_s:
                return False
            next_s = self.clock() + self.look_every_s
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
