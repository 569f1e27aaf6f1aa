"""The pump: everything in the journal gets to Kafka, whatever happens to producer and disk."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bridge_cases import INFY, SESSION, START_NS, Stage, frame, ltp

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.session.events import GapCause, GapOpened
from kite_broker_zerodha.wire import encode_frame, encode_packet
from kite_contracts.tick_batch import TickBatch
from kite_kafka_io.consumer import RecordReader, TickReader
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.errors import ProducerFatal, QueueFull
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.journal import Journal, Position
from kite_live_feed.journal.layout import HEADER_BYTES, list_segments
from kite_live_feed.options import JournalOptions
from kite_live_feed.proof import Mark, ReadBack, mark_topics, read_back
from kite_live_feed.pump import LETTERS_A_STEP, PRODUCER_RETRY_S, Pump
from kite_live_feed.refused import RefusedStore
from kite_live_feed.shards import Fence
from kite_live_feed.side_records import RETRY_S
from kite_live_feed.topics import Topics

DEADLINE_S = 30.0
OPTIONS = JournalOptions(segment_bytes=1 << 20, max_bytes=1 << 24, sync="never")
FRAMING = SingleObjectFraming()
VIOLATION = encode_packet(PacketKind.LTP, {"instrument_token": 0, "last_price": 7})


class Rig:
    """A pump between a stage's journal and a broker, driven by hand."""

    def __init__(
        self,
        stage: Stage,
        kafka: KafkaSettings,
        topics: Topics,
        producer_type: type[RecordProducer] = RecordProducer,
        side_type: type[RecordProducer] = RecordProducer,
        refused: RefusedStore | None = None,
        pace_s: float = 0.0,
    ) -> None:
        self.stage = stage
        self.kafka = kafka
        self.topics = topics
        self.opened: list[RecordProducer] = []
        self.opened_side: list[RecordProducer] = []
        self._type = producer_type
        self._side_type = side_type
        self._mark: Mark = mark_topics(kafka, topics.names)
        self.pump = Pump(
            stage.journal.reader,
            stage.journal.cursor,
            kafka,
            FRAMING,
            topics,
            stage.counters,
            clock=stage.clock,
            refused=refused,
            pace_s=pace_s,
            make_producer=self._open,
        )

    def _open(self, _: KafkaSettings, *, gapless: bool, **options: Any) -> RecordProducer:
        """The Kafka of ``kafka`` as it is now: a test may put another in its place."""
        kind, opened = (self._type, self.opened) if gapless else (self._side_type, self.opened_side)
        opened.append(kind(self.kafka, gapless=gapless, **options))
        return opened[-1]

    @property
    def settled(self) -> bool:
        journal = self.stage.journal
        return self.pump.idle and journal.cursor.position >= journal.writer.end

    def drive(self, until: Callable[[], bool] | None = None) -> None:
        """Publish and collect until all is acknowledged, or ``until`` holds."""
        ends_s = time.monotonic() + DEADLINE_S
        while not (until() if until is not None else self.settled):
            assert time.monotonic() < ends_s, "the pump does not get there"
            if not self.pump.step():
                self.pump.wait(0.01)
            self.pump.collect()

    def found(self) -> ReadBack:
        """What a consumer reads of this stage's sessions."""
        sessions = dict(self.stage.counters.session_packets)
        return read_back(self.kafka, FRAMING, self.topics, self._mark, sessions, "test")

    def letters(self) -> list[DeadLetter]:
        with RecordReader(
            self.kafka, [self.topics.dead], start="earliest", until_end=True
        ) as records:
            found = [record.dead_letter() for record in records]
        return sorted(found, key=lambda each: (each.feed_session or 0, each.feed_seq or 0))

    def ticks(self) -> list[tuple[int, int]]:
        """(feed_seq, last_price) of every tick in the topic, repeats too, by number."""
        found: list[tuple[int, int]] = []
        with TickReader(
            self.kafka, self.topics.ticks, start="earliest", until_end=True, duplicates=None
        ) as batches:
            for columns in batches:
                seqs = columns.column("feed_seq").tolist()
                found += zip(seqs, columns.column("last_price").tolist(), strict=True)
        return sorted(found)


def proof(back: ReadBack) -> tuple[int, int, int]:
    return back.lost(), back.duplicated, back.reordered


