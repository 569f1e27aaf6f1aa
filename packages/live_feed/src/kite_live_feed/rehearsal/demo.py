"""The demo: simulator → bridge → Kafka → consumer, and the ledger that compares their books."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kite_broker_zerodha.network import Network
from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.subscriptions import Plan, Subscription, make_plan
from kite_contracts.feeds import simulated
from kite_contracts.reasons import ReasonCode
from kite_contracts.tick_batch import TickMode
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.bridge import Bridge
from kite_live_feed.connections import BridgeParts
from kite_live_feed.journal import Journal
from kite_live_feed.options import MIB, JournalOptions
from kite_live_feed.proof import Ledger, mark_topics, read_back
from kite_live_feed.topics import Topics
from kite_runtime.clock import SystemClock
from kite_simulator import Fault, FaultKind, SimulatorOptions, SimulatorServer

FEED: Final = simulated("demo")
POLL_S: Final = 0.05
DRAIN_S: Final = 30.0
SESSION_OPTIONS: Final = SessionOptions(
    stall_s=2.0,
    flow_memory_s=1.0,
    watch_s=0.05,
    auth_again_s=0.1,
    auth_retry_s=0.5,
    backoff_first_s=0.1,
    backoff_cap_s=1.0,
    network=Network(env={}),
)
"""Shorter than live, so that a demo with faults takes seconds; the five-second watchdog stays."""

REASONS: Final = {
    "truncated": ReasonCode.DECODE_TRUNCATED,
    "unknown_packet": ReasonCode.DECODE_UNKNOWN_PACKET,
    "trailing_bytes": ReasonCode.DECODE_TRAILING_BYTES,
    "out_of_bounds": ReasonCode.SEMANTIC_RANGE,
}
"""Fault of the simulator's ledger → the reason of its dead letter."""

_SEGMENTS: Final = (1, 2, 1, 2, 3, 7, 6, 1, 2, 4)
"""Exchange segments of the demo's instruments in turn: NSE, NFO, CDS, MCX, BCD, BSE."""
_MODES: Final = (TickMode.FULL, TickMode.FULL, TickMode.QUOTE, TickMode.FULL, TickMode.LTP)
_INDICES: Final = (256265, 265)
"""NIFTY 50 and SENSEX."""


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does; the same seed and options send the same frames."""

    ticks: int = 20_000
    rate_per_s: float | None = 2_000.0
    instruments: int = 60
    seed: int = 1
    script: tuple[Fault, ...] = ()


def demo_plan(instruments: int) -> Plan:
    """A subscription with all packet kinds: two indices and instruments of six segments."""
    requested = [Subscription(token, TickMode.FULL) for token in _INDICES[:instruments]]
    requested += [
        Subscription(
            (1000 + number) << 8 | _SEGMENTS[number % len(_SEGMENTS)],
            _MODES[number % len(_MODES)],
        )
        for number in range(instruments - len(requested))
    ]
    return make_plan(requested)


async def run_demo(
    options: DemoOptions,
    kafka: KafkaSettings,
    framing: Framing,
    topics: Topics,
    journal_dir: Path,
    watch: Callable[[Bridge], None],
) -> Ledger:
    """Run it and return the ledger. ``watch`` is called while the bridge runs, for a live view.

    Raises BrokerUnreachable and UnknownTopic.
    """
    plan = demo_plan(options.instruments)
    mark = mark_topics(kafka, topics.names)
    simulator_options = SimulatorOptions(
        seed=options.seed,
        ticks=options.ticks,
        rate_per_s=options.rate_per_s,
        frame_packets=30,
        expected_tokens=plan.tokens,
        script=options.script,
    )
    journal_options = JournalOptions(segment_bytes=16 * MIB, max_bytes=256 * MIB, sync="never")
    with Journal(journal_dir, journal_options) as journal, ExitStack() as ended:
        async with SimulatorServer(simulator_options) as simulator:
            parts = BridgeParts(
                feed=FEED,
                endpoint=simulator.url,
                credentials=FixedCredentials("dummy", "dummy"),
                kafka=kafka,
                framing=framing,
                topics=topics,
                session_options=SESSION_OPTIONS,
                clock=SystemClock(),
            )
            bridge = ended.enter_context(closing(Bridge(parts, journal, plan)))
            await _run_until_published(bridge, simulator, watch)
        left = await bridge.drain(DRAIN_S)
    if left:
        raise TimeoutError(f"{left} journal bytes were not acknowledged within {DRAIN_S:.0f} s")
    counters, sessions = bridge.counters, dict(bridge.counters.session_packets)
    back = await asyncio.to_thread(read_back, kafka, framing, topics, mark, sessions, FEED)
    return Ledger.of(
        counters,
        back,
        sent_frames=simulator.ledger.frames,
        sent_packets=simulator.ledger.rows,
        reasons=expected_reasons(simulator.ledger.bad),
        events=expected_events(counters.feed_events, options.script),
    )


def expected_reasons(bad: Counter[str]) -> Counter[str]:
    """The dead letters that the simulator's spoiled frames must cause, by reason code."""
    return Counter({str(REASONS[name]): count for name, count in bad.items()})


def expected_events(recorded: Counter[str], script: tuple[Fault, ...]) -> Counter[str]:
    """What ``feed.events`` must hold: all that the bridge recorded, and an alarm for each 403."""
    expected = Counter(recorded)
    forbidden = sum(fault.kind is FaultKind.FORBID for fault in script)
    expected["AUTH_EXPIRED"] = expected["AUTH_RESTORED"] = forbidden
    return expected


async def _run_until_published(
    bridge: Bridge, simulator: SimulatorServer, watch: Callable[[Bridge], None]
) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(bridge.run(stop))
    try:
        while not running.done():
            watch(bridge)
            arrived = bridge.counters.frames_journaled >= simulator.ledger.frames
            if simulator.finished.is_set() and arrived and bridge.settled:
                break
            await asyncio.sleep(POLL_S)
    finally:
        stop.set()
        await running
