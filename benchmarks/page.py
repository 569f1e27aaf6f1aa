"""The part of docs/performance.md that is made of the record, and its picture (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.measure import Figure
from benchmarks.plot import Line, log_plot
from benchmarks.record import Part

BEGIN = "<!-- begin: made by `make bench RECORD=docs/performance.json` -->"
END = "<!-- end -->"
PICTURE_PART = "pipelines"


def budget_rows(parts: Iterable[Part]) -> list[tuple[str, str, str, str]]:
    """(what, figure, budget, kept) of every figure that has a budget."""
    return [
        (figure.name, amount(figure), limit(figure), "yes" if figure.met else "**no**")
        for part in parts
        for figure in part.figures
        if figure.budget is not None
    ]


def amount(figure: Figure) -> str:
    """The median, and the spread where there were several rounds."""
    text = number(figure.value, figure.unit)
    if figure.rounds > 1:
        low, high = number(figure.low, ""), number(figure.high, "")
        text += f" ({low}..{high})"
    return text


def limit(figure: Figure) -> str:
    """The budget with its direction."""
    sign = "≤" if figure.at_most else "≥"
    return f"{sign} {number(figure.budget or 0.0, figure.unit)}"


def number(value: float, unit: str) -> str:
    """Three digits or all of a whole number, and the unit."""
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{digits}f}"
    return f"{text} {unit}" if unit and unit != "x" else text + ("x" if unit == "x" else "")


def tables(about: Mapping[str, str], parts: Mapping[str, Part]) -> str:
    """All tables, Markdown."""
    lines = ["| Budget | Median (smallest..largest) | Must be | Kept |", "|---|---:|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in budget_rows(parts.values())]
    for part in parts.values():
        lines += ["", f"### {part.title}", ""]
        lines += ["| Figure | Median (smallest..largest) |", "|---|---:|"]
        lines += [f"| {figure.name} | {amount(figure)} |" for figure in part.figures]
        rounds = max(figure.rounds for figure in part.figures)
        lines += [
            "",
            f"Taken {part.taken} in {part.seconds:.0f} s, {rounds} rounds; load of the machine "
            f"{part.load_before:.1f} before, {part.load_after:.1f} after.",
        ]
    lines += ["", "Machine: " + ", ".join(f"{name} {value}" for name, value in about.items()) + "."]
    return "\n".join(lines)


def with_tables(text: str, made: str) -> str:
    """The page with what stands between the markers replaced. Raises ValueError without them."""
    before, found, rest = text.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not (found and ends):
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def picture(part: Part) -> str:
    """Throughput of every way by the size of its frames, as SVG."""
    lines: dict[str, Line] = {}
    for figure in part.figures:
        if figure.at is not None:
            name = figure.name.rpartition(", ")[0]
            lines.setdefault(name, []).append((figure.at, figure.value))
    return log_plot("Frame to acknowledged record, ticks a second", "packets a frame", lines)
