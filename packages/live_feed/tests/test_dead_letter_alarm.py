"""Too many dead letters: told once in feed.events, while it lasts in metrics and readiness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge_cases import Stage, events_of

from kite_contracts.validate import explain
from kite_kafka_io.breaker import BreakerLimits
from kite_kafka_io.codec import AvroCodec
from kite_live_feed.dead_letter_alarm import DeadLetterWatch

NS = 1_000_000_000
LIMITS = BreakerLimits(share=0.1, window_s=60, least=5, clear_s=30)


def test_an_alarm_and_its_end_are_events(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        counters = stage.counters
        counters.ticks_acked, counters.dead_letters["TOO_LARGE"] = 10_000, 9_000
        watch = DeadLetterWatch(LIMITS, counters, stage.intake.on_dead_letters)
        stage.connect()
        for second in range(200):
            counters.ticks_acked += 20
            if second < 5:
                counters.dead_letters["SEMANTIC_RANGE"] += 8
                counters.dead_letters["TOO_LARGE"] += 1
            stage.clock.ns += NS
            watch.look(float(second), stage.clock.ns)
            if second == 2:
                assert counters.dead_letter_alarm
                assert watch.problem == (
                    "27 of 87 records are dead letters (31.0%), most are SEMANTIC_RANGE; "
                    "`dlq_triage --topic ticks.dlq` shows more"
                )
        assert (watch.problem, counters.dead_letter_alarm) == (None, False)
        high, normal = (event for event in events_of(stage.chunks()) if "DEAD" in event["type"])
    assert (high["type"], high["cause"], high["count"]) == (
        "DEAD_LETTERS_HIGH",
        "SEMANTIC_RANGE",
        9,
    )
    assert (high["from_ns"], high["to_ns"]) == (high["ts_ns"] - 60 * NS, None)
    assert normal["type"] == "DEAD_LETTERS_NORMAL"
    assert (normal["from_ns"], normal["to_ns"]) == (high["from_ns"], normal["ts_ns"])
    for event in (high, normal):
        assert explain("feed_event", 2, event) is None
        assert AvroCodec().decode(AvroCodec().encode("feed_event", event)).record == event


def test_a_feed_with_few_dead_letters_says_nothing(tmp_path: Path) -> None:
    told: list[Any] = []
    with Stage(tmp_path) as stage:
        watch = DeadLetterWatch(LIMITS, stage.counters, lambda *what: told.append(what))
        for second in range(300):
            stage.counters.ticks_acked += 100
            stage.counters.dead_letters["SEMANTIC_RANGE"] += 5
            watch.look(float(second), second * NS)
    assert told == []
    assert 0.04 < stage.counters.dead_letter_share < 0.06
