"""How long a program takes before a command does its work, against ``import typer, rich``.

The same interpreter runs the checkout's programs and, where they are packaged, the PEX files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Figure, NotMeasured, Task, in_turns, ratios
from kite_runtime.testing import import_path

TITLE = "Starts: help, version, wrong option"
PROGRAMS = ("ws_bridge", "hist_merge", "instruments", "dlq_triage")
CALLS = {"--help": 0, "--version": 0, "--wrong": 2}
"""Arguments → exit code."""
BUDGET = 2.0
BARE = "import typer, rich"
DIST = Path(__file__).parents[1] / "dist"


def run(rounds: int) -> list[Figure]:
    """The ratios of every program. Raises NotMeasured where a call ends in another way."""
    tasks: dict[str, Task] = {BARE: _start([sys.executable, "-c", BARE], 0)}
    for program in PROGRAMS:
        code = f"from kite_{program}.cli import main; main()"
        for option, expected in CALLS.items():
            tasks[f"{program} {option}"] = _start([sys.executable, "-c", code, option], expected)
        packaged = DIST / f"{program}.pex"
        if packaged.exists():
            tasks[f"{packaged.name} --help"] = _start([str(packaged), "--help"], 0)
    found = in_turns(rounds, tasks)
    bare = found.pop(BARE)
    return figures(found, bare)


def figures(found: Mapping[str, Sequence[float]], bare: Sequence[float]) -> list[Figure]:
    """The ratio of each call to the bare import (pure)."""
    return [
        Figure.of(
            name,
            "x",
            ratios(seconds, bare),
            BUDGET,
            at_most=True,
        )
        for name, seconds in found.items()
    ]


def _start(command: Sequence[str], expected: int) -> Task:
    environ = {**os.environ, "PYTHONPATH": import_path()}

    def sample() -> float:
        started_s = time.perf_counter()
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
        seconds = time.perf_counter() - started_s
        if done.returncode != expected:
            raise NotMeasured(f"{' '.join(command)} ended with {done.returncode}")
        return seconds

    return sample
