"""Sends the seeded market through journal and pump into Kafka, and reads it back."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kite_contracts.reasons import ReasonCode
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.framing import Framing
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.bridge import warm_up
from kite_live_feed.counters import Counters
from kite_live_feed.errors import KafkaUnreachable
from kite_live_feed.intake import Intake
from kite_live_feed.journal import Journal, JournalOptions
from kite_live_feed.journal.options import MIB
from kite_live_feed.proof.ledger import Ledger
from kite_live_feed.proof.read_topics import Mark, mark_topics, read_back
from kite_live_feed.pump import Pump, make_pump
from kite_live_feed.rehearsal.demo import demo_plan
from kite_live_feed.rehearsal.smoke.bars import SOURCE
from kite_live_feed.rehearsal.smoke.feed import Frame, SmokeFeed
from kite_live_feed.rehearsal.smoke.letters import (
    Identity,
    SmokeLetter,
    identity,
    letter_problems,
    read_letters,
)
from kite_live_feed.rehearsal.smoke.stages import stage_letters
from kite_live_feed.topics import Topics
from kite_simulator import Fault

FEED: Final = "smoke"
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
        """Every imbalance in one sentence."""
        found = self.ledger.problems() + letter_problems(self.letters, self.letters_sent)
        if self.bars_sent != self.bars_read:
            found.append(f"bars sent: {self.bars_sent}, but read back: {self.bars_read}")
        return found

    @property
    def balanced(self) -> bool:
        """True when ticks, dead letters, events and bars all agree."""
        return self.ledger.balanced and not self.problems()


def run_smoke(
    options: SmokeOptions,
    kafka: KafkaSettings,
    framing: Framing,
    topics: Topics,
    journal_dir: Path,
    progress: Callable[[int], None],
) -> SmokeResult:
    """Send and read back. ``progress`` is told the packets journaled so far.

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
        pump = make_pump(journal.reader, journal.cursor, kafka, framing, topics, counters)
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
    ledger = Ledger(
        sent_frames=expected.frames,
        sent_packets=expected.packets,
        journaled_frames=counters.frames_journaled,
        journaled_packets=counters.packets_journaled,
        decoded_packets=counters.packets_decoded,
        published=counters.ticks_acked,
        dead_lettered=counters.dead_acked,
        read_back=read_back(kafka, framing, topics, mark, dict(counters.session_packets), FEED),
        expected_reasons=expected.reasons,
        expected_events=expected.events,
        lost_before_journal=counters.frames_lost,
    )
    digest = hashlib.sha256()
    _digest(kafka, topics.ticks, mark, framing, digest.update)
    found = _digest(kafka, topics.bars, mark, framing, digest.update, source=SOURCE)
    letters = read_letters(kafka, topics.dead, mark.offsets[topics.dead], intended)
    return SmokeResult(ledger, len(bars), found, digest.hexdigest(), tuple(letters), len(intended))


def _finish(pump: Pump, journal: Journal, kafka: KafkaSettings) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not pump.idle or journal.cursor.position < journal.writer.end:
        if time.monotonic() > ends_s:
            raise KafkaUnreachable(
                f"Kafka at {kafka.bootstrap} has not acknowledged everything within "
                f"{DEADLINE_S:.0f} s; try again when it answers"
            )
        if not pump.step():
            pump.wait(0.01)
        pump.collect()
    pump.close()


def _send_bars(
    bars: list[dict[str, object]], kafka: KafkaSettings, framing: Framing, topic: str
) -> None:
    codec = AvroCodec(framing)
    producer = RecordProducer(kafka, framing=framing)
    delivery = Delivery()
    try:
        for bar in bars:
            key = str(bar["instrument_token"]).encode()
            producer.produce_record(topic, key, codec.encode("bar", bar), delivery)
        producer.flush(DEADLINE_S)
    finally:
        producer.close()
    if not delivery.ok:
        raise KafkaUnreachable(
            f"Kafka at {kafka.bootstrap} has not taken the bars: {delivery.error or 'no answer'}"
        )


def _send_stages(
    feed: SmokeFeed, kafka: KafkaSettings, framing: Framing, topic: str
) -> dict[Identity, ReasonCode]:
    """Write what other stages would; each letter with the reason intended for it."""
    letters = stage_letters(feed.last_tick(), feed.clock.ns)
    producer = RecordProducer(kafka, framing=framing, dead_topic=topic)
    delivery = Delivery()
    try:
        for _, letter in letters:
            producer.produce_dead(letter, delivery)
        producer.flush(DEADLINE_S)
    finally:
        producer.close()
    if not delivery.ok:
        raise KafkaUnreachable(
            f"Kafka at {kafka.bootstrap} has not taken the dead letters: "
            f"{delivery.error or 'no answer'}"
        )
    return {identity(letter): code for code, letter in letters}


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
    with RecordReader(
        kafka, [topic], from_offsets=mark.offsets[topic], until_end=True, framing=framing
    ) as records:
        for record in records:
            if source is None or record.decode().record["source"] == source:
                values.setdefault(record.partition, []).append(record.value)
    for _, of_partition in sorted(values.items()):
        for value in of_partition:
            update(value)
    return sum(map(len, values.values()))
