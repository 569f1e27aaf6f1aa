"""Faults 9, 10 and 14: the WebSocket goes wrong, the token dies, the subscription changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import live_stage as stage

from faults.broker import NOTHING
from faults.outcome import Fault, Outcome
from faults.proof import Gap
from faults.scene import Scene, Watcher, rows_above, until, watched
from faults.shifted import MODULE, OPEN_HOURS, clock_settings
from faults.wire import Mode, WireProxy
from kite_broker_zerodha.subscriptions import Plan, Subscription, make_plan
from kite_contracts.tick_batch import TickMode
from kite_live_feed.journal.layout import list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.rehearsal.demo import demo_plan
from kite_simulator import SimulatorServer, parse_script

CLOSE_CODES = (1000, 1001, 1008, 1011, 1012, 3000)
DETECTED_S = 8.0
"""Five seconds without a byte, half a second between looks, and a busy machine."""


def transport(scene: Scene) -> Outcome:
    """One-byte segments, coalesced frames, close codes and a half-open connection in one run."""
    outcome, mark = Outcome(), scene.mark()
    proxy, codes = asyncio.run(_play_transport(scene))
    proof = scene.prove(mark)
    outcome.note("tick frames delivered whole", len(proxy.delivered))
    outcome.demand("frames journaled other than delivered", _differences(scene, proxy), 0)
    outcome.note("TCP segments written", proxy.segments)
    outcome.demand("close frames sent", proxy.closes, len(CLOSE_CODES))
    seen = {event["cause"] for event in proof.events if event["type"] == "DISCONNECTED"}
    outcome.demand("close codes told in DISCONNECTED", len(seen & set(map(str, codes))), len(codes))
    proof.demand_nothing_lost(outcome)
    silent = [gap for gap in proof.gaps if gap.cause == "silent"]
    outcome.demand_least("gaps of the half-open connection", len(silent), 1)
    slowest = max((gap.opened_ns - gap.from_ns for gap in silent), default=0) / 1e9
    outcome.demand_most("half-open found after, s", round(slowest, 1), DETECTED_S)
    return outcome


async def _play_transport(scene: Scene) -> tuple[WireProxy, tuple[int, ...]]:
    async with scene.market(None, rate=1_500.0) as kite, WireProxy(kite.port) as proxy:
        bridge = scene.bridge(proxy.url)
        async with watched(bridge):
            await bridge.start()
            for mode in (Mode.BYTES, Mode.TOGETHER):
                proxy.mode = mode
                await _frames_pass(proxy, 60 if scene.full else 20)
            proxy.mode = Mode.PASS
            for code in CLOSE_CODES:
                await _frames_pass(proxy, 20)
                proxy.close_with(code)
                await until(partial(_closed_more, proxy, proxy.closes))
            await _frames_pass(proxy, 20)
            proxy.mode = Mode.HALF_OPEN
            await asyncio.sleep(2.0)
            proxy.mode = Mode.PASS
            await _frames_pass(proxy, 50)
            assert await bridge.end(signal.SIGTERM) == 0, bridge.lines
    return proxy, CLOSE_CODES


async def _frames_pass(proxy: WireProxy, count: int) -> None:
    before = len(proxy.delivered)
    await until(lambda: len(proxy.delivered) >= before + count)


def _differences(scene: Scene, proxy: WireProxy) -> int:
    """Journaled frames that are not, in this order, among those delivered.

    The last frames of a connection may be written to a client that has left already.
    """
    delivered = iter(proxy.delivered)
    return sum(digest not in delivered for digest in _journaled(scene.journal))


def _journaled(journal: Path) -> list[bytes]:
    found = []
    for segment in list_segments(journal):
        for chunk in read_file(segment.path):
            for row in chunk.frame_rows:
                found.append(hashlib.sha256(chunk.payload(row)).digest())
    return found


def market(scene: Scene) -> Outcome:
    """The simulator's whole script: stall, drop, 403, garbage, violations and the rest."""
    stall_s = 30 if scene.full else 13
    script = f"100 stall {stall_s}; 200 drop; 300 half-open; 420 garbage; 440 empty; "
    script += "400 403 2; " * scene.full  # a refused token is tried again after a minute
    script += "460 truncate; 480 trailing; 500 bad-count; 520 unknown-length; 540 violation; "
    script += "560 duplicate; 580 slow 0.5; 600 text"
    outcome, mark = Outcome(), scene.mark()
    sent, bad, end_frames = asyncio.run(_play_market(scene, script))
    proof = scene.prove(mark)
    outcome.note("packets sent", sent)
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    outcome.demand("dead letters", proof.back.dead, bad)
    proof.demand_nothing_lost(outcome)
    causes = {gap.cause for gap in proof.gaps}
    for cause in ("stalled", "disconnected", "silent"):
        outcome.demand(f"a gap told as {cause}", int(cause in causes), 1)
    outcome.demand("gaps still open but for the stop's own", _left_open(proof.gaps), 0)
    outcome.note("faults of the script", end_frames)
    return outcome


