"""Sends the seeded market through journal and pump into Kafka, and reads it back.

The fault script causes four reason codes by itself, three of decoding and SEMANTIC_RANGE. So that a
smoke has every one, it also writes a dead letter of each other code as the stages behind the feed
would. Each letter is compared with the reason intended for it, which comes from the fault script,
not from the decoder.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kite_contracts.feeds import simulated
from kite_contracts.reasons import ReasonCode
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.errors import MalformedRecord
from kite_kafka_io.framing import Framing
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.bridge import warm_up
from kite_live_feed.counters import Counters
from kite_live_feed.errors import KafkaUnreachable
from kite_live_feed.intake import Intake
from kite_live_feed.journal import Journal
from kite_live_feed.options import MIB, JournalOptions
from kite_live_feed.proof import Ledger, Mark, mark_topics, read_back, records_since
from kite_live_feed.pump import Pump
from kite_live_feed.rehearsal.demo import demo_plan
from kite_live_feed.rehearsal.market_feed import SOURCE, Frame, SmokeFeed
from kite_live_feed.topics import TICKS, Topics
from kite_simulator import Fault

FEED: Final = simulated("smoke")
DEADLINE_S: Final = 30.0


@dataclass(frozen=True)
class SmokeOptions:
    """What is sent; equal options send equal bytes."""

    ticks: int = 20_000
    instruments: int = 60
    seed: int = 1
    script: tuple[Fault, ...] = ()
    stages: bool = False
    """Also the dead letters that only stages behind the feed give: see ``smoke.stages``."""


@dataclass(frozen=True)
class SmokeResult:
    """The ledger, the bars sent and read back, a digest of all tick and bar bytes, and where each
    dead letter lies with the reason intended for it."""

    ledger: Ledger
    bars_sent: int
    bars_read: int
    sha256: str
    letters: tuple[SmokeLetter, ...] = ()
    letters_sent: int = 0

    def problems(self) -> list[str]:
        found = self.ledger.problems() + letter_problems(self.letters, self.letters_sent)
        if self.bars_sent != self.bars_read:
            found.append(f"bars sent: {self.bars_sent}, but read back: {self.bars_read}")
        return found

    @property
    def balanced(self) -> bool:
        return self.ledger.balanced and not self.problems()


def run_smoke(
    options: SmokeOptions,
    kafka: KafkaSettings,
    framing: Framing,
    topics: Topics,
    journal_dir: Path,
    progress: Callable[[int], None],
) -> SmokeResult:
    """Send and read back. ``progress`` is called with the packets journaled so far.

    Raises BrokerUnreachable, UnknownTopic and KafkaUnreachable.
    """
    mark = mark_topics(kafka, (*topics.names, topics.bars))
    warm_up()
    feed = SmokeFeed(demo_plan(options.instruments), options.ticks, options.seed, options.script)
    counters = Counters()
    journal_options = JournalOptions(segment_bytes=16 * MIB, max_bytes=1024 * MIB, sync="never")
    with Journal(journal_dir, journal_options) as journal:
        intake = Intake(
            feed=FEED,
            writer=journal.writer,
            counters=counters,
            clock=feed.clock,
            wake=lambda: None,
            tokens_of=lambda shard: (),
        )
        with closing(
            Pump(journal.reader, journal.cursor, kafka, framing, topics, counters)
        ) as pump:
            for item in feed:
                if isinstance(item, Frame):
                    intake.on_frame(item.shard, item.payload, item.ts_recv_ns)
                    pump.step()
                    pump.collect()
                    progress(counters.packets_journaled)
                else:
                    intake.on_event(item)
            _finish(pump, journal, kafka)
    bars = feed.bars.bars()
    _send_bars(bars, kafka, framing, topics.bars)
    expected = feed.expected
    intended: dict[Identity, ReasonCode] = {
        (None, session, seq): code for (session, seq), code in expected.intended.items()
    }
    if options.stages:
        intended |= _send_stages(feed, kafka, framing, topics.dead)
    back = read_back(kafka, framing, topics, mark, dict(counters.session_packets), FEED)
    ledger = Ledger.of(
        counters,
        back,
        sent_frames=expected.frames,
        sent_packets=expected.packets,
        reasons=expected.reasons,
        events=expected.events,
    )
    digest = hashlib.sha256()
    _digest(kafka, topics.ticks, mark, framing, digest.update)
    found = _digest(kafka, topics.bars, mark, framing, digest.update, source=SOURCE)
    letters = read_letters(kafka, topics.dead, mark, intended)
    return SmokeResult(ledger, len(bars), found, digest.hexdigest(), tuple(letters), len(intended))


def _finish(pump: Pump, journal: Journal, kafka: KafkaSettings) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not pump.done(journal.writer.end):
        if time.monotonic() > ends_s:
            raise KafkaUnreachable(
                f"Kafka at {kafka.bootstrap} has not acknowledged everything within "
                f"{DEADLINE_S:.0f} s; try again when it answers"
            )
        if not pump.step():
            pump.wait(0.01)
        pump.collect()


def _send_bars(
    bars: list[dict[str, object]], kafka: KafkaSettings, framing: Framing, topic: str
) -> None:
    codec = AvroCodec(framing)
    producer = RecordProducer(kafka, framing=framing)
    with _delivered("bars", kafka, producer) as delivery:
        for bar in bars:
            key = str(bar["instrument_token"]).encode()
            producer.produce_record(topic, key, codec.encode("bar", bar), delivery)


def _send_stages(
    feed: SmokeFeed, kafka: KafkaSettings, framing: Framing, topic: str
) -> dict[Identity, ReasonCode]:
    """Write what other stages would; each letter with the reason intended for it."""
    letters = stage_letters(feed.last_tick(), feed.clock.ns)
    producer = RecordProducer(kafka, framing=framing, dead_topic=topic)
    with _delivered("dead letters", kafka, producer) as delivery:
        for _, letter in letters:
            producer.produce_dead(letter, delivery)
    return {identity(letter): code for code, letter in letters}


@contextmanager
def _delivered(what: str, kafka: KafkaSettings, producer: RecordProducer) -> Iterator[Delivery]:
    """The delivery of all that the block sends; closes the producer. Raises KafkaUnreachable where
    Kafka has not taken it at the end."""
    delivery = Delivery()
    try:
        yield delivery
        producer.flush(DEADLINE_S)
    finally:
        producer.close()
    if not delivery.ok:
        raise KafkaUnreachable(
            f"Kafka at {kafka.bootstrap} has not taken the {what}: {delivery.error or 'no answer'}"
        )


def _digest(
    kafka: KafkaSettings,
    topic: str,
    mark: Mark,
    framing: Framing,
    update: Callable[[bytes], None],
    source: str | None = None,
) -> int:
    """Hash the values written since ``mark``, partition by partition; how many there are."""
    values: dict[int, list[bytes]] = {}
    for record in records_since(kafka, topic, mark, framing):
        if source is None or record.decode().record["source"] == source:
            values.setdefault(record.partition, []).append(record.value)
    for _, of_partition in sorted(values.items()):
        for value in of_partition:
            update(value)
    return sum(map(len, values.values()))


Identity = tuple[str | None, int | None, int | None]
"""A dead letter's own: (origin topic, origin offset, None), or (None, feed session, feed seq)."""


