"""Faults 7 and 8: the journal has no room, and its bytes are damaged."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import live_stage as stage

from faults.broker import NOTHING
from faults.outcome import Fault, Outcome
from faults.proof import Proof
from faults.scene import Scene, Watcher, until, watched
from kite_broker_zerodha.frames import count_slots
from kite_live_feed.journal.layout import list_segments
from kite_live_feed.journal.losses import LossLedger
from kite_live_feed.journal.reader import read_file

LIMIT = "4MiB"
TMPFS = "6m"


def limit(scene: Scene) -> Outcome:
    """The journal reaches WS_BRIDGE_JOURNAL_MAX_BYTES while the broker stands still."""
    return _full(scene, {"WS_BRIDGE_JOURNAL_MAX_BYTES": LIMIT})


def tmpfs(scene: Scene) -> Outcome:
    """The journal's disk is full: a real tmpfs of 6 MiB (needs root)."""
    folder = scene.journal
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs", folder], check=True)
    try:
        return _full(scene, {})
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _full(scene: Scene, settings: dict[str, str]) -> Outcome:
    outcome, mark = Outcome(), scene.mark()
    frames, packets, watcher, lines, code = asyncio.run(_play_full(scene, settings))
    # The journal recycles acknowledged segments here, so the bridge's own books say what its one
    # connection brought; sent = journaled + lost is what proves them.
    total = watcher.newest.__getitem__
    sessions = {max(stage.journaled_sessions(scene.journal)): total("packets_journaled")}
    proof = scene.prove(mark, sessions)
    lost_frames = total("frames_lost")
    outcome.note("packets sent", packets)
    outcome.demand(
        "packets journaled + lost", total("packets_journaled") + total("packets_lost"), packets
    )
    outcome.demand("frames journaled + lost", total("frames_journaled") + lost_frames, frames)
    outcome.demand_least("frames lost, counted", lost_frames, 1)
    told = sum(event["count"] for event in proof.events if event["type"] == "LOSS")
    outcome.demand("frames lost, told in LOSS events", told, lost_frames)
    alarms = sum("the journal is full: frames are being lost" in line for line in lines)
    outcome.demand_least("alarms in the log", alarms, 1)
    outcome.demand("journal_full was 1 meanwhile", int(watcher.journal_was_full), 1)
    outcome.demand("journal_full at the end", int(watcher.newest["journal_full"]), 0)
    proof.demand_nothing_lost(outcome)
    losses = [gap for gap in proof.gaps if gap.cause == "journal full"]
    outcome.demand_least("gaps of the losses, closed", sum(g.to_ns is not None for g in losses), 1)
    watcher.note(outcome)
    outcome.demand("exit code (3: findings)", code, 3)
    return outcome


async def _play_full(
    scene: Scene, settings: dict[str, str]
) -> tuple[int, int, Watcher, list[str], int]:
    async with scene.market(90_000, rate=6_000.0) as kite:
        bridge = scene.bridge(kite.url, settings=settings)
        async with watched(bridge) as watcher:
            await bridge.start()
            await until(lambda: kite.ledger.rows > 6_000)
            await asyncio.to_thread(scene.broker.suspend)
            try:
                await until(lambda: watcher.newest["frames_lost"] > 50)
            finally:
                await asyncio.to_thread(scene.broker.resume)
            await asyncio.wait_for(kite.finished.wait(), 60)
            await until(lambda: _settled(watcher, kite.ledger.frames))
            sent, rows = kite.ledger.frames, kite.ledger.rows
            code = await bridge.end(signal.SIGTERM)
        return sent, rows, watcher, bridge.lines, code


def _settled(watcher: Watcher, frames: int) -> bool:
    newest = watcher.newest
    return newest["frames_received"] == frames and not newest["journal_backlog_bytes"]


