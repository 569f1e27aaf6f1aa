"""The live bridge at Kite's ceiling: 9,000 instruments in full mode, 18,000 ticks a second.

Simulator, bridge and a broker of this part's own are processes on this machine, and the bridge is
`ws_bridge run` as it is delivered; everything is read from its metrics and from /proc.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Spread, say
from benchmarks.processes import RunningBridge, cpu_s, peak_memory_mib, program, said, until
from benchmarks.stage import instrument_tokens
from kite_contracts.topics import load_topics
from kite_devstack import topics as devstack_topics
from kite_devstack.kafka import KafkaServer, private_kafka

TITLE = "The live bridge at 18,000 ticks a second, simulator and broker on the same cores"
LATENCY_TITLE = "Latency by linger, size of frame and partitions"
INSTRUMENTS = 9_000
RATE = 18_000
FRAME_PACKETS = 100
SETTLE_S = 45.0
"""A broker that has just started compiles its own code for about so long, on these very cores."""
WINDOW_S = 5.0
OUTAGE_S = 90.0
STARTS = 3
LATENCY_MAX_MS = 10.0
MEMORY_MAX_MIB = 300.0
LINGERS_MS = (0, 1, 5)
FRAMES = (10, 300)
FEW_PARTITIONS = 3
_MIB = 1024 * 1024


@dataclass
class Stage:
    """A broker with the topics, and a folder."""

    home: Path
    broker: KafkaServer
    number: int = 0

    @contextmanager
    def simulator(
        self, rate: int = RATE, packets: int = FRAME_PACKETS
    ) -> Iterator[tuple[str, int]]:
        """The address of a simulated Kite and its process id."""
        self.number += 1
        log = self.home / f"simulator-{self.number}.log"
        arguments = ["simulate", "--port", "0", "--rest-port", "0", "--rate", str(rate)]
        arguments += ["--frame-packets", str(packets)]
        with program(arguments, log, {}) as process:
            until(lambda: said(log, "Kite simulator at"), f"the simulator listens, see {log}")
            address = said(log, "Kite simulator at").split()[-1]
            yield address.partition("/?")[0], process.pid

    @contextmanager
    def bridge(
        self,
        endpoint: str,
        instruments: int = INSTRUMENTS,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[RunningBridge]:
        """A live bridge with a journal of its own, as soon as it serves its metrics."""
        self.number += 1
        home = self.home / f"bridge-{self.number}"
        home.mkdir()
        tokens = home / "tokens.csv"
        rows = [f"{token},full" for token in instrument_tokens(instruments)]
        tokens.write_text("\n".join(["instrument_token,mode", *rows]) + "\n")
        environ = {
            "KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "KITE_API_KEY": "dummy",
            "KITE_ACCESS_TOKEN": "dummy",
            "WS_BRIDGE_JOURNAL_DIR": str(home / "journal"),
            **(settings or {}),
        }
        arguments = ["run", "--root", str(home), "--store-and-forward", "--tokens", str(tokens)]
        arguments += ["--endpoint", endpoint, "--port", "0"]
        log = home / "log"
        with program(arguments, log, environ) as process:
            yield RunningBridge(process, log)


@contextmanager
def stage(partitions: int | None = None) -> Iterator[Stage]:
    """A broker that may be stopped without anyone else noticing; ``partitions`` of ``ticks``."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-live-", ignore_cleanup_errors=True) as folder,
        private_kafka(Path(folder) / "kafka", os.environ) as broker,
    ):
        client = devstack_topics.admin(broker.bootstrap, os.environ)
        specs = load_topics()
        if partitions is not None:
            specs = [
                replace(spec, partitions=partitions) if spec.name == "ticks" else spec
                for spec in specs
            ]
        found = devstack_topics.read_topics(client, [spec.name for spec in specs])
        devstack_topics.apply(client, devstack_topics.plan(specs, found))
        yield Stage(Path(folder), broker)


def run(rounds: int) -> list[Figure]:
    """Starts, then the ceiling, then the outage, on one broker."""
    with stage() as place:
        say("  starts")
        found = _starts(place)
        with place.simulator() as (endpoint, kite), place.bridge(endpoint) as bridge:
            _settle(bridge)
            say(f"  {rounds} windows of {WINDOW_S:.0f} s at {RATE:,} ticks a second")
            pids = {"bridge": bridge.pid, "simulator": kite, "broker": place.broker.pid or 0}
            found += windows_of([_window(bridge, pids) for _ in range(rounds)])
            found += _outage(place, bridge)
    return found


def run_latency(rounds: int) -> list[Figure]:
    """Latency and cost by linger, size of frame and partitions: no budget, but what was tried."""
    cases = {f"linger {ms} ms": (FRAME_PACKETS, {"KAFKA_LINGER_MS": str(ms)}) for ms in LINGERS_MS}
    cases |= {f"{packets} packets a frame": (packets, {}) for packets in FRAMES}
    found: list[Figure] = []
    with stage() as place:
        for name, (packets, settings) in cases.items():
            found += _latency_of(place, rounds, name, packets, settings)
    with stage(FEW_PARTITIONS) as place:
        found += _latency_of(place, rounds, f"{FEW_PARTITIONS} partitions", FRAME_PACKETS, {})
    return found