@dataclass(frozen=True, slots=True)
class SmokeLetter:
    """One dead letter in its topic; ``found`` is the reason in its header."""

    topic: str
    partition: int
    offset: int
    feed_session: int | None
    feed_seq: int | None
    intended: str
    found: str

    def line(self) -> dict[str, Any]:
        return asdict(self)


def identity(letter: DeadLetter) -> Identity:
    """What distinguishes the letter from the others of a run, wherever it lies."""
    if letter.origin_topic is not None:
        return letter.origin_topic, letter.origin_offset, None
    return None, letter.feed_session, letter.feed_seq


def read_letters(
    kafka: KafkaSettings, topic: str, mark: Mark, intended: dict[Identity, ReasonCode]
) -> list[SmokeLetter]:
    """The letters of ``intended`` in ``topic`` since ``mark``; others are passed over.

    A letter that was sent twice after a restart is there twice.
    """
    found: list[SmokeLetter] = []
    for record in records_since(kafka, topic, mark):
        with suppress(MalformedRecord):
            letter = record.dead_letter()
            code = intended.get(identity(letter))
            if code is not None:
                place = (record.topic, record.partition, record.offset)
                session, seq = letter.feed_session, letter.feed_seq
                found.append(SmokeLetter(*place, session, seq, str(code), letter.reason))
    return sorted(found, key=lambda each: (each.topic, each.partition, each.offset))


