"""What a new version of a contract must not do, and a place for one such finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The kinds of break."""

    REMOVED_FIELD = "removed field"
    NEW_REQUIRED_FIELD = "new required field"
    CHANGED_TYPE = "changed type"
    CHANGED_NAME = "changed name or namespace"
    CHANGED_OPTIONALITY = "changed optionality"
    CHANGED_DEFAULT = "changed default"
    CHANGED_ATTRIBUTE = "changed unit, scale or logical type"
    REMOVED_SYMBOL = "removed enum symbol"
    ADDED_SYMBOL = "added enum symbol without an enum default"
    NARROWED = "narrowed values"
    WIDENED = "widened values"
    AVRO = "Avro resolution fails"


class Direction(StrEnum):
    """Who is hurt by a break."""

    BACKWARD = "new readers, old data"
    FORWARD = "old readers, new data"
    FULL = "both ways"


@dataclass(frozen=True)
class Break:
    """One reason why two versions of a contract are not compatible."""

    path: str
    rule: Rule
    direction: Direction
    message: str

    def __str__(self) -> str:
        return f"{self.path or '(root)'}: {self.rule} ({self.direction}): {self.message}"


def removed_fields(old: Mapping[str, object], new: Mapping[str, object]) -> list[Break]:
    """A break for each node of ``old`` that is not in ``new``, outermost ones only.

    Avro lets a field with a default go; here nothing goes, because what producers still write, or
    dead letters still hold, would be lost in silence.
    """
    message = "old records hold it, and it would be lost in silence"
    return [
        Break(path, Rule.REMOVED_FIELD, Direction.FULL, message) for path in outermost(old, new)
    ]


def new_required_field(path: str) -> Break:
    """The break of a new field that old records cannot fill."""
    message = "old records do not hold it; make it optional, with default null"
    return Break(path, Rule.NEW_REQUIRED_FIELD, Direction.BACKWARD, message)


def outermost(left: Mapping[str, object], right: Mapping[str, object]) -> list[str]:
    """Paths only in ``left``, without those whose parent is missing from ``right`` too."""
    missing = [path for path in left if path not in right]
    return [path for path in missing if path.rpartition("/")[0] not in missing]
