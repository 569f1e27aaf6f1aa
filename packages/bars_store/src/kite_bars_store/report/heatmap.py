"""The heatmap: a row an instrument, a cell a day. Its number is coverage, its colour what is
missing. Beside it the columns of a chart. Both with their places, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final

import numpy as np

from kite_bars_store.bars.missing.missing import CAUSES
from kite_bars_store.report.model import Counts, Report

ROWS_MAX: Final = 500
_FEW: Final = 100
_SOME: Final = 10
LEGEND: Final = (
    ("g0", "every minute is there or explained"),
    ("g1", "less than 1 % missing"),
    ("g2", "less than 10 %"),
    ("g3", "more"),
    ("g4", "all of the day"),
    ("gx", "no session, or not listed"),
)
"""Classes of colour and what they mean."""


@dataclass(frozen=True)
class Cell:
    """``colour`` is a class; ``counts`` the counts, empty where there are none."""

    colour: str
    number: str
    counts: str


@dataclass(frozen=True)
class Row:
    """An instrument."""

    symbol: str
    coverage: str
    absent: int
    conflicts: int
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Heatmap:
    """``months`` are (name, how many days); ``left_out`` instruments have no row."""

    months: Sequence[tuple[str, int]]
    days: Sequence[date]
    notes: Sequence[str]
    rows: Sequence[Row]
    left_out: int


def heatmap(report: Report) -> Heatmap:
    """At most `ROWS_MAX` rows: those with most missing, then those with the most conflicts."""
    absent = report.absent()
    expected = report.missing.expected.astype(np.int64)
    shown = [
        number
        for number, day in enumerate(report.days)
        if expected[:, number].any() or report.bars[:, number].any() or day.weekday() < 5
    ]
    names = np.array(report.symbols)
    worst = np.lexsort((names, -report.conflicts.sum(axis=1), -absent.sum(axis=1)))
    chosen = sorted(worst[:ROWS_MAX].tolist(), key=lambda row: report.symbols[row])
    causes = report.missing.table()
    days = [report.days[number] for number in shown]
    return Heatmap(
        months=[(name, len(list(run))) for name, run in groupby(days, lambda d: f"{d:%B %Y}")],
        days=days,
        notes=[report.closed.get(day, "") for day in days],
        rows=[_row(report, row, shown, absent, causes) for row in chosen],
        left_out=len(names) - len(chosen),
    )


def percent(part: int, whole: int) -> str:
    """Cut off, never rounded up: 100 is all."""
    return f"{part * 100 // whole}" if whole else ""


def _row(report: Report, row: int, shown: Sequence[int], absent: Counts, causes: Counts) -> Row:
    expected, present = report.missing.expected[row], report.missing.present[row]
    cells = [
        _cell(
            int(expected[day]),
            int(present[day]),
            int(absent[row, day]),
            int(report.conflicts[row, day]),
            causes[row, day],
        )
        for day in shown
    ]
    return Row(
        report.symbols[row],
        percent(int(present.sum()), int(expected.sum())),
        int(absent[row].sum()),
        int(report.conflicts[row].sum()),
        cells,
    )


def _cell(expected: int, present: int, absent: int, conflicts: int, causes: Counts) -> Cell:
    if not expected:
        return Cell("gx", "", "")
    counts = []
    if present < expected or conflicts:
        counts = [f"{present} of {expected} minutes"]
        counts += [f"{causes[at]} {cause}" for at, cause in enumerate(CAUSES) if causes[at]]
        counts += [f"{conflicts} conflicts"] if conflicts else []
    return Cell(_colour(expected, absent), percent(present, expected), ", ".join(counts))


def _colour(expected: int, absent: int) -> str:
    if not absent:
        return "g0"
    if absent == expected:
        return "g4"
    if absent * _FEW < expected:
        return "g1"
    return "g2" if absent * _SOME < expected else "g3"


HEIGHT: Final = 130
TOP: Final = 18
BOTTOM: Final = 34
LABELS_MAX: Final = 16


@dataclass(frozen=True)
class Column:
    """``label`` is empty where too many would stand too close."""

    x: float
    y: float
    width: float
    height: float
    label: str
    name: str
    value: int


@dataclass(frozen=True)
class Chart:
    """``unit`` names the axis below."""

    title: str
    unit: str
    width: int
    height: int
    floor: int
    columns: Sequence[Column]
    total: int


def chart(title: str, unit: str, names: Sequence[str], values: Sequence[int], width: int) -> Chart:
    """A column a value; what is not 0 is at least one pixel high."""
    most = max(values, default=0)
    step = width / max(len(values), 1)
    every = -(-len(names) // LABELS_MAX)
    columns = []
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        height = max(round(HEIGHT * value / most, 1), 1) if value else 0
        left, top = round(number * step + step * 0.1, 1), round(TOP + HEIGHT - height, 1)
        label = name if number % every == 0 else ""
        columns.append(Column(left, top, round(step * 0.8, 1), height, label, name, value))
    size = TOP + HEIGHT + BOTTOM
    return Chart(title, unit, width, size, TOP + HEIGHT, columns, sum(values))


def class_names(edges: Sequence[int], divisor: int = 1) -> list[str]:
    """Names of the classes: no difference, below the first edge, …, the last edge and more."""
    shown = [f"{edge / divisor:g}" for edge in edges]
    between = [f"{a}–{b}" for a, b in zip(shown, shown[1:], strict=False)]  # noqa: RUF001 RUF007
    return ["none", f"< {shown[0]}", *between, f"≥ {shown[-1]}"]
