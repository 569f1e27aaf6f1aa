"""The intake numbers packets and records events; a full journal is a counted, announced loss."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import INFY, SESSION, START_NS, Stage, events_of, frame, frames_of
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kite_broker_zerodha.session.events import (
    AuthExpired,
    AuthRestored,
    Connected,
    Disconnected,
    GapCause,
    GapClosed,
    GapOpened,
    SessionEvent,
    Stale,
    Subscribed,
    TextMessage,
)
from kite_contracts.tick_batch import TickMode
from kite_contracts.validate import explain
from kite_kafka_io.codec import AvroCodec
from kite_live_feed.options import JournalOptions

TINY = JournalOptions(segment_bytes=4096, max_bytes=8192, retain_s=0.0, sync="never")
SMALL = JournalOptions(segment_bytes=65_536, max_bytes=1 << 20, sync="never")
BIG = frame(150)
"""1502 bytes: two and the events fill a tiny segment."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("frame"), st.integers(0, 2), st.integers(0, 5)),
    ),
    max_size=30,
)


@settings(max_examples=50)
@given(STEPS)
def test_packets_are_numbered_without_gaps_in_each_session(
    steps: list[tuple[str, int, int]],
) -> None:
    expected: list[tuple[int, int, int, bytes]] = []
    counted: dict[int, int] = {}
    sessions = {}
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder), SMALL) as stage:
        for number, (what, shard, packets) in enumerate(
            [("connect", shard, 0) for shard in range(3)] + steps
        ):
            if what == "connect":
                stage.connect(shard, SESSION + 16 * number)
                sessions[shard] = SESSION + 16 * number + shard
                counted[sessions[shard]] = 0
                continue
            payload = frame(packets)
            stage.receive(payload, shard)
            session = sessions[shard]
            expected.append((shard, session, counted[session], payload))
            counted[session] += packets
        assert frames_of(stage.chunks()) == expected
        assert stage.counters.session_packets == counted
        assert stage.counters.packets_journaled == sum(counted.values())
        assert stage.counters.frames_journaled == stage.counters.frames_received == len(expected)
        assert stage.counters.bytes_received == sum(len(each[3]) for each in expected)


def test_faulty_packets_are_numbered_too(tmp_path: Path) -> None:
    """A frame cut short and bytes behind the last packet take a number each, as the decoder's."""
    with Stage(tmp_path) as stage:
        stage.connect()
        for payload in (frame(2)[:-1], frame(2) + b"rest", b"", frame(1)):
            stage.receive(payload)
        assert [each.first_seq for each in frames_of(stage.chunks())] == [0, 2, 5, 6]
        assert stage.counters.session_packets == {SESSION: 7}