def _latency_of(
    place: Stage, rounds: int, name: str, packets: int, settings: Mapping[str, str]
) -> list[Figure]:
    say(f"  {name}")
    with (
        place.simulator(packets=packets) as (endpoint, _),
        place.bridge(endpoint, settings=settings) as bridge,
    ):
        _settle(bridge)
        pids = {"bridge": bridge.pid, "broker": place.broker.pid or 0}
        windows = [_window(bridge, pids) for _ in range(rounds)]
    found = []
    for label, value in (("p50", 0.50), ("p99", 0.99)):
        times = Spread.of([each.latency_ms(value) for each in windows])
        found.append(Figure.of(f"latency {label}, {name}", "ms", times))
    for process in pids:
        cost = Spread.of([each.cpu_ms_a_thousand(process) for each in windows])
        found.append(Figure.of(f"{process}, CPU a thousand ticks, {name}", "ms", cost))
    return found


@dataclass(frozen=True)
class Window:
    """What happened between two looks."""

    seconds: float
    ticks: int
    buckets: dict[float, float]
    """Upper bound in seconds → frames acknowledged within it (cumulative)."""
    cpu: dict[str, float]
    """Processor seconds of each process."""

    def latency_ms(self, share: float) -> float:
        """The time within which this share of frames was acknowledged, linear within a bucket."""
        wanted, low_s, below = share * max(self.buckets.values()), 0.0, 0.0
        for bound_s, count in sorted(self.buckets.items()):
            if count >= wanted and count > below:
                if bound_s == float("inf"):
                    return low_s * 1e3
                return (low_s + (bound_s - low_s) * (wanted - below) / (count - below)) * 1e3
            low_s, below = bound_s, count
        return low_s * 1e3

    def share_within(self, bound_s: float) -> float:
        """The share of frames that a bucket's bound holds, 0 to 1."""
        return self.buckets[bound_s] / max(self.buckets.values())

    def cpu_ms_a_thousand(self, name: str) -> float:
        """Processor milliseconds of a process for 1,000 ticks."""
        return self.cpu[name] * 1e6 / self.ticks


def windows_of(windows: list[Window]) -> list[Figure]:
    """The figures of the ceiling (pure)."""
    found = [
        Figure.of(
            "ticks acknowledged", "ticks/s", Spread.of([w.ticks / w.seconds for w in windows])
        ),
        Figure.of(
            "latency p99, frame in to acknowledgement",
            "ms",
            Spread.of([window.latency_ms(0.99) for window in windows]),
            LATENCY_MAX_MS,
            at_most=True,
        ),
        Figure.of("latency p50", "ms", Spread.of([window.latency_ms(0.5) for window in windows])),
        Figure.of(
            "frames acknowledged within 10 ms",
            "%",
            Spread.of([100 * window.share_within(0.01) for window in windows]),
        ),
    ]
    for name in windows[0].cpu:
        cost = Spread.of([window.cpu_ms_a_thousand(name) for window in windows])
        found.append(Figure.of(f"CPU a thousand ticks, {name}", "ms", cost))
    cores = Spread.of([window.cpu["bridge"] / window.seconds for window in windows])
    found.append(Figure.of("bridge, cores in use", "cores", cores))
    return found


def _window(bridge: RunningBridge, pids: Mapping[str, int]) -> Window:
    before, cpu, started_s = bridge.scrape(), _cpu(pids), time.perf_counter()
    threading.Event().wait(WINDOW_S)
    after, later, seconds = bridge.scrape(), _cpu(pids), time.perf_counter() - started_s
    return Window(
        seconds,
        after["ticks_acked"] - before["ticks_acked"],
        _difference(before, after),
        {name: later[name] - cpu[name] for name in pids},
    )


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[float, float]:
    old = before["frame_ack_seconds"]["buckets"]
    return {float(le): n - old[le] for le, n in after["frame_ack_seconds"]["buckets"].items()}


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_s(pid) for name, pid in pids.items()}


def _settle(bridge: RunningBridge) -> None:
    until(lambda: bridge.scrape()["ticks_acked"] > INSTRUMENTS, "ticks are acknowledged")
    threading.Event().wait(SETTLE_S)


def _starts(place: Stage) -> list[Figure]:
    """From the start of the process to its first acknowledged tick, with a warm code cache."""
    seconds = []
    with place.simulator(rate=1_000) as (endpoint, _):
        for _ in range(STARTS + 1):
            started_s = time.perf_counter()
            with place.bridge(endpoint, 100) as bridge:
                until(lambda: bridge.scrape()["ticks_acked"], "a tick is acknowledged")
                seconds.append(time.perf_counter() - started_s)
    return [Figure.of("start to first acknowledged tick", "s", Spread.of(seconds[1:]))]


def _outage(place: Stage, bridge: RunningBridge) -> list[Figure]:
    """The broker stands still, and Kite goes on."""
    say(f"  the broker stands still for {OUTAGE_S:.0f} s")
    before = bridge.scrape()
    place.broker.suspend()
    try:
        threading.Event().wait(OUTAGE_S)
        backlog = bridge.scrape()["journal_backlog_bytes"]
    finally:
        place.broker.resume()
    resumed_s = time.perf_counter()
    until(
        lambda: bridge.scrape()["journal_backlog_age_seconds"] < 1.0,
        "the backlog is published",
        300.0,
    )
    behind_s = time.perf_counter() - resumed_s
    after = bridge.scrape()
    lost = after["frames_lost"] - before["frames_lost"]
    return [
        Figure.once(
            f"peak memory of the bridge, broker away for {OUTAGE_S:.0f} s",
            "MiB",
            peak_memory_mib(bridge.pid),
            MEMORY_MAX_MIB,
            at_most=True,
        ),
        Figure.once("journal backlog at the end of the outage", "MiB", backlog / _MIB),
        Figure.once("backlog published after", "s", behind_s),
        Figure.once("frames lost meanwhile", "frames", lost, 0.0, at_most=True),
    ]