def _left_open(gaps: list[Gap]) -> int:
    return sum(gap.to_ns is None and gap.cause != "restart" for gap in gaps)


async def _play_market(scene: Scene, script: str) -> tuple[int, int, int]:
    faults = parse_script(script)
    settings = clock_settings(scene.home, OPEN_HOURS)
    async with scene.market(700 * 30, 1_500.0, faults) as kite:
        bridge = scene.bridge(kite.url, module=MODULE, settings=settings)
        async with watched(bridge) as watcher:
            await bridge.start()
            await asyncio.wait_for(kite.finished.wait(), 240)
            await until(lambda: _received(watcher, kite.ledger.frames))
            assert await bridge.end(signal.SIGTERM) in (0, 3), bridge.lines
        return kite.ledger.rows, kite.ledger.bad.total(), len(kite.ledger.faults)


def _received(watcher: Watcher, frames: int) -> bool:
    newest = watcher.newest
    return newest["frames_received"] >= frames and not newest["journal_backlog_bytes"]


def mute(scene: Scene) -> Outcome:
    """Two connections are accepted, subscribed to and get heartbeats, and never a tick."""
    outcome, mark = Outcome(), scene.mark()
    found_s, problems, connections = asyncio.run(_play_mute(scene))
    proof = scene.prove(mark)
    outcome.demand_most("not ready after, s", round(found_s, 1), 40)
    outcome.demand("the readiness page names it", int(any("no ticks" in p for p in problems)), 1)
    outcome.demand("connections until there were ticks", connections, 3)
    stalled = [gap for gap in proof.gaps if gap.cause == "stalled"]
    outcome.demand("gaps of the mute connections", len(stalled), 1)
    outcome.demand("gaps still open but for the stop's own", _left_open(proof.gaps), 0)
    outcome.demand_least("ticks read back", proof.back.ticks, 1)
    proof.demand_nothing_lost(outcome)
    return outcome


async def _play_mute(scene: Scene) -> tuple[float, set[str], int]:
    loop = asyncio.get_running_loop()
    settings = clock_settings(scene.home, OPEN_HOURS)
    async with scene.market(None, 1_500.0, mute=2) as kite:
        bridge = scene.bridge(kite.url, module=MODULE, settings=settings)
        async with watched(bridge) as watcher:
            await bridge.start()
            await until(lambda: watcher.newest["shards_connected"] == 1)
            began_s = loop.time()
            await until(lambda: any("no ticks" in each for each in watcher.problems))
            found_s = loop.time() - began_s
            await until(rows_above(kite, 3_000), 240)
            assert await bridge.end(signal.SIGTERM) == 0, bridge.lines
        return found_s, watcher.problems, len(kite.ledger.connections)


def token(scene: Scene) -> Outcome:
    """The token dies in mid-stream; ten minutes later (two seconds in the short form) there is a
    new one in the token file."""
    refused_s = 600.0 if scene.full else 4.0
    outcome, mark = Outcome(), scene.mark()
    attempts, lines, resumed_s = asyncio.run(_play_token(scene, refused_s))
    proof = scene.prove(mark)
    outcome.note("refused for, s", refused_s)
    outcome.demand("alarms: AUTH_EXPIRED events", proof.counted("AUTH_EXPIRED"), 1)
    outcome.demand("AUTH_RESTORED events", proof.counted("AUTH_RESTORED"), 1)
    errors = [line for line in lines if '"level": "error"' in line]
    outcome.demand("errors in the log", len(errors), 1)
    outcome.note("handshakes refused", attempts)
    outcome.demand_most("handshakes a minute", round(attempts * 60 / max(refused_s, 60), 1), 2)
    outcome.demand_most("first frame with the new token after, s", round(resumed_s, 1), 5)
    outcome.demand("secrets in the log", sum("token-" in line for line in lines), 0)
    proof.demand_nothing_lost(outcome)
    return outcome


async def _play_token(scene: Scene, refused_s: float) -> tuple[int, list[str], float]:
    path, loop = scene.home / "token.json", asyncio.get_running_loop()
    _write_token(path, "token-of-yesterday")
    async with scene.market(None) as kite:
        settings = {"KITE_TOKEN_FILE": str(path)}
        bridge = scene.bridge(kite.url, settings=settings)
        async with watched(bridge):
            await bridge.start()
            await until(lambda: kite.ledger.rows > 3_000)
            kite.declare_dead("token-of-yesterday")
            await until(lambda: kite.ledger.refused > 0)
            await asyncio.sleep(refused_s)
            attempts, frames = kite.ledger.refused, kite.ledger.frames
            _write_token(path, "token-of-today")
            began_s = loop.time()
            await until(lambda: kite.ledger.frames > frames)
            resumed_s = loop.time() - began_s
            await until(lambda: kite.ledger.frames > frames + 100)
            assert await bridge.end(signal.SIGTERM) == 0, bridge.lines
        return attempts, bridge.lines, resumed_s


