"""What the bars need beside ticks: gaps of the feed, names of instruments, stored states."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import structlog

from kite_kafka_io.consumer import ReceivedRecord, RecordReader
from kite_kafka_io.errors import MalformedRecord, ReadError
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_lake.bars.core import BarRules, PartitionBars, load
from kite_lake.bars.gaps import Gap, gap_of

log = structlog.get_logger()

SILENCE_S: Final = 30.0
_READ_S: Final = 0.2
_GAPS_MAX: Final = 10_000


class Followed:
    """A topic that every process reads whole: first to its end, then what comes."""

    def __init__(self, kafka: KafkaSettings, topic: str, framing: Framing) -> None:
        self._next: dict[int, int] = {}
        self._kafka, self._topic, self._framing = kafka, topic, framing
        self._reader: RecordReader | None = None

    def whole(self) -> Iterator[ReceivedRecord]:
        """All records up to the end that there is now. Raises ReadError after a long silence."""
        with RecordReader(
            self._kafka, [self._topic], framing=self._framing, start="earliest", until_end=True
        ) as reader:
            for record in to_end(reader, self._topic):
                self._next[record.partition] = record.offset + 1
                yield record

    def more(self) -> Iterator[ReceivedRecord]:
        """What came since, without waiting."""
        if self._reader is None:
            self._reader = RecordReader(
                self._kafka,
                [self._topic],
                framing=self._framing,
                start="earliest",
                from_offsets=self._next,
            )
        while (record := self._reader.poll(0.0)) is not None:
            yield record

    def close(self) -> None:
        """Leave."""
        if self._reader is not None:
            self._reader.close()


def to_end(reader: RecordReader, topic: str) -> Iterator[ReceivedRecord]:
    """The records of a reader that has an end. Raises ReadError when nothing comes any more."""
    heard_s = time.monotonic()
    while not reader.finished:
        record = reader.poll(_READ_S)
        if record is not None:
            heard_s = time.monotonic()
            yield record
        elif time.monotonic() - heard_s > SILENCE_S:
            raise ReadError(f"nothing of {topic} came for {SILENCE_S:.0f} s: {reader.trouble}")


class Gaps(Followed):
    """The gaps of ``feed.events``, the newest ``_GAPS_MAX``."""

    known: dict[str, Gap]

    def read(self) -> None:
        """Read what there is."""
        self.known = {}
        for record in self.whole():
            self._take(record)

    def fresh(self) -> list[Gap]:
        """Gaps that are new or longer than they were."""
        return [gap for record in self.more() if (gap := self._take(record)) is not None]

    def of(self, first_ns: int, last_ns: int) -> list[Gap]:
        """Gaps that touch these times."""
        return [
            gap for gap in self.known.values() if gap.from_ns < last_ns and gap.to_ns >= first_ns
        ]

    def _take(self, record: ReceivedRecord) -> Gap | None:
        with suppress(MalformedRecord):
            decoded = record.decode()
            found = gap_of(decoded.record) if decoded.subject == "feed_event" else None
            if found is not None and self.known.get(found[0]) != found[1]:
                self.known[found[0]] = found[1]
                if len(self.known) > _GAPS_MAX:
                    del self.known[next(iter(self.known))]
                return found[1]
        return None


class Names(Followed):
    """Token → exchange and symbol, of the topic ``instruments``; what is given wins.

    A contract that is no longer listed keeps its name: older ticks are of it.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        framing: Framing,
        given: Mapping[int, tuple[str, str]],
    ) -> None:
        super().__init__(kafka, topic, framing)
        self._given = given
        self.known: dict[int, tuple[str, str]] = dict(given)

    def read(self) -> None:
        """Read what there is."""
        for record in self.whole():
            self._take(record)

    def refresh(self) -> None:
        """Take what came since."""
        for record in self.more():
            self._take(record)

    def _take(self, record: ReceivedRecord) -> None:
        if not record.value:
            return
        with suppress(MalformedRecord):
            decoded = record.decode()
            token = decoded.record.get("instrument_token")
            if decoded.subject == "instrument" and token and token not in self._given:
                named = decoded.record["exchange"], decoded.record["tradingsymbol"]
                self.known[token] = named


def stored_states(
    kafka: KafkaSettings, topic: str, topic_id: str, rules: BarRules
) -> dict[int, tuple[int, PartitionBars, dict[int, int]]]:
    """Partition → offset to go on from, bars, and the highest number of each feed session.

    Of several the one that is furthest counts: a process that was taken for dead may write its
    older one last. Those of another topic of ticks and of another format are passed over.
    """
    values: dict[int, list[bytes]] = {}
    with RecordReader(kafka, [topic], start="earliest", until_end=True) as reader:
        for record in to_end(reader, topic):
            if record.key is not None and record.key.isdigit():
                # Two, because only the last few can be of two processes.
                kept = values.setdefault(int(record.key), [])
                kept.append(record.value)
                del kept[:-4]
    found: dict[int, tuple[int, PartitionBars, dict[int, int]]] = {}
    for number, states in values.items():
        for value in states:
            try:
                bars, known = load(value, rules)
            except (ValueError, KeyError, OSError) as exc:
                log.warning("a stored state cannot be read", partition=number, reason=str(exc))
                continue
            if known["topic"] != topic_id:
                continue
            if number not in found or known["offset"] >= found[number][0]:
                sessions = {int(session): seq for session, seq in known["sessions"].items()}
                found[number] = known["offset"], bars, sessions
    return found
