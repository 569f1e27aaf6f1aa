"""Dead letters and events: what Kafka refuses of them is put aside, and the ticks never wait."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import Stage, frame, ltp
from test_pump import OPTIONS, VIOLATION, Rig, proof

from kite_broker_zerodha.wire import encode_frame
from kite_devstack.testing import kafka_bootstrap, make_topic  # noqa: F401
from kite_kafka_io.errors import RecordRefused
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed import side_records
from kite_live_feed.refused import RefusedStore, read_refused
from kite_live_feed.side_records import REFUSED_FOR_S, RETRY_S
from kite_live_feed.topics import Topics

SECOND_NS = 1_000_000_000


def letters_frame(count: int) -> bytes:
    return encode_frame([VIOLATION] * count)


def passing(stage: Stage, until: Callable[[], bool]) -> Callable[[], bool]:
    """``until``, and time goes on by a tenth of a second whenever it is asked."""

    def asked() -> bool:
        stage.clock.ns += SECOND_NS // 10
        return until()

    return asked


def test_of_a_batch_that_is_too_large_only_what_does_not_fit_is_put_aside(
    tmp_path: Path,
    real_kafka: KafkaSettings,
    make_topic: Callable[..., str],  # noqa: F811
) -> None:
    """A broker answers for a batch: each letter fits here, all of them together do not."""
    dead = make_topic(1, {"max.message.bytes": "1000"})
    topics = Topics(make_topic(4), dead, make_topic(1, {"max.message.bytes": "10"}))
    with Stage(tmp_path, OPTIONS) as stage:
        store = RefusedStore(tmp_path / "journal")
        rig = Rig(stage, real_kafka, topics, refused=store)
        stage.connect()
        large = random.Random(1).randbytes(2_000)
        stage.receive(encode_frame([*[VIOLATION] * 20, large, *[VIOLATION] * 20, ltp(1)]))
        rig.drive(passing(stage, lambda: rig.settled))
        assert [letter.feed_seq for letter in rig.letters()] == [*range(20), *range(21, 41)]
        events, letters = sorted(store.files(), key=lambda path: dead in path.name)
        assert [record.value for record in read_refused(letters)] == [large]
        assert [record.topic for record in read_refused(events)] == [topics.events]
        assert (stage.counters.ticks_acked, stage.counters.producer_restarts) == (1, 0)
        assert (stage.counters.dead_acked, len(rig.opened_side)) == (40, 1)
        assert stage.counters.records_refused == {dead: 1, topics.events: 1}
        assert rig.pump.side.problems == {}, "the topics themselves take records"


class Refuses(RecordProducer):
    """Refuses every dead letter while ``why`` is set, and remembers what it was asked to take."""

    why: Exception | None = None
    asked: list[bytes | None]

    def produce_record(
        self, topic: str, key: bytes | None, value: bytes | None, delivery: Delivery, **more: Any
    ) -> None:
        if more.get("headers"):
            self.asked.append(value)
            if self.why is not None:
                raise self.why
        super().produce_record(topic, key, value, delivery, **more)


def test_a_topic_that_refuses_is_tried_with_one_record_and_the_ticks_go_on(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    Refuses.why, Refuses.asked = RecordRefused("no right"), []
    with Stage(tmp_path, OPTIONS) as stage:
        store = RefusedStore(tmp_path / "journal")
        rig = Rig(stage, mock_kafka, mock_topics, side_type=Refuses, refused=store)
        stage.connect()
        for number in range(50):
            stage.receive(letters_frame(10))
            stage.receive(frame(10, 10 * number))
        rig.drive(lambda: stage.counters.ticks_acked == 500 and bool(Refuses.asked))
        rig.drive(lambda: stage.counters.events_acked == 1)  # another topic is another matter
        tries = len(Refuses.asked)
        for _ in range(10):
            stage.clock.ns += int(RETRY_S * SECOND_NS)
            rig.pump.collect()
        assert tries + 5 <= len(Refuses.asked) <= tries + 10, "one record at a time, now and then"
        assert rig.pump.side.problems == {mock_topics.dead: "no right"}
        assert stage.counters.producer_restarts == 0
        assert rig.pump.only_refused(stage.journal.writer.end), "Kafka is not away"
        Refuses.why = None
        rig.drive(passing(stage, lambda: rig.settled))
        assert (store.files(), rig.pump.side.problems) == ([], {})
        back = rig.found()
        assert (back.ticks, back.dead, *proof(back)) == (500, 500, 0, 0, 0)


def test_letters_without_end_for_a_topic_that_refuses_are_put_aside_early(
    tmp_path: Path,
    mock_kafka: KafkaSettings,
    mock_topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded, and what has no room there must not wait in front of the ticks."""
    monkeypatch.setattr(side_records, "BYTES_MAX", 200_000)
    Refuses.why, Refuses.asked = RecordRefused("no right"), []
    with Stage(tmp_path, OPTIONS) as stage:
        store = RefusedStore(tmp_path / "journal")
        rig = Rig(stage, mock_kafka, mock_topics, side_type=Refuses, refused=store)
        stage.connect()
        began_ns = stage.clock.ns
        for number in range(50):
            stage.receive(letters_frame(100))
            stage.receive(frame(10, 10 * number))
        rig.drive(passing(stage, lambda: rig.settled))
        assert stage.clock.ns - began_ns < REFUSED_FOR_S * SECOND_NS
        assert stage.counters.records_refused == {mock_topics.dead: 5_000}
        [file] = store.files()
        assert len(list(read_refused(file))) == 5_000
        assert stage.counters.ticks_acked == 500


