"""Live bars on the real Kafka: the same ticks give the same bars, whoever is killed."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest
from archive_stage import Stage
from bars_stage import NAMES, BarStage, S, spread

from kite_devstack.testing import MakeTopic
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import UnknownTopic
from kite_kafka_io.testing import NOW_NS
from kite_lake.bars.core import BarRules
from kite_lake.bars.service import BarTopics
from kite_runtime.errors import ConfigurationError

WAIT_S = 60.0
KILLS = 3


def _wait(done: Callable[[], bool], what: str) -> None:
    ends_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < ends_s, f"{what} did not happen in {WAIT_S:.0f} s"
        time.sleep(0.1)


@pytest.fixture()
def bars(stage: Stage, make_topic: MakeTopic) -> BarStage:
    return BarStage.of(stage, make_topic)


def test_processes_that_are_killed_write_the_bars_of_one_that_is_not(
    stage: Stage, bars: BarStage, make_topic: MakeTopic
) -> None:
    whole = BarStage.of(stage, make_topic)
    chance, sent = random.Random(3), 0

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            bars.command(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    processes = [start(), start()]
    try:
        for _ in range(KILLS):
            before = len(bars.values())
            stage.send(spread(4_000, first_seq=sent))
            sent += 4_000
            _wait(lambda before=before: len(bars.values()) > before, "a bar")  # type: ignore[misc]
            chosen = chance.randrange(2)
            time.sleep(chance.uniform(0.0, 0.4))  # the moment is the point of the test
            processes[chosen].send_signal(signal.SIGKILL)
            processes[chosen].wait()
            processes[chosen] = start()
            stage.send(spread(300, first_seq=sent - 300))  # what a bridge repeats after a crash
    finally:
        for each in processes:
            each.kill()
            each.wait()
    bars.close()
    counts = whole.close()
    assert counts.ticks == sent
    assert counts.repeats == KILLS * 300
    expected = whole.values()
    assert len(expected) == len(set(expected)) == sum(counts.written.values())
    assert min(counts.written.values()) > 1_000
    assert set(bars.values()) == set(expected)


def test_a_bar_is_final_without_further_ticks_and_a_later_one_revises_it(
    stage: Stage, bars: BarStage
) -> None:
    rules = BarRules({"m1": 60 * S}, lateness_ns=0, revise_ns=600 * S, idle_ns=S // 5)
    service = bars.service(rules=rules)
    thread = threading.Thread(target=service.run)
    # One tick, less than a second before its minute ends.
    one = spread(1)
    one.values[0, 1] = NOW_NS - NOW_NS % (60 * S) + 59_500_000_000
    thread.start()
    try:
        stage.send(one)
        _wait(lambda: len(bars.values()) == 1, "the bar")
        one.values[0, 4] = 7
        stage.send(one)
        _wait(lambda: len(bars.values()) == 2, "the revision")
    finally:
        service.stop.set()
        thread.join()
    first, second = bars.bars()
    assert [(bar["version"], bar["ticks"]) for bar in (first, second)] == [(1, 1), (2, 2)]
    assert service.counters.revisions == 1
    # The close by the clock was stored: nobody makes version 1 of both ticks.
    bars.close()
    assert bars.bars() == [first, second]


def test_gaps_of_the_feed_make_bars_incomplete(stage: Stage, bars: BarStage) -> None:
    begin = NOW_NS - NOW_NS % (60 * S) + 60 * S
    stage.send(spread(2_000))
    stage.send_event(
        type="GAP_CLOSED",
        feed_session=0,
        from_ns=begin + 5 * S,
        to_ns=begin + 6 * S,
        cause="no_bytes",
        detail="",
        gap_id="g",
        tokens=[256_265],
    )
    bars.close()
    # Without the first bars, whose volume is not known.
    found = {
        (bar["instrument_token"], bar["ts_open_ns"])
        for bar in bars.bars()
        if bar["interval"] == "m1" and not bar["complete"] and bar["ts_open_ns"] >= begin
    }
    assert found == {(256_265, begin)}


def test_instruments_without_a_name_are_counted(stage: Stage, bars: BarStage) -> None:
    stage.send(spread(100))
    named = {256_265: NAMES[256_265]}
    service = bars.service(once=True, names=named)
    counters = service.run()
    assert {bar["tradingsymbol"] for bar in bars.bars()} == {"S0"}
    assert counters.unnamed == 2 * (100 - 2) - 49  # two ticks each, of two seconds and one minute
    with pytest.raises(ConfigurationError, match="instruments sync"):
        bars.service(once=True, names={}).run()


def test_names_come_from_the_topic_of_instruments(
    stage: Stage, bars: BarStage, make_topic: MakeTopic
) -> None:
    topic = make_topic(1)
    stage.send(spread(1))
    listed = {
        "exchange": "NSE", "tradingsymbol": "FROM-TOPIC", "instrument_token": 256_265,
        "exchange_token": 1, "name": "", "expiry": None, "strike": 0, "price_scale": 2,
        "tick_size": 5, "lot_size": 1, "instrument_type": "EQ", "segment": "NSE",
        "observed_on": "2026-08-12", "source": "kite",
    }  # fmt: skip
    stage.send_record(topic, AvroCodec().encode("instrument", listed))
    topics = BarTopics(**{**vars(bars.topics), "instruments": topic})
    BarStage(bars.kafka, topics, {"names": {}}).close()
    assert {bar["tradingsymbol"] for bar in bars.bars()} == {"FROM-TOPIC"}


def test_a_topic_that_is_missing_is_named(bars: BarStage) -> None:
    topics = BarTopics(**{**vars(bars.topics), "state": "no-such-topic"})
    with pytest.raises(UnknownTopic, match="no-such-topic"):
        BarStage(bars.kafka, topics).close()