def test_the_pump_is_woken_for_every_record(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.connect()
        stage.receive(frame(1))
        assert stage.woken == 2


NOW = START_NS + 7
NONE: dict[str, Any] = {
    "feed": "test",
    "ts_ns": START_NS,
    "shard": 1,
    "feed_session": None,
    "tokens": [],
    "from_ns": None,
    "to_ns": None,
    "cause": None,
    "detail": None,
    "count": None,
    "gap_id": None,
}
GAP = {"from_ns": 5, "cause": "silent", "tokens": [3, 4], "gap_id": "test-1-5"}
EVENTS: list[tuple[SessionEvent, dict[str, Any]]] = [
    (Connected(1, 33, NOW), {"type": "CONNECTED", "ts_ns": NOW, "feed_session": 33}),
    (
        Disconnected(1, NOW, 1006, "gone"),
        {"type": "DISCONNECTED", "ts_ns": NOW, "cause": "1006", "detail": "gone"},
    ),
    (GapOpened(1, (3, 4), 5, GapCause.SILENT), {"type": "GAP_OPENED", **GAP}),
    (GapClosed(1, (3, 4), 5, 9, GapCause.SILENT), {"type": "GAP_CLOSED", "to_ns": 9, **GAP}),
    (Subscribed(1, (3,), TickMode.FULL), {"type": "SUBSCRIBED", "tokens": [3], "detail": "full"}),
    (Stale(1, (3,), 5), {"type": "STALE", "tokens": [3], "from_ns": 5}),
    (AuthExpired(1, NOW, "403"), {"type": "AUTH_EXPIRED", "ts_ns": NOW, "detail": "403"}),
    (AuthRestored(1, NOW), {"type": "AUTH_RESTORED", "ts_ns": NOW}),
]


@pytest.mark.parametrize(("event", "differs"), EVENTS, ids=lambda each: type(each).__name__)
def test_a_session_event_becomes_a_record_of_the_contract(
    tmp_path: Path, event: SessionEvent, differs: dict[str, Any]
) -> None:
    with Stage(tmp_path) as stage:
        stage.intake.on_event(event)
        [record] = events_of(stage.chunks())
    assert record == NONE | differs
    assert explain("feed_event", 1, record) is None
    assert AvroCodec().encode("feed_event", record)
    assert stage.counters.feed_events == {differs["type"]: 1}


def test_a_failed_attempt_without_a_close_code_has_no_cause(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.intake.on_event(Disconnected(0, NOW, None, "refused"))
        [record] = events_of(stage.chunks())
    assert (record["cause"], record["detail"]) == (None, "refused")


def test_states_follow_the_events(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.connect(0)
        stage.connect(1)
        stage.intake.on_event(Disconnected(0, NOW, 1006, "gone"))
        stage.intake.on_event(Disconnected(0, NOW, None, "refused"))
        assert stage.intake.connected == {1}
        assert stage.counters.reconnects == 1
        stage.intake.on_event(AuthExpired(0, NOW, "403"))
        assert stage.counters.auth_expired
        stage.intake.on_event(AuthRestored(0, NOW))
        assert not stage.counters.auth_expired


def test_text_messages_are_counted_and_logged_but_are_no_events(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage, capture_logs() as logs:
        stage.intake.on_event(TextMessage(0, "message", "closing auction"))
        stage.intake.on_event(TextMessage(0, "order", None))
        assert stage.chunks() == []
    assert stage.counters.text_messages == {"message": 1, "order": 1}
    assert [line["data"] for line in logs] == ["closing auction"]  # no order is ever logged


def test_an_error_of_kite_is_an_event_and_is_counted_by_its_text(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        for text in ("bad mode", "bad mode", "too many tokens", None):
            stage.intake.on_event(TextMessage(1, "error", text))
        events = events_of(stage.chunks())
    assert stage.counters.broker_errors == {
        "bad mode": 2,
        "too many tokens": 1,
        "(not a plain text)": 1,
    }
    assert [(each["type"], each["shard"], each["detail"]) for each in events] == [
        ("BROKER_ERROR", 1, "bad mode"),
        ("BROKER_ERROR", 1, "bad mode"),
        ("BROKER_ERROR", 1, "too many tokens"),
        ("BROKER_ERROR", 1, "(not a plain text)"),
    ]
    assert all(explain("feed_event", 4, each) is None for each in events)


def test_a_flood_of_texts_fills_neither_the_log_nor_the_journal(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage, capture_logs() as logs:
        for number in range(1_000):
            stage.intake.on_event(TextMessage(0, "message", "hello"))
            stage.intake.on_event(TextMessage(0, "error", f"error {number}"))
        assert len(events_of(stage.chunks())) == 20
    assert len(logs) == 20 + 20
    assert stage.counters.text_messages == {"message": 1_000, "error": 1_000}
    assert len(stage.counters.broker_errors) == 21
    assert stage.counters.broker_errors["other"] == 980


def fill(stage: Stage) -> int:
    """Receive big frames until one is lost; how many were journaled."""
    while stage.counters.frames_lost == 0:
        stage.receive(BIG)
        assert stage.counters.frames_received < 50
    return stage.counters.frames_journaled


def make_room(stage: Stage) -> None:
    """Kafka acknowledges everything, and the writer's pause between two tries passes."""
    stage.journal.cursor.advance(stage.journal.writer.end)
    stage.clock.ns += 1_000_000_000


def test_a_full_journal_is_an_alarm_and_a_counted_loss(tmp_path: Path) -> None:
    with Stage(tmp_path, TINY) as stage, capture_logs() as logs:
        stage.connect()
        kept = fill(stage)
        stage.receive(BIG)
        stage.receive(BIG)
        counters = stage.counters
        assert (counters.frames_received, counters.frames_journaled) == (kept + 3, kept)
        assert counters.frames_lost == 3
        assert counters.session_packets == {SESSION: 150 * kept}
        alarms = [each for each in logs if each["log_level"] == "error"]
        assert len(alarms) == 1, "one alarm for the whole loss, not one a frame"
        assert "frames are being lost" in alarms[0]["event"]


def test_the_loss_is_announced_when_there_is_room_again(tmp_path: Path) -> None:
    with Stage(tmp_path, TINY) as stage:
        stage.connect(0)
        stage.connect(1)
        kept = fill(stage)
        lost_ns = stage.clock.ns
        stage.receive(BIG, shard=1)
        lost_on_1_ns = stage.clock.ns
        stage.receive(BIG, shard=0)
        stage.chunks()
        make_room(stage)
        stage.receive(frame(1))
        room_ns = stage.clock.ns
        chunks = stage.chunks()
        [number] = frames_of(chunks)
        assert number.first_seq == 150 * kept, "lost packets take no numbers"
        told = [
            (each["type"], each["shard"], each["from_ns"], each["to_ns"], each["count"])
            for each in events_of(chunks)
        ]
        assert told == [
            ("GAP_OPENED", 0, lost_ns, None, None),
            ("GAP_CLOSED", 0, lost_ns, room_ns, None),
            ("LOSS", 0, lost_ns, room_ns, 2),
            ("GAP_OPENED", 1, lost_on_1_ns, None, None),
            ("GAP_CLOSED", 1, lost_on_1_ns, room_ns, None),
            ("LOSS", 1, lost_on_1_ns, room_ns, 1),
        ]
        assert all(each["cause"] == "journal full" for each in events_of(chunks))
        gaps = [each for each in events_of(chunks) if each["type"] != "LOSS"]
        assert all(each["tokens"] == [INFY] for each in gaps)


def test_a_loss_is_announced_once(tmp_path: Path) -> None:
    with Stage(tmp_path, TINY) as stage:
        stage.connect()
        fill(stage)
        make_room(stage)
        stage.receive(frame(1))
        stage.chunks()
        stage.receive(frame(1))
        assert events_of(stage.chunks()) == []


def test_stopping_opens_a_gap_for_every_shard_that_was_heard(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        for shard in range(3):
            stage.connect(shard)
        stage.receive(frame(1), shard=2)
        second_ns = stage.clock.ns
        stage.receive(frame(1), shard=0)
        first_ns = stage.clock.ns
        stage.chunks()
        stage.intake.announce_stop()
        told = events_of(stage.chunks())
    assert [(each["type"], each["shard"], each["from_ns"]) for each in told] == [
        ("GAP_OPENED", 0, first_ns),
        ("GAP_OPENED", 2, second_ns),
    ]
    assert {each["cause"] for each in told} == {"restart"}
    assert [each["tokens"] for each in told] == [[INFY], [INFY]]


def test_a_shard_that_goes_leaves_the_gap_that_its_next_owner_closes(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.connect()
        stage.connect(1)
        assert stage.intake.hand_over(0) is None, "nothing was heard of it"
        stage.receive(frame(1), shard=0)
        last_ns = stage.clock.ns
        stage.chunks()
        assert stage.intake.hand_over(0) == last_ns
        [gap] = events_of(stage.chunks())
        assert (gap["type"], gap["from_ns"], gap["cause"]) == ("GAP_OPENED", last_ns, "handover")
        assert stage.intake.hand_over(0) is None, "it is told once"
        # A silence that lasts is the gap itself.
        stage.intake.on_event(GapOpened(1, (INFY,), 5, GapCause.STALLED))
        stage.chunks()
        assert stage.intake.hand_over(1) == 5
        assert events_of(stage.chunks()) == []
        assert not stage.counters.gaps_open
        stage.intake.announce_stop()
        assert events_of(stage.chunks()) == []


def test_a_shard_that_another_has_taken_leaves_no_gap_open(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.connect()
        stage.intake.on_event(GapOpened(0, (INFY,), 5, GapCause.SILENT))
        stage.chunks()
        stage.intake.yield_shard(0)
        [gap] = events_of(stage.chunks())
        assert (gap["type"], gap["from_ns"], gap["to_ns"]) == ("GAP_CLOSED", 5, stage.clock.ns)
        stage.intake.open_uncarried(3, 7)
        stage.intake.open_uncarried(3, 7)
        [gap] = events_of(stage.chunks())
        assert (gap["type"], gap["shard"], gap["from_ns"]) == ("GAP_OPENED", 3, 7)


def test_stopping_announces_a_loss_that_is_still_untold(tmp_path: Path) -> None:
    with Stage(tmp_path, TINY) as stage:
        stage.connect()
        fill(stage)
        stage.chunks()
        make_room(stage)
        stage.intake.announce_stop()
        told = [each["type"] for each in events_of(stage.chunks())]
    assert told == ["GAP_OPENED", "GAP_CLOSED", "LOSS", "GAP_OPENED"]


def test_a_loss_that_finds_no_room_to_be_announced_is_not_forgotten(tmp_path: Path) -> None:
    """Room for one frame is not room for the announcement: it is tried again."""
    with Stage(tmp_path, TINY, tokens=tuple(range(1000, 1500))) as stage:
        stage.connect()
        fill(stage)
        stage.chunks()
        # Kafka has acknowledged the first segment alone: the frame finds room, and one of the two
        # gap events with their five hundred tokens.
        end = stage.journal.writer.end
        stage.journal.cursor.advance(end._replace(offset=0))
        stage.clock.ns += 1_000_000_000
        stage.receive(frame(1))
        [first] = events_of(stage.chunks())
        make_room(stage)
        stage.receive(frame(1))
        again, *rest = events_of(stage.chunks())
        assert [each["type"] for each in rest] == ["GAP_CLOSED", "LOSS"]
        assert first["gap_id"] == again["gap_id"]
        stage.receive(frame(1))
        assert events_of(stage.chunks()) == []