def test_with_no_room_to_put_aside_the_position_waits(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    Refuses.why, Refuses.asked = RecordRefused("no right"), []
    with Stage(tmp_path, OPTIONS) as stage:
        store = RefusedStore(tmp_path / "journal", bytes_max=10)
        rig = Rig(stage, mock_kafka, mock_topics, side_type=Refuses, refused=store)
        stage.connect()
        stage.receive(letters_frame(1))
        stage.receive(frame(10))
        rig.drive(passing(stage, lambda: store.problem is not None))
        assert (stage.counters.ticks_acked, rig.settled) == (10, False)
        Refuses.why = None
        rig.drive(passing(stage, lambda: rig.settled))
        assert (stage.counters.dead_acked, store.files()) == (1, [])


def test_a_failed_producer_of_letters_is_replaced_and_the_ticks_do_not_notice(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    with Stage(tmp_path, OPTIONS) as stage:
        rig = Rig(stage, mock_kafka, mock_topics, refused=RefusedStore(tmp_path / "journal"))
        stage.connect()
        stage.receive(letters_frame(100))
        stage.receive(frame(10))
        rig.drive(lambda: bool(rig.opened_side))
        rig.opened_side[0].fatal = "fault of the test"
        rig.drive(passing(stage, lambda: rig.settled))
        assert (len(rig.opened), len(rig.opened_side)) == (1, 2)
        assert {letter.feed_seq for letter in rig.letters()} == set(range(100))
        assert (stage.counters.dead_acked, stage.counters.records_refused) == (100, {})
        assert stage.counters.producer_restarts == 0


def test_a_failed_producer_of_ticks_repeats_no_letter(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics
) -> None:
    with Stage(tmp_path, OPTIONS) as stage:
        rig = Rig(stage, mock_kafka, mock_topics)
        stage.connect()
        stage.receive(encode_frame([ltp(1), VIOLATION]))
        rig.pump.step()
        rig.opened[0].flush(30.0)
        rig.opened[0].fatal = "fault of the test"
        rig.pump.collect()
        stage.clock.ns += 2 * SECOND_NS
        rig.drive()
        assert len(rig.opened) == 2
        assert [letter.feed_seq for letter in rig.letters()] == [1]
        assert stage.counters.ticks_acked == 1
