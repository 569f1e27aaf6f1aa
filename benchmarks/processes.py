"""Simulator and bridge as processes of a benchmark, and what is read of them from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import NotMeasured
from kite_runtime.testing import import_path

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 40.0
_PAUSE_S = 0.02
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@contextmanager
def program(
    arguments: Sequence[str], log: Path, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """``ws_bridge ARGUMENTS`` as a process; its output goes to ``log``. Ended with the block."""
    environ = {**os.environ, **settings, "PYTHONPATH": import_path()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kite_ws_bridge.cli", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(found: Callable[[], object], what: str, seconds: float = START_TIMEOUT_S) -> None:
    """Wait for something that nobody announces. Raises NotMeasured when it does not come."""
    ends_s = time.monotonic() + seconds
    pause = threading.Event()
    while not found():
        if time.monotonic() > ends_s:
            raise NotMeasured(f"waited {seconds:.0f} s in vain: {what}")
        pause.wait(_PAUSE_S)


def said(log: Path, word: str) -> str:
    """The first line of a log that holds this word, or nothing."""
    return next((line for line in log.read_text().splitlines() if word in line), "")


class RunningBridge:
    """Where a bridge's numbers are read."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        until(lambda: said(log, "metrics and health"), f"the bridge serves its metrics, see {log}")
        address = json.loads(said(log, "metrics and health"))["address"]
        self._url = f"{address}/status"
        self.pid = process.pid

    def scrape(self) -> dict[str, Any]:
        """Its metrics now."""
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            metrics: dict[str, Any] = json.load(answer)["metrics"]
        return metrics


def cpu_s(pid: int) -> float:
    """Processor seconds of a process so far, all threads, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def peak_memory_mib(pid: int) -> float:
    """The most memory that a process has held so far (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise NotMeasured(f"process {pid} tells nothing of its memory")