def _write_token(path: Path, value: str) -> None:
    new = path.with_suffix(".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump({"api_key": "dummy", "access_token": value}, file)
    new.replace(path)


@dataclass
class Change:
    """What one change of the subscription file did."""

    added: int
    removed: int
    modes: int


def subscription(scene: Scene) -> Outcome:
    """Instruments come, go and change their mode, ten times in the long form, under load."""
    changes = 10 if scene.full else 3
    outcome, mark = Outcome(), scene.mark()
    sent, last, made, kept = asyncio.run(_play_changes(scene, changes))
    proof = scene.prove(mark)
    outcome.note("changes of the file", len(made))
    outcome.note("instruments added", sum(each.added for each in made))
    outcome.note("instruments removed", sum(each.removed for each in made))
    outcome.note("modes changed", sum(each.modes for each in made))
    outcome.demand("instruments that Kite serves at the end", kept, len(last))
    outcome.demand("connections", len(proof.back.sessions), 1)
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    proof.demand_nothing_lost(outcome)
    return outcome


async def _play_changes(
    scene: Scene, changes: int
) -> tuple[int, dict[int, TickMode], list[Change], int]:
    source = random.Random(scene.seed)
    wishes = dict(demo_plan(stage.INSTRUMENTS).shards[0])
    everything = dict(demo_plan(4 * stage.INSTRUMENTS).shards[0])
    made: list[Change] = []
    async with scene.market(None, 2_000.0, instruments=1) as kite:
        bridge = scene.bridge(kite.url)
        async with watched(bridge) as watcher:
            await bridge.start()
            await until(lambda: kite.subscribed_tokens == len(wishes))
            for _ in range(changes):
                made.append(_change(wishes, everything, source))
                stage.write_tokens(scene.home / "tokens.csv", _plan(wishes))
                count = len(wishes)
                await until(partial(_serves, watcher, kite, count), 30)
                rows = kite.ledger.rows
                await until(rows_above(kite, rows + 1_000))
            kept = kite.subscribed_tokens
            assert await bridge.end(signal.SIGTERM) == 0, bridge.lines
        return kite.ledger.rows, wishes, made, kept


def _closed_more(proxy: WireProxy, times: int) -> bool:
    return proxy.closes > times


def _serves(watcher: Watcher, kite: SimulatorServer, count: int) -> bool:
    shards = watcher.newest["shard_instruments"]  # 0 before the first answer
    return bool(shards) and kite.subscribed_tokens == int(shards["0"]) == count


def _plan(wishes: dict[int, TickMode]) -> Plan:
    return make_plan([Subscription(token, mode) for token, mode in wishes.items()])


def _change(
    wishes: dict[int, TickMode], everything: dict[int, TickMode], source: random.Random
) -> Change:
    """Change the wishes in place: always one instrument more or less than before."""
    gone = source.sample(sorted(wishes), k=source.randrange(1, 15))
    for each in gone:
        del wishes[each]
    fresh = sorted(set(everything) - set(wishes) - set(gone))
    come = source.sample(fresh, k=source.choice([n for n in range(1, 15) if n != len(gone)]))
    wishes.update({each: everything[each] for each in come})
    turned = source.sample(sorted(wishes), k=3)
    for each in turned:
        wishes[each] = TickMode.LTP if wishes[each] is not TickMode.LTP else TickMode.FULL
    return Change(len(come), len(gone), len(turned))


FAULTS = [
    Fault(
        9,
        "feed-transport",
        "One-byte TCP segments, coalesced frames, close codes, a half-open connection",
        f"journaled = delivered, byte for byte; {NOTHING}; each silence a gap",
        transport,
    ),
    Fault(
        9,
        "feed-market",
        "Stall, drop, 403, garbage, truncation, contract violations and the rest of the script",
        f"{NOTHING}; good + dead = sent; each silence a gap",
        market,
    ),
    Fault(
        9,
        "feed-mute",
        "Connections that accept everything, send heartbeats and never a tick",
        f"not ready and a gap after 30 s, given up after 60 s; {NOTHING}",
        mute,
    ),
    Fault(
        10,
        "token",
        "The access token dies; ten minutes of 403; a new token in the file",
        f"one alarm, at most two handshakes a minute, resumes by itself; {NOTHING}",
        token,
    ),
    Fault(14, "subscription", "The subscription file changes under load", NOTHING, subscription),
]
