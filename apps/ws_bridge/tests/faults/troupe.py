"""Several bridges that share one feed's shards, and what a consumer can say of their work together.

Beyond the four promises it asks: does anything that is missing, or that comes after the ticks of a
later owner, lie outside the gap events; and did two owners ever publish one shard at a time.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import live_stage as stage
import numpy as np
import numpy.typing as npt

from faults.kafka import BRIDGE, GROUPS
from faults.outcome import Outcome
from faults.proof import Gap, Proof
from faults.scene import Scene
from kite_broker_zerodha.frames import count_slots
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.journal.layout import list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.proof import Mark
from kite_live_feed.rehearsal.demo import demo_plan
from kite_live_feed.topics import Topics
from kite_simulator import SimulatorServer

SHARDS = 3
INSTRUMENTS = 120
TIMEOUT_S = 6.0
"""What Kafka allows by default, and the bridges' own default."""
SHARD_MASK = 15
PATIENCE_S = 180.0
"""Three bridges that start at a time, on a machine that does other things."""

Integers = npt.NDArray[np.int64]


class Member(stage.BridgeProcess):
    """One bridge of the group, with an api_key, a journal and a folder of its own."""

    def shards(self) -> set[int]:
        """The shards that it carries now; none while it does not answer."""
        try:
            with urllib.request.urlopen(self.address + "/status", timeout=5) as answer:
                found = json.load(answer)["metrics"]
        except (OSError, StopIteration, ValueError):
            return set()
        return set(map(int, found["group_shard"]))

    async def shards_now(self) -> set[int]:
        """The same without holding up the simulator."""
        return await asyncio.to_thread(self.shards)