def letter_problems(letters: Iterable[SmokeLetter], intended: int) -> list[str]:
    """Every letter whose reason is another, and how many of ``intended`` ones are missing."""
    chosen = list(letters)
    wrong = [
        f"{each.topic}/{each.partition} offset {each.offset} has the reason {each.found}, "
        f"but the fault script means {each.intended}"
        for each in chosen
        if each.found != each.intended
    ]
    if len(chosen) < intended:
        wrong.append(f"dead letters found: {len(chosen)}, but the fault script causes {intended}")
    return wrong


LARGE_BYTES: Final = 100_000
UNKNOWN_SCHEMA: Final = b"\xc3\x01smoke-no"
"""A framing whose fingerprint is no contract's."""

_MESSAGES: Final = {
    ReasonCode.UNCLASSIFIED: ("the stage gave no reason", None),
    ReasonCode.SCHEMA_UNKNOWN_ID: ("the value names a schema that is not known here", None),
    ReasonCode.SCHEMA_INVALID: ("the value does not fit its schema", None),
    ReasonCode.SEMANTIC_STALE: ("the tick is 86400 s old, and the live topic takes 300 s", None),
    ReasonCode.VOLUME_REGRESSION: ("the day's volume fell from 1200 to 1100", "/trade/volume_day"),
    ReasonCode.OUT_OF_SESSION: ("2026-01-05 03:00 IST is in no session of NSE", "/ts_event_ns"),
    ReasonCode.REF_UNKNOWN_INSTRUMENT: ("no instrument has this token today", "/instrument_token"),
    ReasonCode.SINK_TRANSIENT: ("the database did not answer within 5 s", None),
    ReasonCode.SINK_PERMANENT: ("the target refuses the row: 23514", None),
    ReasonCode.TOO_LARGE: (f"a record of {LARGE_BYTES} bytes is above the target's limit", None),
    ReasonCode.JOURNAL_CORRUPT: ("the checksum of the record fails", None),
    ReasonCode.AUTH: ("the target refused the credentials", None),
}


def stage_letters(tick: dict[str, Any], failed_ns: int) -> list[tuple[ReasonCode, DeadLetter]]:
    """One dead letter of each code that a stage behind the feed gives, about this Tick record.

    They differ in ``origin_offset``. ``failed_ns`` is when it failed.
    """
    good = AvroCodec().encode("tick", tick, 1)
    raw = {
        ReasonCode.SCHEMA_UNKNOWN_ID: UNKNOWN_SCHEMA + good[len(UNKNOWN_SCHEMA) :],
        ReasonCode.SCHEMA_INVALID: good[:-1],
        ReasonCode.TOO_LARGE: good + bytes(LARGE_BYTES - len(good)),
        ReasonCode.JOURNAL_CORRUPT: b"KJ" + bytes(range(62)),
    }
    return [
        (
            code,
            DeadLetter(
                raw=raw.get(code, good),
                reason=str(code),
                message=message,
                error_path=path,
                contract="tick.v1",
                first_failure_ns=failed_ns,
                unit="journal" if code is ReasonCode.JOURNAL_CORRUPT else "record",
                origin_topic=TICKS,
                origin_partition=0,
                origin_offset=offset,
            ),
        )
        for offset, (code, (message, path)) in enumerate(_MESSAGES.items())
    ]
