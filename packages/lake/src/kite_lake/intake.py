"""One topic on its way into its table: where to read on, what is buffered, what a flush commits.

A partition's rows are buffered while this member owns it. A partition that is taken away takes its
rows with it: the next owner reads them again from the table's progress.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import structlog

from kite_kafka_io.columns import TickColumns
from kite_kafka_io.consumer import ReceivedRecord, RecordReader, TickReader
from kite_kafka_io.duplicates import DuplicateFilter
from kite_kafka_io.errors import MalformedRecord, ReadError
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_lake.catalog import Lake
from kite_lake.commits import append, write_parts
from kite_lake.counters import ArchiveCounters
from kite_lake.delays import count_segments
from kite_lake.progress import Place, Progress, progress_of
from kite_lake.rows import Part, event_parts, letter_parts, tick_parts
from kite_lake.tables import DEAD_LETTERS, FEED_EVENTS, TICKS, TableSpec

log = structlog.get_logger()

Moves = dict[Place, Progress]

RECORDS_A_TURN: Final = 2_000
"""Events and dead letters that are read before ticks have their turn again."""


class Intake(ABC):
    """One topic and its table. ``topic_id`` is Kafka's id of the topic: one that was recreated
    begins again. Used from one thread."""

    def __init__(
        self, lake: Lake, spec: TableSpec, topic: str, topic_id: str, counters: ArchiveCounters
    ) -> None:
        self.table = lake.table(spec)
        self.lake = lake
        self.topic = topic
        self.counters = counters
        self.rows = 0
        """How many are buffered."""
        self.since_s: float | None = None
        """Since when something is not committed, on the monotonic clock."""
        self._topic_id = topic_id
        self._before: dict[Place, Progress] = {}
        """What the table had when these partitions were assigned, or committed last."""
        self._next: dict[Place, int] = {}
        """The offset after the last one that was read, of the partitions that this member owns."""

    @abstractmethod
    def poll(self, timeout_s: float) -> bool:
        """Read what has arrived into the buffer; whether there was anything."""

    @abstractmethod
    def prepare(self, after: Moves) -> tuple[Iterator[Part], Moves]:
        """The buffered rows as parts of the table, and the progress that goes with them."""

    @abstractmethod
    def drop(self, place: Place) -> None:
        """Forget the buffered rows of a partition."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all buffered rows."""

    @property
    @abstractmethod
    def reader(self) -> TickReader | RecordReader:
        """What it reads with."""

    # Placement

    def assigned(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Begin where the table says, as it is now."""
        with self.lake.explained():
            self.table.refresh()
        progress = progress_of(self.table.metadata)
        begun: dict[Place, int] = {}
        for place in places:
            self._next[place] = -1
            self._before.pop(place, None)
            found = progress.get(place)
            if found is not None:
                self._before[place] = found
                if found.topic_id == self._topic_id:
                    begun[place] = self._next[place] = found.offset
                else:
                    log.warning("the topic was recreated; read from its beginning", place=place)
        log.info(
            "partitions assigned", topic=self.topic, begin={p[1]: begun.get(p) for p in places}
        )
        return begun

    def revoked(self, places: Sequence[Place]) -> None:
        """Leave them to the next owner."""
        log.info("partitions revoked", topic=self.topic, partitions=[place[1] for place in places])
        for place in places:
            self._next.pop(place, None)
            self._before.pop(place, None)
            self.drop(place)

    # The rest

    def takes(self, place: Place, first: int, last: int) -> bool:
        """Note that offsets ``first`` to ``last`` were read; False for a partition of others.

        Raises ReadError for offsets that were read before: nothing of the buffer may be committed.
        """
        expected = self._next.get(place)
        if expected is None:
            return False
        if first < expected:
            raise ReadError(f"{place[0]}/{place[1]} went back from offset {expected} to {first}")
        if 0 <= expected < first and place in self._before:
            self._note_hole(place, expected, first)
        self._next[place] = last + 1
        if self.since_s is None:
            self.since_s = time.monotonic()
        return True

    def _note_hole(self, place: Place, expected: int, first: int) -> None:
        """Offsets that Kafka does not give: beyond its retention, or marks of transactions."""
        if expected != self._before[place].offset:
            return
        self.counters.offsets_lost += first - expected
        log.error(
            "offsets are no longer in Kafka: they were not archived in time",
            place=f"{place[0]}/{place[1]}",
            first=expected,
            count=first - expected,
        )

    def flush(self) -> None:
        """Commit what is buffered, with the progress. Raises what ``append`` raises."""
        after = {
            place: Progress(offset, self._topic_id)
            for place, offset in self._next.items()
            if offset >= 0 and self._moved(place, offset)
        }
        self.since_s = None
        if not after:
            return
        with self.lake.explained():
            parts, after = self.prepare(after)
            files = write_parts(self.table, parts)
            append(self.table, files, self._before, after)
        self._before |= after
        rows = sum(each.record_count for each in files)
        self.clear()
        self.reader.commit_offsets({place: each.offset for place, each in after.items()})
        self.counters.committed(self.topic, rows, len(files))
        log.info("committed", topic=self.topic, rows=rows, files=len(files))

    def _moved(self, place: Place, offset: int) -> bool:
        before = self._before.get(place)
        return before is None or before.offset != offset or before.topic_id != self._topic_id

    def close(self) -> None:
        """Leave the group; what is buffered is read again by the next owner."""
        self.reader.close()


class RecordIntake(Intake):
    """Feed events, or dead letters: records one at a time."""

    def __init__(
        self,
        lake: Lake,
        spec: TableSpec,
        topic: str,
        topic_id: str,
        counters: ArchiveCounters,
        *,
        kafka: KafkaSettings,
        group: str,
        framing: Framing,
    ) -> None:
        super().__init__(lake, spec, topic, topic_id, counters)
        self._buffer: list[ReceivedRecord] = []
        self._is_events = spec is FEED_EVENTS
        self._reader = RecordReader(
            kafka, [topic], framing=framing, group=group, start="earliest", placement=self
        )

    @property
    def reader(self) -> RecordReader:
        return self._reader

    def poll(self, timeout_s: float) -> bool:
        for turn in range(RECORDS_A_TURN):
            record = self._reader.poll(0.0 if turn else timeout_s)
            if record is None:
                return turn > 0
            place = (record.topic, record.partition)
            if self.takes(place, record.offset, record.offset):
                self._buffer.append(record)
                self.rows += 1
        return True

    def prepare(self, after: Moves) -> tuple[Iterator[Part], Moves]:
        if self._is_events:
            return event_parts(self.table, self._buffer), after
        return letter_parts(self.table, ((each, None) for each in self._buffer)), after

    def drop(self, place: Place) -> None:
        self._buffer = [each for each in self._buffer if (each.topic, each.partition) != place]
        self.rows = len(self._buffer)

    def clear(self) -> None:
        self._buffer, self.rows = [], 0


class TickIntake(Intake):
    """Ticks, as columns. Values that are none go to the table of dead letters first."""

    def __init__(
        self,
        lake: Lake,
        topic: str,
        topic_id: str,
        counters: ArchiveCounters,
        *,
        kafka: KafkaSettings,
        group: str,
        framing: Framing,
    ) -> None:
        super().__init__(lake, TICKS, topic, topic_id, counters)
        self._buffer: list[TickColumns] = []
        self._malformed: list[tuple[ReceivedRecord, MalformedRecord]] = []
        self._letters = lake.table(DEAD_LETTERS)
        self._reader = TickReader(
            kafka,
            topic,
            framing=framing,
            duplicates=None,
            on_malformed=lambda record, error: self._malformed_now.append((record, error)),
            group=group,
            start="earliest",
            placement=self,
        )
        self._malformed_now: list[tuple[ReceivedRecord, MalformedRecord]] = []

    @property
    def reader(self) -> TickReader:
        return self._reader

    def poll(self, timeout_s: float) -> bool:
        self._malformed_now = []
        found = self._reader.poll(timeout_s)
        spans: dict[int, tuple[int, int]] = {}
        if found is not None:
            for number in np.unique(found.partition).tolist():
                offsets = found.offset[found.partition == number]
                spans[number] = int(offsets[0]), int(offsets[-1])
        for record, _ in self._malformed_now:
            first, last = spans.get(record.partition, (record.offset, record.offset))
            spans[record.partition] = min(first, record.offset), max(last, record.offset)
        taken = {
            number for number, span in spans.items() if self.takes((self.topic, number), *span)
        }
        self._malformed += [each for each in self._malformed_now if each[0].partition in taken]
        if found is not None:
            kept = found if len(taken) == len(spans) else _of_partitions(found, taken)
            if len(kept):
                self._buffer.append(kept)
                self.rows += len(kept)
                names = ("instrument_token", "ts_recv_ns", "ts_event_ns")
                count_segments(self.counters.delays, *map(kept.column, names))
        return bool(spans)

    def flush(self) -> None:
        """First what is no tick, then the ticks: a repetition of the first part changes nothing."""
        if self._malformed:
            self._flush_malformed()
        super().flush()

    def prepare(self, after: Moves) -> tuple[Iterator[Part], Moves]:
        """Repeats are left out: of the buffer, and of what the table has already."""
        known = {
            (number, session): seq
            for (_, number), before in self._before.items()
            for session, seq in before.sessions.items()
        }
        filter = DuplicateFilter(known=known)
        fresh = []
        for each in self._buffer:
            session, seq = each.column("feed_session"), each.column("feed_seq")
            mask = filter.fresh(each.partition, session, seq)
            kept = each if mask.all() else each.chosen(mask)
            if len(kept):
                fresh.append(kept)
        self.counters.repeats += filter.dropped
        sessions: dict[int, dict[int, int]] = {}
        for (number, one), seq_max in filter.known.items():
            sessions.setdefault(number, {})[one] = seq_max
        moved = {
            place: replace(each, sessions=sessions.get(place[1], {})).limited()
            for place, each in after.items()
        }
        return tick_parts(self.table, fresh), moved

    def _flush_malformed(self) -> None:
        with self.lake.explained():
            self._letters.refresh()
            progress = progress_of(self._letters.metadata)
            after: Moves = {}
            letters = []
            for record, error in self._malformed:
                place = (record.topic, record.partition)
                known = progress.get(place)
                if known and known.topic_id == self._topic_id and record.offset < known.offset:
                    continue  # kept before the ticks around it could be
                letters.append((record, error))
                after[place] = Progress(record.offset + 1, self._topic_id)
            if letters:
                files = write_parts(self._letters, letter_parts(self._letters, letters))
                append(self._letters, files, progress, after)
                self.counters.malformed += len(letters)
        self._malformed = []

    def drop(self, place: Place) -> None:
        others = {number for topic, number in self._next if (topic, number) != place}
        self._buffer = [kept for each in self._buffer if len(kept := _of_partitions(each, others))]
        self._malformed = [each for each in self._malformed if each[0].partition != place[1]]
        self.rows = sum(map(len, self._buffer))

    def clear(self) -> None:
        self._buffer, self._malformed, self.rows = [], [], 0


def _of_partitions(columns: TickColumns, numbers: set[int]) -> TickColumns:
    return columns.chosen(np.isin(columns.partition, list(numbers)))