@dataclass
class Troupe:
    """The bridges of one play."""

    scene: Scene
    kite: SimulatorServer
    members: dict[str, Member] = field(default_factory=dict)
    group: str = field(default_factory=lambda: f"{GROUPS}{uuid.uuid4().hex[:8]}")

    async def join(self, name: str) -> Member:
        """Start the bridge of this name, or start it again."""
        member = self.members.get(name)
        if member is None:
            home = self.scene.home / name
            home.mkdir()
            broker = self.scene.broker
            settings = {
                **broker.variables(BRIDGE),
                "KITE_API_KEY": f"key-{name}",
                "WS_BRIDGE_SHARDS": str(SHARDS),
                "WS_BRIDGE_SHARD_GROUP": self.group,
                "WS_BRIDGE_SHARD_TIMEOUT": f"{TIMEOUT_S:g}s",
            }
            plan = demo_plan(INSTRUMENTS)
            member = Member(home, self.kite.url, broker.bootstrap, plan=plan, settings=settings)
            self.members[name] = member
        await member.start(PATIENCE_S)
        return member

    async def until_shared(self, *names: str) -> None:
        """Until these bridges carry all shards among them, each at least one, and ticks flow."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                held = [await self.members[name].shards_now() for name in names]
                whole = set().union(*held) == set(range(SHARDS))
                if whole and all(held) and sum(map(len, held)) == SHARDS:
                    break
                await asyncio.sleep(0.1)
            while self.kite.subscribed_tokens < INSTRUMENTS:
                await asyncio.sleep(0.02)
            rows = self.kite.ledger.rows
            while self.kite.ledger.rows < rows + 1_000:
                await asyncio.sleep(0.02)

    async def kill_all(self) -> None:
        """Leave no process behind."""
        for member in self.members.values():
            await member.kill_if_running()

    @property
    def journals(self) -> list[Path]:
        """Where the bridges keep their journals."""
        return [member.journal_dir for member in self.members.values()]


@dataclass(frozen=True)
class Received:
    """A journaled frame: its session, numbers and receive time."""

    session: int
    first: int
    end: int
    ts_ns: int


def received(journals: list[Path]) -> list[Received]:
    """Every frame in these journals."""
    found = []
    for journal in journals:
        for segment in list_segments(journal):
            if not segment.path.stat().st_size:
                continue
            for chunk in read_file(segment.path):
                for row in chunk.frame_rows:
                    ends = row.first_seq + count_slots(chunk.payload(row))
                    found.append(Received(row.feed_session, row.first_seq, ends, row.ts_recv_ns))
    return found


@dataclass
class Together:
    """What the ticks of all bridges, in the order of their topic, come to."""

    published: dict[int, set[int]] = field(default_factory=dict)
    """feed_session → numbers."""
    late_outside: int = 0
    """Ticks after those of a later owner, and in no gap."""
    late_within: int = 0
    overlaps: int = 0
    """Ticks that an earlier owner received after a later one had begun, and published."""
    fallen: int = 0
    """Numbers of one session and instrument that fall."""


def read_together(
    kafka: KafkaSettings, mark: Mark, gaps: list[Gap], frames: list[Received]
) -> Together:
    """Read ``ticks`` as a consumer with the filter does."""
    together, topic = Together(), Topics().ticks
    known = np.array(sorted({each.session for each in frames}), np.int64)
    later = _later_begins(frames)
    newest: dict[int, tuple[int, int]] = {}
    with TickReader(kafka, topic, from_offsets=mark.offsets[topic], until_end=True) as ticks:
        for columns in ticks:
            ours = np.isin(columns.column("feed_session"), known)
            names = ("instrument_token", "feed_session", "feed_seq", "ts_recv_ns")
            rows = [columns.column(name)[ours].tolist() for name in names]
            for token, session, seq, ts_ns in zip(*rows, strict=True):
                together.published.setdefault(session, set()).add(seq)
                last = newest.get(token, (0, 0))
                if (session, seq) >= last:
                    newest[token] = (session, seq)
                elif session == last[0]:
                    together.fallen += 1
                elif within(gaps, session & SHARD_MASK, ts_ns):
                    together.late_within += 1
                else:
                    together.late_outside += 1
                together.overlaps += ts_ns > later[session]
    return together


def _later_begins(frames: list[Received]) -> dict[int, float]:
    """feed_session → when the first frame of a later session of its shard was received."""
    begins: dict[int, int] = {}
    for each in frames:
        begins[each.session] = min(begins.get(each.session, each.ts_ns), each.ts_ns)
    later: dict[int, float] = {}
    earliest: dict[int, float] = {}
    for session in sorted(begins, reverse=True):
        shard = session & SHARD_MASK
        later[session] = earliest.get(shard, float("inf"))
        earliest[shard] = min(later[session], begins[session])
    return later


def within(gaps: list[Gap], shard: int, ts_ns: int) -> bool:
    """Whether a gap event of the shard covers this time."""
    return any(
        gap.shard == shard and gap.from_ns <= ts_ns and (gap.to_ns is None or ts_ns <= gap.to_ns)
        for gap in gaps
    )


def demand_together(outcome: Outcome, troupe: Troupe, mark: Mark, proof: Proof) -> None:
    """Nothing is lost, doubled or out of order outside the gaps, and no silence is untold."""
    frames = received(troupe.journals)
    together = read_together(troupe.scene.reader, mark, proof.gaps, frames)
    later = _later_begins(frames)
    missing_within = missing_outside = left = 0
    for each in frames:
        numbers = together.published.get(each.session, set())
        missing = sum(number not in numbers for number in range(each.first, each.end))
        if each.ts_ns > later[each.session]:
            left += missing
        elif within(proof.gaps, each.session & SHARD_MASK, each.ts_ns):
            missing_within += missing
        else:
            missing_outside += missing
    outcome.note("packets sent", troupe.kite.ledger.rows)
    outcome.note("ticks read back", proof.back.ticks)
    outcome.note("repeats dropped by the filter", proof.back.repeats_dropped)
    outcome.note("journaled, not published, within the gaps", missing_within)
    outcome.note("journaled after another had the shard, left to it", left)
    outcome.note("published late, within the gaps", together.late_within)
    outcome.demand("lost", missing_outside, 0)
    outcome.demand("duplicated", proof.back.duplicated, 0)
    outcome.demand("published by two bridges at a time", together.overlaps, 0)
    outcome.demand("reordered", together.fallen + together.late_outside, 0)
    proof.demand_gaps(outcome)
    open_ = [gap for gap in proof.gaps if gap.to_ns is None]
    outcome.demand_most("gaps left open, one a shard by the last stop", len(open_), SHARDS)


def first_after(proof: Proof, moment_ns: int, shards: set[int]) -> float:
    """Seconds until the last of these shards has the first frame of a new session."""
    found = []
    for shard in shards:
        starts = [
            int(stamps[0])
            for session, stamps in proof.times.items()
            if session & SHARD_MASK == shard and session > moment_ns and len(stamps)
        ]
        found.append((min(starts) - moment_ns) / 1e9 if starts else float("inf"))
    return round(max(found), 2)


__all__ = ["Member", "Troupe", "demand_together", "first_after"]
