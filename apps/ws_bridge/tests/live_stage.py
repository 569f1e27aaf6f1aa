"""The stage of the fault tests: a broker of their own, the simulator, and the bridge as a process.

What a run must have published is not taken from the bridge's counters, which a killed process takes
with it, but from the journal on disk and from the simulator's ledger.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from kite_broker_zerodha.frames import count_slots
from kite_broker_zerodha.subscriptions import Plan
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.journal.layout import list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.proof import Mark, ReadBack, read_back
from kite_live_feed.rehearsal.demo import demo_plan
from kite_live_feed.topics import Topics
from kite_runtime.testing import import_path
from kite_simulator import SimulatorServer

FEED = "simulated.fault-test"
INSTRUMENTS = 40
DEADLINE_S = 60.0


class BridgeProcess:
    """One ``ws_bridge run`` against the simulator; its log lines are JSON objects on stderr."""

    def __init__(
        self,
        home: Path,
        endpoint: str,
        bootstrap: str,
        drain: str = "30s",
        *,
        plan: Plan | None = None,
        module: str = "kite_ws_bridge.cli",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``module`` is what runs; another one may change the process before the bridge begins."""
        self.journal_dir = home / "journal"
        self.plan = demo_plan(INSTRUMENTS) if plan is None else plan
        self._module = module
        self._more = dict(settings or {})
        self._home = home
        self._endpoint = endpoint
        self._bootstrap = bootstrap
        self._drain = drain
        self._log = home / f"stderr-{len(list(home.glob('stderr-*')))}.log"
        self._log.touch()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def lines(self) -> list[str]:
        """What the newest process has said. A file, because a full pipe would stop it."""
        return self._log.read_text().splitlines()

    @property
    def address(self) -> str:
        """Where its metrics and health pages are."""
        said = next(line for line in self.lines if "metrics and health" in line)
        return str(json.loads(said)["address"])

    @property
    def pid(self) -> int:
        """The process id of the newest process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the newest process has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, seconds: float = DEADLINE_S) -> None:
        """Start it; returns when it serves its health page, which is before it connects."""
        tokens = self._home / "tokens.csv"
        write_tokens(tokens, self.plan)
        with self._log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", self._module, "run", "--root", str(self._home), "--store-and-forward"),
                *("--tokens", str(tokens), "--endpoint", self._endpoint, "--port", "0"),
                env={**os.environ, **self._settings()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )
        await until(self._serves, seconds)

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(DEADLINE_S):
            return await self._process.wait()

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, f"the bridge has ended: {self.lines}"
        return any("metrics and health" in line for line in self.lines)

    def _settings(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP": self._bootstrap,
            "KITE_API_KEY": "dummy",
            "KITE_ACCESS_TOKEN": "dummy",
            "WS_BRIDGE_NAME": FEED,
            "WS_BRIDGE_JOURNAL_DIR": str(self.journal_dir),
            "WS_BRIDGE_JOURNAL_SEGMENT_BYTES": "1MiB",
            "WS_BRIDGE_DRAIN": self._drain,
            "PYTHONPATH": import_path(),
            **self._more,
        }

    async def kill_if_running(self) -> None:
        """Leave no process behind, however the test ended."""
        if self._process is not None and self._process.returncode is None:
            await self.end(signal.SIGKILL)


def write_tokens(path: Path, plan: Plan) -> None:
    """The subscription file of a plan, complete at every moment."""
    rows = [
        f"{token},{mode.name.lower()}" for shard in plan.shards for token, mode in shard.items()
    ]
    new = path.with_suffix(".new")
    new.write_text("\n".join(["instrument_token,mode", *rows]) + "\n")
    new.replace(path)


async def until(condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    """Wait for a state of the simulator that it has no event for."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def journaled_sessions(journal_dir: Path) -> dict[int, int]:
    """feed_session → packets, as the journal on disk has them: what Kafka must hold."""
    sessions: dict[int, int] = {}
    for segment in list_segments(journal_dir):
        if segment.path.stat().st_size == 0:
            continue
        for chunk in read_file(segment.path):
            for row in chunk.frame_rows:
                ends = row.first_seq + count_slots(chunk.payload(row))
                sessions[row.feed_session] = max(sessions.get(row.feed_session, 0), ends)
    return sessions


def read_all(bootstrap: str, mark: Mark, sessions: dict[int, int]) -> ReadBack:
    """Everything of these sessions that was published since ``mark``."""
    return read_back(
        KafkaSettings(bootstrap=bootstrap), SingleObjectFraming(), Topics(), mark, sessions, FEED
    )


def restart_gaps(bootstrap: str, mark: Mark) -> dict[str, bool]:
    """The gaps that the bridge's own absence made: gap_id → whether it was closed.

    Gaps with other causes may come on top: a machine that is busy enough stalls the feed.
    """
    gaps: dict[str, bool] = {}
    topic = Topics().events
    with RecordReader(
        KafkaSettings(bootstrap=bootstrap),
        [topic],
        from_offsets=mark.offsets[topic],
        until_end=True,
    ) as records:
        for record in records:
            event = record.decode().record
            if event["feed"] == FEED and event["cause"] == "restart":
                closed = event["type"] == "GAP_CLOSED"
                assert not closed or event["to_ns"] > event["from_ns"]
                gaps[event["gap_id"]] = gaps.get(event["gap_id"], False) or closed
    return gaps


def summary_of(lines: list[str]) -> str:
    """The bridge's last sentence."""
    return next(line for line in reversed(lines) if line.startswith("stopped:"))


__all__ = [
    "BridgeProcess",
    "SimulatorServer",
    "journaled_sessions",
    "read_all",
    "restart_gaps",
    "summary_of",
    "until",
    "write_tokens",
]