@pytest.fixture()
def stage(tmp_path: Path) -> Any:
    with Stage(tmp_path, OPTIONS) as stage:
        yield stage


@pytest.fixture()
def rig(stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics) -> Rig:
    return Rig(stage, mock_kafka, mock_topics)


def test_what_is_acknowledged_moves_the_position(rig: Rig) -> None:
    stage = rig.stage
    stage.connect()
    for number in range(200):
        stage.receive(frame(10, first_price=10 * number))
    assert stage.journal.cursor.position == Position(0, 0)
    rig.drive()
    assert stage.journal.cursor.position == stage.journal.writer.end
    counters = stage.counters
    assert (counters.packets_decoded, counters.ticks_acked, counters.dead_acked) == (2000, 2000, 0)
    assert (counters.events_journaled, counters.events_acked) == (1, 1)
    back = rig.found()
    assert proof(back) == (0, 0, 0)
    assert (back.ticks, back.events, back.repeats_dropped) == (2000, {"CONNECTED": 1}, 0)
    assert rig.ticks() == [(seq, seq) for seq in range(2000)]


def test_nothing_is_acknowledged_before_kafka_has_it(rig: Rig) -> None:
    """Publishing alone moves nothing: a crash here publishes again."""
    rig.stage.connect()
    rig.stage.receive(frame(3))
    assert rig.pump.step()
    assert not rig.pump.idle
    assert rig.stage.journal.cursor.position == Position(0, 0)
    rig.drive()
    assert rig.pump.idle


