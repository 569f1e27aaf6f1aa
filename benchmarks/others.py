"""The budgets of the other places, whose benchmarks are programs of their own: run, and read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Figure, NotMeasured, say
from kite_runtime.testing import import_path

TITLE = "The other places"
PROGRAMS = {
    "merge of bars": ("bars_merge.py", ["--rounds", "2"]),
    "dump of dead letters": ("dlq_dump.py", ["100000", "3"]),
    "sync of instruments": ("instruments_sync.py", ["2"]),
}
"""Name → file and arguments."""
AT_MOST = ("peak memory", "rows that the same again writes", "sync against COPY")
TIMEOUT_S = 120.0
_LINE = re.compile(
    r"^(?P<name>[^:]+): (?P<value>[\d.,]+)(?P<unit>[^(]*)\(budget (?P<budget>[\d.]+)\)"
)


def run(rounds: int) -> list[Figure]:
    """Each program once; its own rounds count. One that fails is told and left out."""
    del rounds
    found: list[Figure] = []
    for name, (file, arguments) in PROGRAMS.items():
        say(f"  {name}")
        try:
            found += budget_lines(name, _printed(file, arguments))
        except NotMeasured as error:
            say(f"  {name}: not measured: {error}")
    if not found:
        raise NotMeasured("none of the programs told a budget")
    return found


def _printed(file: str, arguments: list[str]) -> str:
    """What a program prints. Raises NotMeasured when it tells no budget in time."""
    try:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(file)), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=False,  # some end with 1 for a missed budget, which its line tells
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": import_path()},
        )
    except subprocess.TimeoutExpired as error:
        raise NotMeasured(f"{file} takes longer than {TIMEOUT_S:.0f} s") from error
    if "(budget " not in done.stdout:
        raise NotMeasured(f"{file} ended with {done.returncode} and told no budget")
    return done.stdout


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
