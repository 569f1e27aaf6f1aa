"""What the benchmarks stand on: rounds in turns, spreads, and figures with budgets.

The machine's speed changes from second to second, so nothing is measured alone: the ways that are
compared take turns, the order changes with each round, and a ratio is taken within a round. Pure
but for ``in_turns``, which calls what it is given.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self


class NotMeasured(Exception):
    """A part cannot be measured here, and why, in one sentence; the other parts may go on."""


Task = Callable[[], float]
"""One sample of one way; returns its figure, such as ticks a second."""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Raises ValueError for no values."""
        if not values:
            raise ValueError("a spread of no values")
        return cls(statistics.median(values), min(values), max(values), len(values))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio of two ways, taken within each round."""
    return Spread.of([left / right for left, right in zip(above, below, strict=True)])


@dataclass(frozen=True)
class Figure:
    """One measured number. ``budget`` is what it must reach, or with ``at_most`` not exceed.

    ``unit`` is ``x`` for a ratio; rates are ticks a second, times ms or s, memory MiB. ``at`` is
    the number that the name is plotted over, such as packets a frame.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    rounds: int
    budget: float | None = None
    at_most: bool = False
    at: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the budget; None without one."""
        if self.budget is None:
            return None
        return self.value <= self.budget if self.at_most else self.value >= self.budget

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        spread: Spread,
        budget: float | None = None,
        *,
        at_most: bool = False,
        at: float | None = None,
    ) -> Self:
        """A figure of several rounds."""
        median, low, high, rounds = spread.median, spread.low, spread.high, spread.rounds
        return cls(name, unit, median, low, high, rounds, budget, at_most, at)

    @classmethod
    def once(
        cls,
        name: str,
        unit: str,
        value: float,
        budget: float | None = None,
        *,
        at_most: bool = False,
        at: float | None = None,
    ) -> Self:
        """A figure of a single run."""
        return cls(name, unit, value, value, value, 1, budget, at_most, at)


def in_turns(rounds: int, tasks: Mapping[str, Task]) -> dict[str, list[float]]:
    """``rounds`` samples of each way, after one that does not count.

    Every second round goes backwards, so that no way always follows the same other one.
    """
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for number in range(rounds):
        order = list(tasks.items())
        for name, task in order if number % 2 == 0 else reversed(order):
            found[name].append(task())
    return found


def rate(
    work: Callable[[], object], ticks: int, clock_s: Callable[[], float] = time.perf_counter
) -> Task:
    """A sample that does the work once: ticks a second of wall time, or of another clock's.

    Work of one thread that waits for nobody is timed by ``time.thread_time``: what other processes
    do meanwhile matters less.
    """

    def sample() -> float:
        started_s = clock_s()
        work()
        return ticks / (clock_s() - started_s)

    return sample


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)
