"""What a run sent against what a consumer found: the proof that nothing was lost.

The bridge numbers the packets of a feed session without gaps, and a packet ends in ``ticks`` or in
``ticks.dlq``. So the two topics together must hold each number exactly once, after the duplicate
filter, and the numbers of one instrument must rise. This is what "lost = duplicated = reordered
= 0" means, and any consumer can check it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import structlog

from kite_kafka_io.consumer import ReceivedRecord, RecordReader, TickReader
from kite_kafka_io.errors import MalformedRecord
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import end_offsets
from kite_live_feed.counters import Counters
from kite_live_feed.topics import Topics

log = structlog.get_logger()

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mark:
    """Where the topics ended when a run began: topic → partition → offset."""

    offsets: dict[str, dict[int, int]]


def mark_topics(settings: KafkaSettings, names: tuple[str, ...]) -> Mark:
    """Remember where the topics end now. Raises BrokerUnreachable and UnknownTopic."""
    return Mark({name: end_offsets(settings, name) for name in names})


def records_since(
    settings: KafkaSettings, topic: str, mark: Mark, framing: Framing | None = None
) -> Iterator[ReceivedRecord]:
    """The records of a topic from ``mark`` to where it ends now."""
    offsets = mark.offsets[topic]
    with RecordReader(
        settings, [topic], from_offsets=offsets, until_end=True, framing=framing
    ) as records:
        yield from records


def read_back(
    settings: KafkaSettings,
    framing: Framing,
    topics: Topics,
    mark: Mark,
    sessions: dict[int, int],
    feed: str,
) -> ReadBack:
    """Read ticks, dead letters and events since ``mark``, through the duplicate filter.

    ``sessions``: feed_session → packets numbered; only these and only events of ``feed`` count.
    Dead letters of other writers are passed over and logged.
    """
    back = ReadBack(sessions)
    with TickReader(
        settings,
        topics.ticks,
        from_offsets=mark.offsets[topics.ticks],
        until_end=True,
        framing=framing,
    ) as ticks:
        for columns in ticks:
            back.add_ticks(
                columns.column("instrument_token"),
                columns.column("feed_session"),
                columns.column("feed_seq"),
            )
        if ticks.duplicates is not None:
            back.repeats_dropped = ticks.duplicates.dropped
    _read_dead_letters(settings, topics.dead, mark, back)
    for record in records_since(settings, topics.events, mark, framing):
        event = record.decode().record
        if event["feed"] == feed:
            back.events[event["type"]] += 1
    return back


def _read_dead_letters(settings: KafkaSettings, topic: str, mark: Mark, back: ReadBack) -> None:
    foreign = 0
    for record in records_since(settings, topic, mark):
        try:
            letter = record.dead_letter()
        except MalformedRecord:
            foreign += 1  # had it been one of ours, its packet would now count as lost
            continue
        if letter.feed_session is not None and letter.feed_seq is not None:
            back.add_dead_letter(letter.feed_session, letter.feed_seq, letter.reason)
    if foreign:
        log.warning(
            "dead letters without our headers came meanwhile and were passed over",
            topic=topic,
            count=foreign,
        )


@dataclass
class ReadBack:
    """Collects what is read; ask :meth:`lost`, :attr:`duplicated` and :attr:`reordered` at the end.

    ``sessions`` limits the count to the feed sessions of one run, because a topic holds others too.
    """

    sessions: dict[int, int]
    """feed_session → number of packets that the session has numbered."""
    ticks: int = 0
    dead: int = 0
    duplicated: int = 0
    reordered: int = 0
    repeats_dropped: int = 0
    """Ticks that were published twice, after a crash or an outage, and dropped by the filter."""
    events: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    _seen: dict[int, bytearray] = field(init=False)
    """feed_session → a byte for each packet that it has numbered, 1 once it was read."""
    _last: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seen = {session: bytearray(count) for session, count in self.sessions.items()}

    def add_ticks(self, tokens: Integers, sessions: Integers, seqs: Integers) -> None:
        """Count ticks of one partition, in the order in which they were read."""
        columns = (tokens.tolist(), sessions.tolist(), seqs.tolist())
        for token, session, seq in zip(*columns, strict=True):
            if session in self.sessions:
                self.ticks += 1
                self._mark(session, seq)
                self.reordered += (session, seq) < self._last.get(token, (-1, -1))
                self._last[token] = (session, seq)

    def add_dead_letter(self, session: int, seq: int, reason: str) -> None:
        """Count one dead letter; those of other sessions are passed over."""
        if session in self.sessions:
            self.dead += 1
            self.reasons[reason] += 1
            self._mark(session, seq)

    def lost(self) -> int:
        """How many numbered packets were in neither topic."""
        return sum(flags.count(0) for flags in self._seen.values())

    def _mark(self, session: int, seq: int) -> None:
        """A number that the session never handed out counts as a duplicate: the ledger must not
        balance."""
        flags = self._seen[session]
        if not 0 <= seq < len(flags) or flags[seq]:
            self.duplicated += 1
        else:
            flags[seq] = 1


@dataclass(frozen=True)
class Ledger:
    """The counts of one run, from the sender's own books to the consumer's.

    The rule: sent = journaled = decoded = published + dead-lettered = read back, with nothing lost,
    duplicated or reordered.
    """

    sent_frames: int
    sent_packets: int
    journaled_frames: int
    journaled_packets: int
    decoded_packets: int
    published: int
    dead_lettered: int
    read_back: ReadBack
    expected_reasons: Counter[str] = field(default_factory=Counter)
    """Reason code → dead letters that the fault script must cause."""
    expected_events: Counter[str] = field(default_factory=Counter)
    """Feed event type → how many there must be, and none else; empty where none are counted."""
    lost_before_journal: int = 0
    """Frames that a full disk made the bridge give up, each counted and announced."""

    @classmethod
    def of(
        cls,
        counters: Counters,
        back: ReadBack,
        *,
        sent_frames: int,
        sent_packets: int,
        reasons: Counter[str],
        events: Counter[str],
    ) -> Ledger:
        return cls(
            sent_frames=sent_frames,
            sent_packets=sent_packets,
            journaled_frames=counters.frames_journaled,
            journaled_packets=counters.packets_journaled,
            decoded_packets=counters.packets_decoded,
            published=counters.ticks_acked,
            dead_lettered=counters.dead_acked,
            read_back=back,
            expected_reasons=reasons,
            expected_events=events,
            lost_before_journal=counters.frames_lost,
        )

    def lines(self) -> list[tuple[str, int]]:
        return [
            ("sent: frames", self.sent_frames),
            ("sent: packets", self.sent_packets),
            ("journaled: frames", self.journaled_frames),
            ("journaled: packets", self.journaled_packets),
            ("decoded: packets", self.decoded_packets),
            ("published and acknowledged", self.published),
            ("dead-lettered and acknowledged", self.dead_lettered),
            ("read back: ticks", self.read_back.ticks),
            ("read back: dead letters", self.read_back.dead),
            ("repeats that the filter dropped", self.read_back.repeats_dropped),
            ("lost", self.read_back.lost()),
            ("duplicated", self.read_back.duplicated),
            ("reordered", self.read_back.reordered),
        ]

    def problems(self) -> list[str]:
        """Every imbalance in one sentence; empty when the ledger balances."""
        back = self.read_back
        pairs = [
            ("frames sent", self.sent_frames, "journaled", self.journaled_frames),
            ("packets sent", self.sent_packets, "journaled", self.journaled_packets),
            ("packets journaled", self.journaled_packets, "decoded", self.decoded_packets),
            (
                "packets decoded",
                self.decoded_packets,
                "published + dead-lettered",
                self.published + self.dead_lettered,
            ),
            ("ticks published", self.published, "read back", back.ticks),
            ("dead letters published", self.dead_lettered, "read back", back.dead),
            ("packets lost", back.lost(), "allowed", 0),
            ("packets duplicated", back.duplicated, "allowed", 0),
            ("ticks reordered", back.reordered, "allowed", 0),
            ("frames given up before the journal", self.lost_before_journal, "allowed", 0),
        ]
        found = [
            f"{left_name}: {left}, but {right_name}: {right}"
            for left_name, left, right_name, right in pairs
            if left != right
        ]
        for what, counted, expected in (
            ("dead letters with reason", back.reasons, self.expected_reasons),
            ("feed events", back.events if self.expected_events else {}, self.expected_events),
        ):
            found += [
                f"{what} {name}: {counted.get(name, 0)}, "
                f"but the fault script causes {expected[name]}"
                for name in sorted({*counted, *expected})
                if counted.get(name, 0) != expected[name]
            ]
        return found

    @property
    def balanced(self) -> bool:
        return self.sent_packets > 0 and not self.problems()
