"""Live bars: catching up with a topic of ticks, and how late a final bar of one second is."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.bridge_way import UnjournaledBridge
from benchmarks.measure import Figure, NotMeasured, Spread, say
from benchmarks.stage import full_frames, instrument_tokens, kafka_settings, topic
from kite_contracts.tick_batch import (
    FEED_SEQ,
    FEED_SESSION,
    INSTRUMENT_TOKEN,
    TRADE,
    TS_EVENT_NS,
    TS_RECV_NS,
)
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import full_batch
from kite_lake.bars.core import INTERVALS, BarRules
from kite_lake.bars.service import BarsService, BarTopics

TITLE = "Live bars"
PACKETS = 30
TICKS = 1_200_000
INSTRUMENTS = 3_000
RATE_MIN = 300_000
FEED_RATE = 18_000
FEED_S = 20
SETTLE_S = 6
LATENCY_MAX_MS = 150
_S = 1_000_000_000
_RULES = BarRules({name: INTERVALS[name] for name in ("s1", "m1")})
_NAMES = {token: ("NSE", f"S{token}") for token in instrument_tokens(INSTRUMENTS)}


def run(rounds: int) -> list[Figure]:
    """A service that catches up, bars of 1 s and 1 m; then one that follows."""
    settings = kafka_settings()
    with topic(settings) as ticks, topic(settings, 1) as events:
        say(f"  writing {TICKS:,} ticks")
        writer = UnjournaledBridge(settings, ticks)
        writer.run(full_frames(PACKETS, TICKS // PACKETS, INSTRUMENTS))
        writer.close()
        rates = [catch_up(settings, ticks, events) for _ in range(rounds + 1)][1:]
    late_ms = latencies(settings)
    return [
        Figure.of("ticks into bars, catching up", "ticks/s", Spread.of(rates), RATE_MIN),
        Figure.once(
            f"a final bar of 1 s after end and lateness, p99 at {FEED_RATE:,} ticks/s",
            "ms",
            float(np.percentile(late_ms, 99)),
            LATENCY_MAX_MS,
            at_most=True,
        ),
    ]


@contextmanager
def _outputs(settings: KafkaSettings, ticks: str, events: str) -> Iterator[BarTopics]:
    with topic(settings, 3) as bars, topic(settings, 1) as state, topic(settings, 3) as seconds:
        yield BarTopics(ticks, events, "bench-none", bars, state, seconds)


def catch_up(settings: KafkaSettings, ticks: str, events: str) -> float:
    """Ticks a second from nothing to the stored state, connecting included."""
    with _outputs(settings, ticks, events) as topics:
        started_s = time.perf_counter()
        counters = BarsService(settings, _RULES, _NAMES, topics=topics, once=True).run()
        seconds = time.perf_counter() - started_s
    if counters.ticks != TICKS:
        raise NotMeasured(f"bars of {counters.ticks:,} ticks were made of {TICKS:,}")
    return TICKS / seconds


def latencies(settings: KafkaSettings) -> list[float]:
    """How long after its end and the lateness each bar of 1 s was sent, ms by Kafka's time stamps.

    The exchange's time has whole seconds, as Kite's has.
    """
    with (
        topic(settings) as ticks,
        topic(settings, 1) as events,
        _outputs(settings, ticks, events) as topics,
    ):
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        process = context.Process(target=serve, args=(settings, topics, stop))
        process.start()
        try:
            _feed(settings, ticks)
            time.sleep(SETTLE_S)
        finally:
            stop.set()
            process.join(60)
        found = []
        codec = AvroCodec()
        with RecordReader(settings, [topics.seconds], start="earliest", until_end=True) as reader:
            for record in reader:
                bar: dict[str, Any] = codec.decode(record.value).record
                due_ns = bar["ts_open_ns"] + _S + _RULES.lateness_ns
                found.append((bar["ts_open_ns"], ((record.ts_ns or 0) - due_ns) / 1e6))
    # Not the seconds of joining the group and of compiling, nor those that the clock closed.
    first, last = min(found)[0] + SETTLE_S * _S, max(found)[0] - 3 * _S
    chosen = [late for opens, late in found if first <= opens < last]
    if len(chosen) < INSTRUMENTS:
        raise NotMeasured(f"{len(chosen):,} bars of 1 s in {FEED_S} s")
    return chosen


def serve(settings: KafkaSettings, topics: BarTopics, stop: Any) -> None:
    """A process that follows."""
    service = BarsService(settings, _RULES, _NAMES, topics=topics, group=topics.bars, stop=stop)
    service.run()


def _feed(settings: KafkaSettings, ticks: str) -> None:
    """Full ticks in frames of ``PACKETS``, at ``FEED_RATE``, as fast as it is their time."""
    producer, delivery = RecordProducer(settings, ticks_topic=ticks), Delivery()
    tokens = np.array(instrument_tokens(INSTRUMENTS))
    batch = full_batch(PACKETS)
    batch.values[:, FEED_SESSION] = time.time_ns() & ~15
    started_s, seq = time.perf_counter(), 0
    while seq < FEED_RATE * FEED_S:
        while time.perf_counter() - started_s < seq / FEED_RATE:
            producer.poll(0.001)
        now_ns, numbers = time.time_ns(), np.arange(seq, seq + PACKETS)
        batch.values[:, FEED_SEQ] = numbers
        batch.values[:, INSTRUMENT_TOKEN] = tokens[numbers % INSTRUMENTS]
        batch.values[:, TRADE + 2] = numbers
        batch.values[:, TS_RECV_NS] = now_ns
        batch.values[:, TS_EVENT_NS] = now_ns - now_ns % _S
        producer.produce_ticks(batch, delivery)
        seq += PACKETS
    producer.flush(30)
    producer.close()
