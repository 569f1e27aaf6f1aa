"""What a new version of a contract must not do, and a place for one such finding."""

from __future__ import annotations

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