def test_frames_that_come_quickly_are_published_together(
    stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    """After a small chunk the pump rests; a large one says that there is more, and it goes on."""
    rig = Rig(stage, mock_kafka, mock_topics, pace_s=0.001)
    stage.connect()
    assert rig.pump.rest_s == 0.0
    assert rig.pump.step()
    stage.receive(frame(3))
    stage.receive(frame(4))
    assert not rig.pump.step()
    assert 0.0 < rig.pump.rest_s <= 0.001
    stage.clock.ns += 1_000_000
    assert rig.pump.step()
    assert stage.counters.ticks_published == 7, "both frames in one chunk"
    stage.clock.ns += 1_000_000
    for _ in range(2):
        stage.receive(frame(4000))
        assert rig.pump.step()
        assert rig.pump.rest_s == 0.0


def test_a_pump_without_room_says_so(
    stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    rig = Rig(stage, dataclasses.replace(mock_kafka, max_in_flight=1000), mock_topics)
    stage.connect()
    stage.receive(frame(1000))
    assert rig.pump.step()
    assert not rig.pump.held_up
    stage.receive(frame(1))
    assert not rig.pump.step()
    assert rig.pump.held_up
    rig.drive()
    assert not rig.pump.held_up
    assert stage.counters.ticks_acked == 1001


def test_latency_is_from_the_oldest_frame_of_the_chunk(rig: Rig) -> None:
    rig.stage.connect()
    rig.stage.receive(frame(1))
    rig.stage.clock.ns += 5_000_000
    rig.stage.receive(frame(1))
    rig.drive()
    assert rig.stage.counters.last_ack_latency_ns == 5_000_000 + 1000


def test_a_failed_producer_is_replaced_and_the_repeats_are_dropped(rig: Rig) -> None:
    stage = rig.stage
    stage.connect()
    stage.receive(frame(50))
    rig.drive()
    kept = stage.journal.cursor.position
    stage.receive(frame(50, 1000))
    stage.receive(encode_frame([VIOLATION]))
    assert rig.pump.step()
    [first] = rig.opened
    assert first.flush(DEADLINE_S) == 0, "Kafka has it all, and the pump does not know yet"
    first.fatal = "fault of the test"
    rig.pump.collect()
    assert stage.counters.producer_restarts == 1
    assert stage.journal.cursor.position == kept
    assert not rig.pump.step(), "the next producer waits a moment"
    assert len(rig.opened) == 1
    stage.clock.ns += int(PRODUCER_RETRY_S * 1e9)
    rig.drive()
    assert len(rig.opened) == 2
    assert len(rig.ticks()) == 150, "the topic does hold the repeats"
    back = rig.found()
    assert back.repeats_dropped == 50
    assert (back.ticks, back.lost(), back.reordered) == (100, 0, 0)
    assert stage.counters.ticks_acked == 100, "the books count a tick once"
    assert stage.journal.cursor.position == stage.journal.writer.end


class FailsOnce(RecordProducer):
    """The second batch of ticks makes the first producer fatal, in the middle of a chunk."""

    calls = 0

    def produce_ticks(self, batch: TickBatch, delivery: Delivery) -> int:
        type(self).calls += 1
        if type(self).calls == 2:
            self.fatal = "refused by the test"
            raise ProducerFatal(self.fatal)
        return super().produce_ticks(batch, delivery)


def test_a_producer_that_fails_while_publishing_starts_over(
    stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    rig = Rig(stage, mock_kafka, mock_topics, FailsOnce)
    stage.connect()
    stage.receive(frame(20))
    rig.pump.step()
    stage.receive(frame(20, 500))
    rig.pump.step()
    assert stage.counters.producer_restarts == 1
    assert rig.pump.idle, "nothing of the failed producer is waited for"
    stage.clock.ns += int(PRODUCER_RETRY_S * 1e9)
    rig.drive()
    back = rig.found()
    assert (back.ticks, *proof(back)) == (40, 0, 0, 0)
    assert stage.counters.ticks_acked == 40


def test_dead_letters_say_what_why_and_where(rig: Rig) -> None:
    stage = rig.stage
    unknown = b"thirteen char"
    early = encode_packet(
        PacketKind.INDEX_FULL,
        {"instrument_token": 256265, "last_price": 5, "ts_event_ns": 5_000_000_000},
    )
    whole = encode_frame([ltp(1), VIOLATION, unknown, early, ltp(2)])
    stage.connect()
    stage.receive(whole + b"rest")
    stage.receive(frame(2)[:-3])
    rig.drive()
    assert stage.counters.ticks_acked == 3
    assert rig.ticks() == [(0, 1), (4, 2), (6, 100)]
    letters = rig.letters()
    assert [
        (each.feed_seq, each.reason, each.error_path, each.unit, each.raw) for each in letters
    ] == [
        (1, "SEMANTIC_RANGE", "/instrument_token", "packet", VIOLATION),
        (2, "DECODE_UNKNOWN_PACKET", None, "packet", unknown),
        (3, "SEMANTIC_RANGE", "/ts_event_ns", "packet", early),
        (5, "DECODE_TRAILING_BYTES", None, "frame-tail", b"rest"),
        (7, "DECODE_TRUNCATED", None, "frame-tail", frame(2)[-10:-3]),
    ]
    assert {each.feed_session for each in letters} == {SESSION}
    assert {each.contract for each in letters} == {"tick.v1"}
    assert {each.attempt for each in letters} == {1}
    assert [each.first_failure_ns for each in letters] == [START_NS + 1000] * 4 + [START_NS + 2000]
    assert "0" in letters[0].message
    assert stage.counters.dead_letters == {
        "SEMANTIC_RANGE": 2,
        "DECODE_UNKNOWN_PACKET": 1,
        "DECODE_TRAILING_BYTES": 1,
        "DECODE_TRUNCATED": 1,
    }
    assert proof(rig.found()) == (0, 0, 0)


def test_a_letter_larger_than_a_record_is_cut_and_says_so(rig: Rig) -> None:
    rig.stage.connect()
    rig.stage.receive(b"\x00\x01\xff\xff" + bytes(1_200_000))
    rig.drive()
    letters = rig.letters()
    assert [(each.reason, len(each.raw)) for each in letters] == [
        ("DECODE_UNKNOWN_PACKET", 65_535),
        ("DECODE_TRAILING_BYTES", 900_000),
    ]
    assert "the first 900000 of 1134465 bytes" in letters[1].message


def test_a_frame_with_more_packets_than_usual_batches(rig: Rig) -> None:
    rig.stage.connect()
    rig.stage.receive(frame(1))
    rig.stage.receive(frame(12_000))
    rig.stage.receive(frame(1))
    rig.drive()
    back = rig.found()
    assert (back.ticks, *proof(back)) == (12_002, 0, 0, 0)


def test_a_frame_of_nothing_but_empty_packets_does_not_hold_up_the_loop(rig: Rig) -> None:
    """Each step makes a few dead letters; the ticks before and behind are published as ever."""
    rig.stage.connect()
    rig.stage.receive(frame(1))
    rig.stage.receive(b"\x27\x10" + bytes(20_000))
    rig.stage.receive(frame(1))
    steps, most = 0, 0
    while rig.pump.step() or rig.pump.rest_s:
        before = rig.stage.counters.dead_published
        steps += 1
        rig.stage.clock.ns += 10**7
        rig.pump.step()
        most = max(most, rig.stage.counters.dead_published - before)
        assert steps < 1_000
    assert most == LETTERS_A_STEP
    rig.drive()
    back = rig.found()
    assert (back.ticks, back.dead, *proof(back)) == (2, 10_000, 0, 0, 0)


def test_a_damaged_stretch_of_the_journal_becomes_a_dead_letter(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    with Stage(tmp_path, OPTIONS) as first:
        first.connect()
        first.receive(frame(2, 100))
        before = first.journal.writer.end.offset
        first.receive(frame(3, 200))
        first.receive(frame(2, 300))
        numbered = dict(first.counters.session_packets)
    [segment] = list_segments(tmp_path / "journal")
    data = bytearray(segment.path.read_bytes())
    data[before + HEADER_BYTES + 7] ^= 0xFF
    segment.path.write_bytes(data)

    with Stage(tmp_path, OPTIONS) as stage:
        rig = Rig(stage, mock_kafka, mock_topics)
        stage.counters.session_packets.update(numbered)
        rig.drive()
        assert stage.counters.journal_damage == 1
        assert rig.ticks() == [(0, 100), (1, 101), (5, 300), (6, 301)]
        [letter] = rig.letters()
        assert (letter.reason, letter.unit) == ("JOURNAL_CORRUPT", "journal")
        assert (letter.feed_session, letter.feed_seq) == (SESSION, 2)
        payload = before + HEADER_BYTES
        assert letter.raw == data[payload : payload + len(frame(3))]
        assert rig.found().lost() == 2, "the proof shows what the damage cost"
        assert stage.journal.cursor.position == stage.journal.writer.end


class RefusesLetters(RecordProducer):
    """Takes the first dead letter and the first event at the second attempt only."""

    refused: list[str]

    def produce_record(
        self, topic: str, key: bytes | None, value: bytes | None, delivery: Delivery, **more: Any
    ) -> None:
        what = "letter" if more.get("headers") else "event"
        if what not in self.refused:
            self.refused.append(what)
            raise QueueFull(f"no {what} now")
        super().produce_record(topic, key, value, delivery, **more)


def test_a_letter_or_event_that_is_refused_is_sent_again_without_the_ticks(
    stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    RefusesLetters.refused = []
    rig = Rig(stage, mock_kafka, mock_topics, side_type=RefusesLetters)
    stage.intake.on_event(GapOpened(0, (INFY,), 5, GapCause.SILENT))
    stage.connect()
    stage.receive(encode_frame([ltp(1), VIOLATION, ltp(2)]))
    rig.drive(lambda: len(RefusesLetters.refused) == 2)
    assert sorted(RefusesLetters.refused) == ["event", "letter"]
    assert stage.counters.ticks_acked == 2, "the ticks do not wait"
    stage.clock.ns += int(RETRY_S * 1e9)
    rig.drive()
    assert (len(rig.letters()), len(rig.ticks())) == (1, 2)
    assert rig.found().events == {"GAP_OPENED": 1, "CONNECTED": 1}
    assert (stage.counters.producer_restarts, len(rig.opened)) == (0, 1)


class NeverTakesLetters(RecordProducer):
    """No room for dead letters while ``away``."""

    away = True
    attempts = 0

    def produce_record(
        self, topic: str, key: bytes | None, value: bytes | None, delivery: Delivery, **more: Any
    ) -> None:
        if more.get("headers"):
            type(self).attempts += 1
            if type(self).away:
                raise QueueFull("no room for letters")
        super().produce_record(topic, key, value, delivery, **more)


def test_the_position_waits_for_the_letters_and_tries_them_at_intervals(
    stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    NeverTakesLetters.away, NeverTakesLetters.attempts = True, 0
    rig = Rig(stage, mock_kafka, mock_topics, side_type=NeverTakesLetters)
    stage.connect()
    stage.receive(encode_frame([ltp(1), VIOLATION]))
    rig.drive(lambda: NeverTakesLetters.attempts > 0)
    for _ in range(20):
        rig.pump.collect()
    assert NeverTakesLetters.attempts == 1, "once, then it waits"
    stage.clock.ns += int(RETRY_S * 1e9)
    rig.pump.collect()
    assert NeverTakesLetters.attempts == 2
    assert stage.counters.ticks_acked == 1
    assert stage.journal.cursor.position == Position(0, 0)
    NeverTakesLetters.away = False
    stage.clock.ns += int(RETRY_S * 1e9)
    rig.drive()
    assert len(rig.letters()) == 1
    assert stage.journal.cursor.position == stage.journal.writer.end


def test_a_full_producer_leaves_the_rest_in_the_journal(
    stage: Stage, mock_topics: Topics, mock_kafka: KafkaSettings
) -> None:
    """With Kafka away the pump hands over what fits and waits; memory stays bounded."""
    nowhere = KafkaSettings(bootstrap="127.0.0.1:9", max_in_flight=1000)
    rig = Rig(stage, mock_kafka, mock_topics)
    rig.kafka = nowhere
    stage.connect()
    for _ in range(40):
        stage.receive(frame(2_500))
    steps = 0
    while rig.pump.step():
        steps += 1
    assert steps < 40
    assert rig.opened[0].capacity_left == 0
    rig.pump.collect()
    assert stage.counters.in_flight == rig.opened[0].in_flight
    assert rig.pump.close() == steps
    assert stage.journal.cursor.position == Position(0, 0)
    assert stage.journal.writer.backlog_bytes > 40 * 2_500 * 8


def test_a_new_bridge_publishes_what_the_last_one_left(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    """As after SIGKILL: the first run has published, and never learned of the acknowledgement."""
    with Stage(tmp_path, OPTIONS) as first:
        rig = Rig(first, mock_kafka, mock_topics)
        first.connect()
        first.receive(frame(30))
        rig.pump.step()
        rig.opened[0].flush(DEADLINE_S)
        numbered = dict(first.counters.session_packets)
        rig.pump.close()
    with Journal(tmp_path / "journal", OPTIONS) as journal:
        assert journal.cursor.position == Position(0, 0)
    with Stage(tmp_path, OPTIONS) as second:
        again = Rig(second, mock_kafka, mock_topics)
        second.connect(session=SESSION + 16)
        second.receive(frame(5))
        again.drive()
        sessions = numbered | second.counters.session_packets
        mark = Mark({name: dict.fromkeys(range(4), 0) for name in mock_topics.names})
        back = read_back(mock_kafka, FRAMING, mock_topics, mark, sessions, "test")
    assert proof(back) == (0, 0, 0)
    assert (back.ticks, back.repeats_dropped) == (35, 30)


def test_the_order_of_an_instrument_survives_many_chunks(rig: Rig) -> None:
    stage = rig.stage
    stage.connect()
    stage.connect(1)
    generator = np.random.default_rng(7)
    for number in range(600):
        shard = number % 2
        token = (1000 + int(generator.integers(0, 5))) << 8 | (1 + shard)
        stage.receive(frame(int(generator.integers(1, 120)), token=token), shard)
    rig.drive()
    back = rig.found()
    assert proof(back) == (0, 0, 0)
    assert back.ticks == stage.counters.packets_journaled


def test_frames_that_another_bridge_has_taken_over_stay_in_the_journal(
    stage: Stage, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    rig = Rig(stage, mock_kafka, mock_topics)
    stage.connect()
    stage.receive(frame(3, 100))
    taken_ns = stage.clock.ns + 1
    stage.receive(frame(2, 200))
    rig.pump.fences = frozenset({Fence(0, taken_ns)})
    rig.drive()
    assert [price for _, price in rig.ticks()] == [100, 101, 102]
    assert stage.counters.frames_superseded == 1
    stage.clock.ns += 1_000
    stage.connect(session=stage.clock.ns & ~15)  # the shard is back here
    stage.receive(frame(1, 300))
    rig.drive()
    assert 300 in [price for _, price in rig.ticks()]
