"""The live bridge as a service: signals, subscription files, metrics and the orderly end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from kite_broker_zerodha.subscriptions import Plan
from kite_live_feed.bridge import Bridge
from kite_live_feed.connections import BridgeParts
from kite_live_feed.counters import Counters
from kite_live_feed.journal import Journal
from kite_live_feed.metrics import BridgeMetrics
from kite_live_feed.shard_keeper import ShardKeeper
from kite_runtime.health import BuildInfoCollector, HealthServer, Pulse
from kite_ws_bridge.subscription_watch import SubscriptionWatch

log = structlog.get_logger()

WATCH_S: Final = 2.0
ANSWER_S: Final = 2.0
PULSE_S: Final = 0.5

Answer = TypeVar("Answer")


async def serve(
    parts: BridgeParts,
    journal: Journal,
    watch: SubscriptionWatch,
    plan: Plan,
    port: int,
    drain_s: float,
) -> tuple[Counters, int]:
    """Run until SIGTERM or Ctrl-C, then publish what is journaled within ``drain_s`` seconds.

    With ``parts.group`` it carries the shards that the group gives it, and hands them over at the
    end. A second signal ends the draining at once. Returns the counters, and the journal's bytes
    that are left for the next run. Raises PortTaken.
    """
    bridge = Bridge(parts, journal, plan)
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal(name: str) -> None:
        (hurry if stop.is_set() else stop).set()
        log.info("stopping", signal=name)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)

    def problems() -> list[str]:
        found = bridge.problems()
        if watch.problem is not None:
            found.append(f"the subscription files are not used: {watch.problem}")
        return found

    keeper: ShardKeeper | None = None
    if bridge.shards is not None:
        keeper = ShardKeeper(bridge.shards, parts.kafka, journal.recovery.frames)
    registry = CollectorRegistry()
    registry.register(BuildInfoCollector("ws_bridge"))
    metrics = BridgeMetrics(bridge.counters, in_loop(loop, bridge.refresh, None))
    registry.register(metrics)
    asked = in_loop(loop, problems, [f"the bridge has not answered for {ANSWER_S:.0f} s"])
    pages = {"/status": lambda: {"problems": asked(), "metrics": metrics.read()}}
    pulse = Pulse()
    with HealthServer(
        port, registry, asked, other_port="WS_BRIDGE_PORT=9465", pages=pages, alive=pulse.is_felt
    ) as health:
        log.info("metrics and health", address=f"http://127.0.0.1:{health.port}")
        beating = asyncio.create_task(beat(pulse))
        watching = asyncio.create_task(_follow_files(bridge, watch))
        try:
            if keeper is not None:
                keeper.start()
            try:
                await bridge.run(stop)
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
            left = await bridge.drain(drain_s, hurry.is_set)
        finally:
            beating.cancel()
            bridge.close()
            if keeper is not None:
                await keeper.leave()
    return bridge.counters, left


async def beat(pulse: Pulse) -> None:
    """Have it felt while the loop turns."""
    while True:
        pulse.beat()
        await asyncio.sleep(PULSE_S)


def in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[[], Answer], otherwise: Answer
) -> Callable[[], Answer]:
    """``function`` for another thread: called in the loop, whose objects change under no reader.

    A loop that is busy for longer than ANSWER_S gives ``otherwise``.
    """

    async def call() -> Answer:
        return function()

    def ask() -> Answer:
        answer = asyncio.run_coroutine_threadsafe(call(), loop)
        try:
            return answer.result(ANSWER_S)
        except TimeoutError:
            answer.cancel()
            return otherwise

    return ask


async def _follow_files(bridge: Bridge, watch: SubscriptionWatch) -> None:
    while True:
        await asyncio.sleep(WATCH_S)
        # In a thread: a file may take seconds to read, and frames do not wait.
        new = await asyncio.to_thread(watch.changed, bridge.plan)
        if new is not None:
            log.info("the subscription changed", tokens=new.tokens)
            await bridge.apply(new)
