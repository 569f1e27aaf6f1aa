"""Columns of a chart with their places, for SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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