def restart(scene: Scene) -> Outcome:
    """The journal is full (2 MiB), Kafka away, and the bridge ends twice: SIGKILL, SIGTERM."""
    outcome, mark = Outcome(), scene.mark()
    sent, journaled, noted, sessions, watcher, code = asyncio.run(_play_restart(scene))
    proof = scene.prove(mark, sessions)
    total = watcher.newest.__getitem__
    journaled = [*journaled, int(total("frames_journaled"))]
    lost = [noted, sent[1] - journaled[1], sent[2] - journaled[2]]
    for run, how in enumerate(("SIGKILL", "SIGTERM", "Kafka is back")):
        outcome.note(
            f"frames sent, journaled, lost until {how}", str((sent[run], journaled[run], lost[run]))
        )
        outcome.demand_least(f"frames lost until {how}", lost[run], 1 if run < 2 else 0)
    outcome.note(
        "frames in the socket of the killed run, within the gap", sent[0] - journaled[0] - noted
    )
    told = sum(event["count"] for event in proof.events if event["type"] == "LOSS")
    outcome.demand("frames lost, told in LOSS events", told, sum(lost))
    outcome.demand("frames lost by the last run, counted", total("frames_lost"), lost[2])
    opened = {each["gap_id"] for each in proof.events if each["type"] == "GAP_OPENED"}
    closed = {each["gap_id"] for each in proof.events if each["type"] == "GAP_CLOSED"}
    outcome.demand("gaps left open, that of the last stop", len(opened - closed), 1)
    proof.demand_nothing_lost(outcome)
    outcome.demand("exit code", code, 3 if lost[2] else 0)
    return outcome


async def _play_restart(
    scene: Scene,
) -> tuple[list[int], list[int], int, dict[int, int], Watcher, int]:
    """(frames sent to each run, frames journaled by the first two, frames that the killed run noted
    as lost, sessions, the last run's counts, its exit code)."""
    journaled: list[int] = []
    async with scene.market(60_000) as kite:
        bridge = scene.bridge(
            kite.url, settings={"WS_BRIDGE_JOURNAL_MAX_BYTES": "2MiB", "WS_BRIDGE_DRAIN": "1s"}
        )
        await asyncio.to_thread(scene.broker.suspend)
        try:
            for number in (signal.SIGKILL, signal.SIGTERM):
                async with watched(bridge) as watcher:
                    await bridge.start()
                    await until(partial(_has_lost, watcher))
                    await bridge.end(number)
                if number == signal.SIGKILL:
                    noted = LossLedger(scene.journal / "losses").losses[0].frames
                journaled.append(len(_frames(scene.journal)) - sum(journaled))
            sessions = stage.journaled_sessions(scene.journal)
        finally:
            await asyncio.to_thread(scene.broker.resume)
        async with watched(bridge) as watcher:
            await bridge.start()
            await asyncio.wait_for(kite.finished.wait(), 60)
            await until(lambda: _settled(watcher, kite.ledger.connections[2].frames))
            code = await bridge.end(signal.SIGTERM)
        sent = [each.frames for each in kite.ledger.connections]
    last = max(stage.journaled_sessions(scene.journal))
    sessions[last] = watcher.newest["packets_journaled"]
    return sent, journaled, noted, sessions, watcher, code


def _has_lost(watcher: Watcher) -> bool:
    return bool(watcher.newest["frames_lost"] > 50)


def damage(scene: Scene) -> Outcome:
    """A flipped byte in one frame, and a torn last record, in a journal that Kafka has not seen."""
    outcome, mark = Outcome(), scene.mark()
    asyncio.run(_fill(scene))
    sessions = stage.journaled_sessions(scene.journal)
    outcome.note("packets journaled before the damage", sum(sessions.values()))
    torn, flipped = _tear_last(scene.journal), _flip_middle(scene.journal)
    damaged = asyncio.run(_publish(scene))
    proof = scene.prove(mark, {**stage.journaled_sessions(scene.journal), **sessions})
    _judge_damage(outcome, proof, torn, flipped, damaged)
    return outcome


