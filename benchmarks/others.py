"""The budgets of the other places, whose benchmarks are programs of their own: run, and read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from app_kit.testing import import_path
from benchmarks.measure import Figure, say

TITLE = "The other places"
PROGRAMS = {
    "merge of bars": ("bars_merge.py", ["--rounds", "3"]),
    "dump of dead letters": ("dlq_dump.py", ["200000", "3"]),
    "sync of instruments": ("instruments_sync.py", ["3"]),
}
"""Name → file and arguments."""
AT_MOST = ("peak memory", "rows that the same again writes", "sync against COPY")
TIMEOUT_S = 300.0
_LINE = re.compile(
    r"^(?P<name>[^:]+): (?P<value>[\d.,]+)(?P<unit>[^(]*)\(budget (?P<budget>[\d.]+)\)"
)


def run(rounds: int) -> list[Figure]:
    """Each program once; its own rounds count."""
    del rounds
    found: list[Figure] = []
    for name, (file, arguments) in PROGRAMS.items():
        say(f"  {name}")
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(file)), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=False,  # some end with 1 for a missed budget, which its line tells
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": import_path()},
        )
        figures = budget_lines(name, done.stdout)
        if not figures:
            raise SystemExit(f"{file} ended with {done.returncode} and told no budget")
        found += figures
    return found


def budget_lines(name: str, printed: str) -> list[Figure]:
    """The lines ``WHAT: NUMBER UNIT (budget NUMBER)`` of a program as figures (pure)."""
    found = []
    for line in printed.splitlines():
        told = _LINE.match(line)
        if told is None:
            continue
        what, unit = told["name"], told["unit"].split(",")[0].strip()
        value = float(told["value"].replace(",", ""))
        unit = unit if unit in ("MB", "MiB") else "x"
        at_most = what in AT_MOST
        budget = float(told["budget"])
        found.append(Figure.once(f"{name}: {what}", unit, value, budget, at_most=at_most))
    return found
