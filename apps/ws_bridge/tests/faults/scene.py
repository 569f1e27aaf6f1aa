"""What every play stands on: a broker of its own, folders, a seed, and how long it may take."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import live_stage as stage

from faults.kafka import BRIDGE, READER, PlayKafka, create_topics, real_broker
from faults.outcome import Outcome
from faults.proof import Proof, prove
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof import Mark, mark_topics
from kite_live_feed.topics import Topics
from kite_simulator import Fault as FeedFault
from kite_simulator import SimulatorOptions, SimulatorServer

MIB = 1024 * 1024
SAMPLE_S = 0.2


@dataclass
class Scene:
    """The stage of one play. ``full`` asks for the long form, as `make faults` plays it."""

    broker: PlayKafka
    home: Path
    seed: int = 7
    full: bool = True

    @property
    def journal(self) -> Path:
        """Where the bridge of this play keeps its journal."""
        return self.home / "journal"

    @property
    def reader(self) -> KafkaSettings:
        """How the consumer of this play reaches the broker."""
        return self.broker.settings(READER)

    def mark(self) -> Mark:
        """Where the topics end now."""
        return mark_topics(self.reader, Topics().names)

    def prove(self, mark: Mark, sessions: dict[int, int] | None = None) -> Proof:
        """What a consumer reads since ``mark``, held against what the journal holds."""
        if sessions is None:
            sessions = stage.journaled_sessions(self.journal)
        return prove(self.reader, mark, sessions, stage.FEED)

    def market(
        self, ticks: int | None, rate: float = 3_000.0, script: tuple[FeedFault, ...] = (),
        *, instruments: int = stage.INSTRUMENTS, frame_packets: int = 30, mute: int = 0,
    ) -> SimulatorServer:  # fmt: skip
        """A simulator that waits for all instruments and then sends so many ticks; its first
        ``mute`` connections get heartbeats alone."""
        return SimulatorServer(
            SimulatorOptions(
                seed=self.seed, ticks=ticks, rate_per_s=rate, frame_packets=frame_packets,
                expected_tokens=instruments, script=script, mute_connections=mute,
            )
        )  # fmt: skip

    def bridge(
        self, endpoint: str, settings: Mapping[str, str] | None = None, **options: object
    ) -> stage.BridgeProcess:
        """A bridge between that endpoint and the scene's broker."""
        make = partial(stage.BridgeProcess, self.home, endpoint, self.broker.bootstrap)
        every = {**self.broker.variables(BRIDGE), **(settings or {})}
        return make(settings=every, **options)  # type: ignore[arg-type]


@dataclass
class Watcher:
    """What was seen of a bridge while it ran: peaks, and its newest metrics."""

    peak_rss_bytes: int = 0
    peak_backlog_bytes: int = 0
    journal_was_full: bool = False
    newest: dict[str, Any] = field(default_factory=lambda: defaultdict(int))
    longest_wait_s: float = 0.0
    """The longest time, after the first tick, with frames and without an acknowledged tick."""
    problems: set[str] = field(default_factory=set)
    """Every line that the readiness page has shown."""
    _acked: int = 0
    _acked_s: float = field(default_factory=time.monotonic)
    _frames: int = 0

    def look(self, bridge: stage.BridgeProcess) -> None:
        """One look; a bridge that is just starting or gone is no error."""
        try:
            self.peak_rss_bytes = max(self.peak_rss_bytes, peak_rss_bytes(bridge.pid))
            with urllib.request.urlopen(bridge.address + "/status", timeout=5) as answer:
                page = json.load(answer)
            self.newest = page["metrics"]
            self.problems |= set(page["problems"])
        except (OSError, StopIteration, ValueError, AssertionError):
            return
        backlog = int(self.newest["journal_backlog_bytes"])
        self.peak_backlog_bytes = max(self.peak_backlog_bytes, backlog)
        self.journal_was_full |= bool(self.newest["journal_full"])
        acked, frames = self.newest["ticks_acked"], self.newest["frames_received"]
        if acked != self._acked or frames == self._frames or not acked:
            self._acked, self._acked_s = acked, time.monotonic()
        self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - self._acked_s)
        self._frames = frames

    def note(self, outcome: Outcome) -> None:
        """The peaks as figures."""
        outcome.note("peak memory of the bridge, MiB", round(self.peak_rss_bytes / MIB))
        outcome.note("peak journal backlog, MiB", round(self.peak_backlog_bytes / MIB, 2))


@asynccontextmanager
async def watched(bridge: stage.BridgeProcess) -> AsyncIterator[Watcher]:
    """Look at the bridge five times a second, and kill it when the block ends with it running."""
    watcher = Watcher()

    async def watch() -> None:
        while True:
            await asyncio.to_thread(watcher.look, bridge)
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(watch())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bridge.kill_if_running()


def peak_rss_bytes(pid: int) -> int:
    """The most memory that a process has held so far (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def rows_above(kite: SimulatorServer, count: float) -> Callable[[], bool]:
    """Whether Kite has sent more ticks than ``count``, to be asked again and again."""
    return lambda: kite.ledger.rows > count


async def until(condition: Callable[[], object], seconds: float = stage.DEADLINE_S) -> None:
    """Wait for a state that nobody announces. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


__all__ = ["Scene", "Watcher", "create_topics", "real_broker", "rows_above", "until", "watched"]
