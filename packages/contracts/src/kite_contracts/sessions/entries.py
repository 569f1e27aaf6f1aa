"""Values of one entry of ``sessions.toml``: checked, with the problem and the remedy in a sentence.

EntryProblem: raised here, becomes ConfigurationError with the file and the entry in ``parse.py``
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeVar

from kite_contracts.sessions.model import PhaseName
from kite_contracts.sessions.rules import Minutes, PhaseRule

EVENING: Final = "evening"
DAY_MINUTES: Final = 1440
_PHASE: Final = re.compile(
    r"(?P<name>[a-z-]+) +(?P<opens>[^- ]+)-(?P<closes>[^- ]+)(?P<unsure> +unsure)?"
)
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_T = TypeVar("_T")

Evenings = tuple[Minutes, Minutes]
"""The two closing times that ``evening`` can mean."""


class EntryProblem(Exception):
    """What is wrong with the entry, and what to do; the reader of the file adds where."""


def check_keys(entry: object, required: Sequence[str], optional: Sequence[str]) -> dict[str, Any]:
    """The entry as a table with these keys alone."""
    if not isinstance(entry, dict):
        raise EntryProblem("is no table: write it as in the header of the delivered file")
    for key in required:
        if key not in entry:
            raise EntryProblem(f"has no {key}: add it")
    for key in entry:
        if key not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise EntryProblem(f"has the unknown key {key!r}: the keys are {known}")
    return entry


def text(entry: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text that says something."""
    value = entry.get(key, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise EntryProblem(f"{key} is {value!r}: it must be a text")
    return value


def choice(value: object, known: Sequence[str], key: str) -> str:
    """One of the known names."""
    if not isinstance(value, str) or value not in known:
        raise EntryProblem(f"{key} is {value!r}: it must be one of {', '.join(known)}")
    return value


def many(entry: Mapping[str, Any], key: str, kind: type[_T]) -> list[_T]:
    """A list of values of one type, without repetition."""
    values = entry.get(key)
    if not isinstance(values, list) or not all(type(each) is kind for each in values):
        raise EntryProblem(f"{key} must be a list of values such as {_EXAMPLES[kind]}")
    if len(set(values)) < len(values):
        raise EntryProblem(f"{key} names a value twice: name each once")
    return values


def day(value: object, key: str) -> date:
    """A date without a time."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise EntryProblem(f"{key} is {value!r}: it must be a date such as 2026-08-03")
    return value


def clock(value: object, key: str) -> Minutes:
    """``HH:MM`` as minutes since midnight; 24:00 is the end of the day."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if value == "24:00":
        return DAY_MINUTES
    if found is None:
        raise EntryProblem(f"{key} is {value!r}: it must be a time such as 09:15")
    return int(found[1]) * 60 + int(found[2])


def phases(entry: Mapping[str, Any], evening: Evenings | None) -> tuple[PhaseRule, ...]:
    """The phases of a day, in order and apart from each other, whenever the evening closes."""
    texts = many(entry, "phases", str)
    if not texts:
        raise EntryProblem('phases is empty: name one, or say hours = "unknown" in a [[day]]')
    rules = tuple(_phase(each, evening) for each in texts)
    ends = [(evening or ()) if rule.closes is None else (rule.closes,) for rule in rules]
    for number, rule in enumerate(rules):
        if rule.opens >= min(ends[number]):
            raise EntryProblem(f"{texts[number]!r} does not close after it opens: correct a time")
        if number and rule.opens < max(ends[number - 1]):
            raise EntryProblem(
                f"{texts[number]!r} opens before {texts[number - 1]!r} has closed: "
                "give the phases in order and apart from each other"
            )
    return rules


def _phase(value: str, evening: Evenings | None) -> PhaseRule:
    found = _PHASE.fullmatch(value)
    if found is None:
        raise EntryProblem(
            f"{value!r} is no phase: write it as in 'continuous 09:15-15:30' or "
            "'continuous 15:15-15:30 unsure'"
        )
    name = PhaseName(choice(found["name"], [*PhaseName], "a phase's name"))
    if found["closes"] != EVENING:
        closes: Minutes | None = clock(found["closes"], f"the end of {value!r}")
    elif evening is None:
        raise EntryProblem(f"{value!r} needs the table [evening]: add it, or give a closing time")
    else:
        closes = None
    opens = clock(found["opens"], f"the beginning of {value!r}")
    return PhaseRule(name, opens, closes, found["unsure"] is None)


_EXAMPLES: Final[dict[type, str]] = {str: '"NFO"', date: "2026-08-03", int: "2026"}
