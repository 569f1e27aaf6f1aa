"""The rules of ``sessions.toml`` as values, and what they say about one day. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from kite_contracts.sessions.model import MINUTE_NS, DayKind, Phase, PhaseName, midnight_ns
from kite_runtime.clock import IST

VERIFIED_SINCE = date(2016, 1, 1)
"""Where a file has no ``verified_since``."""

Minutes = int
"""Minutes since midnight in India."""


@dataclass(frozen=True)
class Evening:
    """The closing time that follows another country's daylight saving."""

    zone: ZoneInfo
    daylight: Minutes
    standard: Minutes

    def closes(self, day: date) -> Minutes:
        """The closing time of this day; the other country's clock counts at that moment."""
        moment = datetime.combine(day, time(), IST) + timedelta(minutes=self.daylight)
        return self.daylight if moment.astimezone(self.zone).dst() else self.standard


@dataclass(frozen=True)
class PhaseRule:
    """A phase of any day; ``closes`` is None for the evening."""

    name: PhaseName
    opens: Minutes
    closes: Minutes | None
    is_sure: bool


@dataclass(frozen=True)
class Regime:
    """The usual hours of a segment, or of one class of its instruments, from a day on."""

    segment: str
    stock_class: str | None
    since: date
    phases: tuple[PhaseRule, ...]
    source: str
    note: str


@dataclass(frozen=True)
class DayRule:
    """One day that differs. ``phases`` None: the usual hours, cut to ``[opens_from, until)``."""

    segment: str
    date: date
    kind: DayKind
    phases: tuple[PhaseRule, ...] | None
    opens_from: Minutes | None
    until: Minutes | None
    source: str
    note: str

    @property
    def hours_unknown(self) -> bool:
        return self.phases == () and self.kind is not DayKind.HOLIDAY


@dataclass(frozen=True)
class Rules:
    """All rules of one file. ``regimes`` are in the order of their dates."""

    regimes: dict[tuple[str, str | None], tuple[Regime, ...]]
    days: dict[tuple[str, date], DayRule]
    own_holidays: dict[str, frozenset[int]]
    evening: Evening | None
    verified_since: date = VERIFIED_SINCE
    """Special sessions of earlier days may be missing from ``days``."""

    def classes(self, segment: str) -> tuple[str, ...]:
        """The classes of instruments with hours of their own, in alphabetical order."""
        named = {name for of, name in self.regimes if of == segment and name is not None}
        return tuple(sorted(named))

    def regime(self, segment: str, stock_class: str | None, day: date) -> Regime | None:
        """What is in force for the class, else for its segment; None before the first one."""
        wanted = (stock_class, None) if stock_class is not None else (None,)
        for name in wanted:
            found = [each for each in self.regimes.get((segment, name), ()) if each.since <= day]
            if found:
                return found[-1]
        return None

    def phases(self, rule: tuple[PhaseRule, ...], day: date) -> tuple[Phase, ...]:
        """Phases of this day, with the evening's closing time put in."""
        start = midnight_ns(day)
        return tuple(
            Phase(
                each.name,
                start + each.opens * MINUTE_NS,
                start + self._closes(each, day) * MINUTE_NS,
                each.is_sure,
            )
            for each in rule
        )

    def _closes(self, phase: PhaseRule, day: date) -> Minutes:
        if phase.closes is not None:
            return phase.closes
        assert self.evening is not None, "checked when the file was read"
        return self.evening.closes(day)


def cut(
    phases: tuple[Phase, ...], day: date, opens_from: Minutes | None, until: Minutes | None
) -> tuple[Phase, ...]:
    """What is left of the phases between two times of the day; None does not cut."""
    start = midnight_ns(day)
    first = start if opens_from is None else start + opens_from * MINUTE_NS
    last = start + 1440 * MINUTE_NS if until is None else start + until * MINUTE_NS
    return tuple(
        Phase(each.name, max(each.opens_ns, first), min(each.closes_ns, last), each.is_sure)
        for each in phases
        if max(each.opens_ns, first) < min(each.closes_ns, last)
    )
