"""Fault 15, the soak: three connections of 3000 instruments at Kite's ceiling, and many faults.

The ceiling is two ticks a second for each of 9000 instruments: 18,000 packets a second. A seeded
schedule plays a fault every half minute: the broker stands still or is killed, the bridge is killed
or ended, the subscription changes; meanwhile the simulator's script drops and freezes connections
and sends what is no tick.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections import Counter

import live_stage as stage

from faults.broker import MEMORY_MAX_MIB, NOTHING
from faults.outcome import Fault, Outcome
from faults.scene import Scene, Watcher, until, watched
from faults.shifted import MODULE, OPEN_HOURS, clock_settings
from kite_broker_zerodha.subscriptions import Plan, Subscription, make_plan
from kite_live_feed.rehearsal.demo import demo_plan
from kite_simulator import SimulatorServer, parse_script

INSTRUMENTS = 9_000
RATE = 18_000.0
FRAME_PACKETS = 100
EVERY_S = 30.0
KINDS = ("broker stands still", "broker killed", "bridge killed", "bridge ended", "file changed")
_minutes = 30.0


def minutes() -> float:
    """How long the soak takes."""
    return _minutes


def set_minutes(value: float) -> None:
    """Choose how long the soak takes."""
    global _minutes
    _minutes = value


def soak(scene: Scene) -> Outcome:
    """Everything at once, and the same promises."""
    outcome, mark = Outcome(), scene.mark()
    played, watcher, sent, seconds = asyncio.run(_play(scene))
    proof = scene.prove(mark)
    journaled = sum(proof.back.sessions.values())
    outcome.note("minutes", _minutes)
    outcome.note("instruments", INSTRUMENTS)
    for kind in KINDS:
        outcome.note(f"times: {kind}", played[kind])
    outcome.note("packets sent", sent)
    outcome.note("packets journaled", journaled)
    outcome.note("packets a second, over all", round(journaled / seconds))
    outcome.demand_least("feed sessions", len(proof.back.sessions), 3)
    proof.demand_nothing_lost(outcome)
    watcher.note(outcome)
    outcome.demand_most(
        "peak memory of the bridge, MiB", round(watcher.peak_rss_bytes / 2**20), MEMORY_MAX_MIB
    )
    outcome.demand("frames lost in the last process", watcher.newest["frames_lost"], 0)
    return outcome


def _script() -> str:
    """Faults of the feed about every half minute at full speed."""
    kinds = itertools.cycle(["drop", "violation", "half-open", "garbage", "403 2", "truncate"])
    places = range(4_000, int(_minutes * 60 * RATE / FRAME_PACKETS), 6_000)
    return "; ".join(f"{at} {kind}" for at, kind in zip(places, kinds, strict=False))


async def _play(scene: Scene) -> tuple[Counter[str], Watcher, int, float]:
    source, loop = random.Random(scene.seed), asyncio.get_running_loop()
    plan, played = demo_plan(INSTRUMENTS), Counter[str]()
    market = scene.market(
        None, RATE, parse_script(_script()), instruments=1, frame_packets=FRAME_PACKETS
    )
    settings = {
        **clock_settings(scene.home, OPEN_HOURS),
        "WS_BRIDGE_JOURNAL_SEGMENT_BYTES": "64MiB",
        "WS_BRIDGE_JOURNAL_MAX_BYTES": "32GiB",
    }
    async with market as kite:
        bridge = scene.bridge(kite.url, plan=plan, module=MODULE, settings=settings)
        async with watched(bridge) as watcher:
            await bridge.start()
            await until(lambda: kite.subscribed_tokens == INSTRUMENTS, 120)
            began_s = loop.time()
            rounds = max(1, int(_minutes * 60 / EVERY_S) - 1)
            # Every kind comes as often as any other, in an order that the seed draws.
            kinds = [
                kind for _ in range(rounds // len(KINDS) + 1) for kind in source.sample(KINDS, 5)
            ]
            for kind in kinds[:rounds]:
                await asyncio.sleep(EVERY_S - 10 * source.random())
                await _fault(kind, scene, bridge, plan, source)
                played[kind] += 1
            await asyncio.sleep(max(0.0, began_s + _minutes * 60 - loop.time()))
            seconds = loop.time() - began_s
            await _end(kite, bridge, watcher)
        return played, watcher, kite.ledger.rows, seconds


async def _end(kite: SimulatorServer, bridge: stage.BridgeProcess, watcher: Watcher) -> None:
    await until(lambda: watcher.newest["journal_backlog_age_seconds"] < 1, 300)
    assert await bridge.end(signal.SIGTERM) in (0, 3), bridge.lines[-3:]


async def _fault(
    kind: str, scene: Scene, bridge: stage.BridgeProcess, plan: Plan, source: random.Random
) -> None:
    broker = scene.broker
    match kind:
        case "broker stands still":
            await asyncio.to_thread(broker.suspend)
            await asyncio.sleep(5.0)
            await asyncio.to_thread(broker.resume)
        case "broker killed":
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        case "bridge killed":
            await bridge.end(signal.SIGKILL)
            await bridge.start()
        case "bridge ended":
            await bridge.end(signal.SIGTERM)
            await bridge.start()
        case _:
            wishes = {token: mode for shard in plan.shards for token, mode in shard.items()}
            for token in source.sample(sorted(wishes), k=200):
                del wishes[token]
            fewer = make_plan([Subscription(token, mode) for token, mode in wishes.items()])
            stage.write_tokens(scene.home / "tokens.csv", fewer)
            await asyncio.sleep(5.0)
            stage.write_tokens(scene.home / "tokens.csv", plan)


FAULTS = [
    Fault(
        15,
        "soak",
        "Three connections of 3000 instruments each at Kite's ceiling, with a mixture of the above",
        f"{NOTHING}; each silence a gap; memory at most {MEMORY_MAX_MIB} MiB",
        soak,
    )
]
