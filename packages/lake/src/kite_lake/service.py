"""`tick_archive run`: sessions of the intakes, one after another, through every outage.

A session ends with an error of either side and everything that it buffered is dropped; the next one
begins at the progress of the tables. So no session has to know how the one before it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Final

import structlog

from kite_kafka_io.errors import BrokerUnreachable, ReadError, RegistryError, UnknownTopic
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import end_offsets, topic_ids
from kite_lake.catalog import Lake
from kite_lake.counters import ArchiveCounters
from kite_lake.errors import LakeError, LakeUnreachable, LakeUnusable, ProgressMoved
from kite_lake.intake import Intake, RecordIntake, TickIntake
from kite_lake.progress import progress_of
from kite_lake.tables import DEAD_LETTERS, FEED_EVENTS, TableSpec
from kite_lake.upkeep import expire
from kite_runtime.retry import Backoff

GROUP: Final = "tick-archive"
TICKS_TOPIC: Final = "ticks"
EVENTS_TOPIC: Final = "feed.events"
LETTERS_TOPIC: Final = "ticks.dlq"
FLUSH_ROWS: Final = 100_000
"""Ticks of a commit at most; they are in memory, about 0.4 KB each, until it."""
FLUSH_S: Final = 60.0
ONCE_PATIENCE_S: Final = 60.0
"""How long `--once` bears an outage before it ends with: try again later."""
ONCE_IDLE_S: Final = 10.0
"""`--once` ends when nothing came for so long, even where Kafka announces more offsets: the last
ones may be marks of transactions."""
EXPIRE_EVERY: Final = 50
"""Commits between two looks for snapshots that nobody needs: each makes every commit slower."""
ONCE_FLUSH_S: Final = 0.5
READ_S: Final = 0.1
LOOK_EVERY_S: Final = 5.0
BACKOFF_FIRST_S: Final = 0.4
BACKOFF_MAX_S: Final = 30.0

log = structlog.get_logger()
_PASSING: Final = (LakeUnreachable, ProgressMoved, BrokerUnreachable, ReadError, RegistryError)


@dataclass
class ArchiveService:
    """Archives until ``stop`` is set, or with ``once`` up to where the topics end at its start.

    Kafka, catalog and warehouse may go and come: it tries again, ever more slowly.
    """

    kafka: KafkaSettings
    open_lake: Callable[[], Lake]
    group: str = GROUP
    topics: Mapping[str, TableSpec | None] = field(
        default_factory=lambda: {
            TICKS_TOPIC: None,
            EVENTS_TOPIC: FEED_EVENTS,
            LETTERS_TOPIC: DEAD_LETTERS,
        }
    )
    """Topic → table of its records; None: ticks."""
    once: bool = False
    flush_s: float = FLUSH_S
    flush_rows: int = FLUSH_ROWS
    stop: threading.Event = field(default_factory=threading.Event)
    counters: ArchiveCounters = field(default_factory=ArchiveCounters)
    _begun: bool = field(default=False, init=False)
    _complaints: list[str] = field(default_factory=list, init=False)
    _ends: dict[str, dict[int, int]] = field(default_factory=dict, init=False)

    def run(self) -> ArchiveCounters:
        """Work until the end. Raises what a person must correct: settings, a topic, the tables."""
        backoff, since_s = _backoff(), time.monotonic()
        while not self.stop.is_set():
            before = self.counters.progress_at
            try:
                if self._session():
                    break
            except (*_PASSING, LakeUnusable, UnknownTopic) as exc:
                if self.counters.progress_at != before:
                    backoff, since_s = _backoff(), time.monotonic()
                if self._gives_up(exc, since_s):
                    raise
                self._note(exc)
            self.stop.wait(backoff.next_wait_s(time.monotonic()))
        return self.counters

    def _gives_up(self, exc: Exception, since_s: float) -> bool:
        """What was usable before may be again: a topic that is recreated, a disk that is back."""
        if not self._begun and not isinstance(exc, _PASSING):
            return True
        waited_s = time.monotonic() - since_s
        return self.once and (not self._begun or waited_s >= ONCE_PATIENCE_S)

    def _session(self) -> bool:
        """One session; true when there is nothing more to do."""
        with ExitStack() as opened:
            lake = self.open_lake()
            opened.callback(lake.close)
            ids = topic_ids(self.kafka, list(self.topics))
            if self.once and not self._ends:
                self._ends = {topic: end_offsets(self.kafka, topic) for topic in self.topics}
            framing = open_framing(self.kafka)
            intakes: list[Intake] = []
            for topic, spec in self.topics.items():
                id, group = str(ids[topic]), f"{self.group}.{topic}"
                if spec is None:
                    intake: Intake = TickIntake(
                        lake,
                        topic,
                        id,
                        self.counters,
                        kafka=self.kafka,
                        group=group,
                        framing=framing,
                    )
                else:
                    intake = RecordIntake(
                        lake,
                        spec,
                        topic,
                        id,
                        self.counters,
                        kafka=self.kafka,
                        group=group,
                        framing=framing,
                    )
                intakes.append(opened.enter_context(closing(intake)))
            self._begun = True
            return self._archive(intakes)

    def _archive(self, intakes: list[Intake]) -> bool:
        look_s = idle_since_s = time.monotonic()
        self.counters.trouble, self._complaints, self.counters.buffered = None, [], 0
        while not self.stop.is_set():
            came = False
            for number, intake in enumerate(intakes):
                came |= intake.poll(0.0 if number else READ_S)
            now_s = time.monotonic()
            if came:
                idle_since_s = now_s
            for intake in intakes:
                if intake.since_s is not None and (
                    intake.rows >= self.flush_rows
                    or now_s - intake.since_s >= self.flush_s
                    or (self.once and now_s - idle_since_s >= ONCE_FLUSH_S)
                ):
                    intake.flush()
                    if self.counters.commits % EXPIRE_EVERY == 0:
                        with intake.lake.explained():
                            expire(intake.table, time.time())
            self.counters.buffered = sum(intake.rows for intake in intakes)
            if self.once and not came and self._all_there(intakes, now_s - idle_since_s):
                return True
            if now_s >= look_s:
                look_s = now_s + LOOK_EVERY_S
                self.counters.lag = sum(intake.reader.lag() for intake in intakes)
                self.counters.trouble = next(
                    filter(None, (i.reader.trouble for i in intakes)), None
                )
        for intake in intakes:
            intake.flush()
        return True

    def _look_for_trouble(self, intakes: list[Intake], came: bool) -> None:
        """A complaint of librdkafka counts until something comes."""
        complaints = [each for intake in intakes if (each := intake.reader.trouble) is not None]
        if came:
            self.counters.trouble = None
        elif complaints != self._complaints:
            self.counters.trouble = complaints[-1]
        self._complaints = complaints

    def _all_there(self, intakes: list[Intake], idle_s: float) -> bool:
        """Whether the tables have what was there at the start, whoever archived it."""
        if idle_s >= ONCE_IDLE_S:
            return True
        for intake in intakes:
            with intake.lake.explained():
                intake.table.refresh()
            progress = progress_of(intake.table.metadata)
            for number, end in self._ends[intake.topic].items():
                found = progress.get((intake.topic, number))
                if end and (found is None or found.offset < end):
                    return False
        return True

    def _note(self, exc: Exception) -> None:
        self.counters.trouble = str(exc)
        if isinstance(exc, ProgressMoved):
            self.counters.moved += 1
            log.warning("read again from the progress of the table", reason=str(exc))
        elif isinstance(exc, LakeError):
            self.counters.lake_errors += 1
            log.error("the archive cannot be written now", reason=str(exc))
        else:
            self.counters.kafka_errors += 1
            log.error("kafka cannot be read now", reason=str(exc))


def _backoff() -> Backoff:
    return Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S)