def _judge_damage(outcome: Outcome, proof: Proof, torn: int, flipped: int, damaged: int) -> None:
    outcome.note("packets in the flipped record", flipped)
    outcome.note("packets in the torn record", torn)
    outcome.note("ticks read back", proof.back.ticks)
    # That of the torn record names no session; its gap is the one of the restart.
    outcome.demand("dead letters JOURNAL_CORRUPT", proof.back.reasons["JOURNAL_CORRUPT"], 1)
    outcome.demand("damage counted", damaged, 2)
    gaps = [gap for gap in proof.gaps if gap.cause == "journal damaged" and gap.to_ns is not None]
    outcome.demand_least("gaps of the damage, closed", len(gaps), 1)
    # The dead letter stands for the first packet of its record.
    outcome.demand("lost beyond the damage", proof.back.lost() - (flipped - 1) - torn, 0)
    outcome.demand("duplicated", proof.back.duplicated, 0)
    outcome.demand("reordered", proof.back.reordered, 0)
    proof.demand_gaps(outcome)


async def _fill(scene: Scene) -> None:
    """Journal some frames while there is no broker, and die."""
    async with scene.market(None) as kite:
        bridge = scene.bridge(kite.url)
        await asyncio.to_thread(scene.broker.kill)
        try:
            await bridge.start()
            await until(lambda: kite.ledger.rows > 6_000)
            await bridge.end(signal.SIGKILL)
        finally:
            await bridge.kill_if_running()
            await asyncio.to_thread(scene.broker.start)


async def _publish(scene: Scene) -> int:
    """A second run, which finds the damage and counts it."""
    async with scene.market(1_000) as kite:
        bridge = scene.bridge(kite.url)
        async with watched(bridge) as watcher:
            await bridge.start()
            await asyncio.wait_for(kite.finished.wait(), 60)
            await until(lambda: watcher.newest["journal_damage"])
            await bridge.end(signal.SIGTERM)
    return int(watcher.newest["journal_damage"])


def _frames(journal: Path) -> list[tuple[Path, int, int, int]]:
    """(file, start, end of the payload, packets) of every frame in the order of the journal."""
    found = []
    for segment in list_segments(journal):
        for chunk in read_file(segment.path):
            base = chunk.position.offset
            for row in chunk.frame_rows:
                packets = count_slots(chunk.payload(row))
                found.append((segment.path, base + row.start, base + row.end, packets))
    return found


def _tear_last(journal: Path) -> int:
    """Cut the last frame in two, as a power failure would; the packets in it."""
    path, start, end, packets = _frames(journal)[-1]
    os.truncate(path, (start + end) // 2)
    return packets


def _flip_middle(journal: Path) -> int:
    """Flip a bit in the payload of a frame in the middle; the packets in it."""
    frames = _frames(journal)
    path, start, _, packets = frames[len(frames) // 2]
    with path.open("r+b") as file:
        file.seek(start + 20)
        byte = file.read(1)[0]
        file.seek(start + 20)
        file.write(bytes([byte ^ 0x10]))
    return packets


FAULTS = [
    Fault(
        7,
        "journal-limit",
        f"The journal reaches its limit ({LIMIT}) while the broker stands still",
        f"alarm; every lost frame counted and told; {NOTHING} of what was journaled; recovers",
        limit,
    ),
    Fault(
        7,
        "journal-disk",
        f"The journal's disk, a tmpfs of {TMPFS[:-1]} MiB, is full (needs root)",
        f"alarm; every lost frame counted and told; {NOTHING} of what was journaled; recovers",
        tmpfs,
    ),
    Fault(
        7,
        "journal-restart",
        "The journal is full (2MiB) and Kafka away while the bridge is killed, then ended",
        f"each run's losses in LOSS events, to the frame; no gap left open; {NOTHING} of what was "
        "journaled",
        restart,
    ),
    Fault(
        8,
        "journal-damage",
        "A flipped byte in a journaled frame and a torn last record",
        "both found; nothing else lost, duplicated or reordered",
        damage,
    ),
]
