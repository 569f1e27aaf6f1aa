"""Changes of the simulated history as text: one a line or between semicolons, ``#`` for comments.

    lost TOKEN FROM UNTIL          minutes that were traded and that Kite has not
    restated TOKEN EX_DAY RATIO    a corporate action: all before that day is told times 1/2, say

Times are in India, such as 2026-06-01T10:00; UNTIL is not included. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Final

from kite_contracts.sessions import IST
from kite_simulator.faults import ScriptError
from kite_simulator.history import Lost, Restated


@dataclass(frozen=True, slots=True)
class HistoryChanges:
    """What differs from the history of the seed."""

    lost: tuple[Lost, ...] = ()
    restated: tuple[Restated, ...] = ()


UNCHANGED: Final = HistoryChanges()


def parse_history_script(text: str) -> HistoryChanges:
    """Read a script. Raises ScriptError."""
    lines = [part.split("#")[0].strip() for line in text.splitlines() for part in line.split(";")]
    found = [_parse_line(line) for line in lines if line]
    return HistoryChanges(
        tuple(each for each in found if isinstance(each, Lost)),
        tuple(each for each in found if isinstance(each, Restated)),
    )


def _parse_line(line: str) -> Lost | Restated:
    try:
        match line.split():
            case ["lost", token, since, until]:
                lost = Lost(int(token), _time(since), _time(until))
                if lost.since < lost.until:
                    return lost
            case ["restated", token, day, ratio]:
                restated = Restated(int(token), date.fromisoformat(day), Fraction(ratio))
                if restated.ratio > 0:
                    return restated
    except (ValueError, ZeroDivisionError):
        pass  # told below, like a line of another form
    raise ScriptError(
        f"history script: {line!r} is neither `lost TOKEN FROM UNTIL` nor "
        "`restated TOKEN EX_DAY RATIO`"
    )


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=IST)
