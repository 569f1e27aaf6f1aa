"""What a staged fault came to: figures, what is wrong with them, and its line in the records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from faults.scene import Scene

Figure = int | float | str


@dataclass
class Outcome:
    """The figures in the order in which they are shown, and every broken promise in a sentence."""

    figures: dict[str, Figure] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def demand(self, name: str, found: Figure, expected: Figure) -> None:
        """Note a figure that must have exactly this value."""
        self.figures[name] = found
        if found != expected:
            self.problems.append(f"{name}: {found}, but it must be {expected}")

    def demand_most(self, name: str, found: float, limit: float) -> None:
        """Note a figure that must not be above ``limit``."""
        self.figures[name] = found
        if found > limit:
            self.problems.append(f"{name}: {found}, but it must be at most {limit}")

    def demand_least(self, name: str, found: float, limit: float) -> None:
        """Note a figure that must not be below ``limit``."""
        self.figures[name] = found
        if found < limit:
            self.problems.append(f"{name}: {found}, but it must be at least {limit}")

    def note(self, name: str, value: Figure) -> None:
        """A figure that is only told."""
        self.figures[name] = value


@dataclass(frozen=True)
class Fault:
    """One play. ``number`` is its place in the list of faults, ``name`` what one types."""

    number: int
    name: str
    title: str
    invariant: str
    play: Callable[[Scene], Outcome]


@dataclass(frozen=True)
class Record:
    """One line of the records: what was played, how, and what came out."""

    number: int
    name: str
    title: str
    invariant: str
    command: str
    seed: int
    seconds: float
    figures: dict[str, Any]
    problems: list[str]
    kafka: str = "plain"
    """The kind of broker: see ``faults.kafka``."""

    @property
    def passed(self) -> bool:
        """No promise was broken."""
        return not self.problems


def make_record(
    fault: Fault,
    outcome: Outcome,
    command: str,
    seed: int,
    seconds: float,
    kafka: str = "plain",
) -> Record:
    """The line of one play."""
    return Record(
        fault.number,
        fault.name,
        fault.title,
        fault.invariant,
        command,
        seed,
        round(seconds, 1),
        dict(outcome.figures),
        list(outcome.problems),
        kafka,
    )


def load_records(path: Path) -> list[Record]:
    """The newest record of each fault on each kind of broker, in the order of the faults."""
    newest: dict[tuple[str, str], Record] = {}
    for line in path.read_text("utf-8").splitlines():
        record = Record(**json.loads(line))
        newest[record.name, record.kafka] = record
    return sorted(newest.values(), key=_order)


def append_record(path: Path, record: Record) -> None:
    """Add a record; an older one of the same fault on the same kind of broker goes."""
    kept = [
        each
        for each in (load_records(path) if path.exists() else [])
        if (each.name, each.kafka) != (record.name, record.kafka)
    ]
    records = sorted([*kept, record], key=_order)
    path.write_text("".join(_line(each) + "\n" for each in records), "utf-8")


def _line(record: Record) -> str:
    """One line of the records; the kind of broker where it is not the plain one."""
    found = dict(vars(record))
    if record.kafka == "plain":
        del found["kafka"]
    return json.dumps(found)


def _order(record: Record) -> tuple[bool, int, str]:
    return record.kafka != "plain", record.number, record.name


def show(console: Console, record: Record) -> None:
    """The ledger as a table, and the broken promises under it."""
    table = Table(title=f"{record.number} {record.title}, seed {record.seed}", title_justify="left")
    table.add_column("ledger")
    table.add_column(f"{record.seconds:g} s", justify="right")
    for name, value in record.figures.items():
        table.add_row(name, format_figure(value))
    console.print(table)
    for problem in record.problems:
        console.print(f"BROKEN: {problem}", markup=False)
    console.print("kept" if record.passed else "NOT kept", "--", record.invariant, markup=False)


def format_figure(value: Figure) -> str:
    """A figure for people: thousands apart, fractions short."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{int(value):,}"
