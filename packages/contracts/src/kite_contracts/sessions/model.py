"""What a calendar answers: days, phases and causes. Times are nanoseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_runtime.clock import IST

MINUTE_NS: Final = 60_000_000_000
_EPOCH: Final = date(1970, 1, 1)
_IST_MINUTES: Final = 330

INDICES: Final = "INDICES"
"""Kite's segment of the indices, which have values but no trades."""

SEGMENTS: Final = (
    "NSE",
    "BSE",
    "INDICES",
    "NFO",
    "BFO",
    "CDS",
    "BCD",
    "MCX",
    "MCXSX",
    "NCO",
)

CLASSES: Final = ("fo-stock", "agri", "agri-international")
"""Instruments that may have other hours than the rest of their segment."""


class PhaseName(StrEnum):
    """What happens between two times of a day."""

    PRE_OPEN = "pre-open"
    CONTINUOUS = "continuous"
    HALT = "halt"
    CLOSING_AUCTION = "closing-auction"
    POST_CLOSE = "post-close"


class DayKind(StrEnum):
    """Why a day has the hours that it has."""

    REGULAR = "regular"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    MUHURAT = "muhurat"
    SPECIAL = "special"
    HALF = "half"
    HALT = "halt"
    UNKNOWN = "unknown"


class CauseKind(StrEnum):
    """Why no bar belongs to a minute."""

    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    BEFORE_OPEN = "before-open"
    PRE_OPEN = "pre-open"
    BREAK = "break"
    HALT = "halt"
    CLOSING_AUCTION = "closing-auction"
    POST_CLOSE = "post-close"
    AFTER_CLOSE = "after-close"
    HOURS_UNKNOWN = "hours-unknown"


class Cause(NamedTuple):
    """Why no bar belongs to a minute, for a table and for a person."""

    kind: CauseKind
    sentence: str


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase, ``[opens_ns, closes_ns)``. ``is_sure`` is False where it was not verified."""

    name: PhaseName
    opens_ns: int
    closes_ns: int
    is_sure: bool = True

    @property
    def opens(self) -> datetime:
        """When it opens, aware, in India's time."""
        return ist(self.opens_ns)

    @property
    def closes(self) -> datetime:
        """When it closes, aware, in India's time; the moment itself is outside."""
        return ist(self.closes_ns)

    def holds(self, ts_ns: int) -> bool:
        return self.opens_ns <= ts_ns < self.closes_ns


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One day of a segment (of a class of its instruments), with the reason.

    ``is_assumed``: the answer is not a fact of the file or of the exchange's calendar. A day may
    trade without any phase: then it is known that it traded, but not when.
    """

    segment: str
    date: date
    stock_class: str | None
    is_trading: bool
    is_assumed: bool
    kind: DayKind
    phases: tuple[Phase, ...]
    reason: str
    source: str
    note: str = ""
    is_unverified: bool = False
    """A special session of this day may be missing here: a bar at any time of it may be right."""

    @property
    def is_irregular(self) -> bool:
        """Whether it differs from the usual: neither a regular day nor an ordinary weekend."""
        return self.kind not in (DayKind.REGULAR, DayKind.WEEKEND)

    def phase_at(self, ts_ns: int) -> Phase | None:
        return next((phase for phase in self.phases if phase.holds(ts_ns)), None)

    def minutes(
        self, phases: Sequence[PhaseName] = (PhaseName.CONTINUOUS,)
    ) -> npt.NDArray[np.int64]:
        """The opening of each one-minute bar of these phases, ascending, as nanoseconds."""
        parts = [
            np.arange(phase.opens_ns, phase.closes_ns, MINUTE_NS, dtype=np.int64)
            for phase in self.phases
            if phase.name in phases
        ]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def doubtful_minutes(self) -> npt.NDArray[np.int64]:
        """Those of `minutes` in which trading may have gone on or not: the phases of a day with a
        halt that were not verified. A bar may be right then, and none is missing."""
        if self.kind is not DayKind.HALT:
            return np.empty(0, dtype=np.int64)
        sure = tuple(each for each in self.phases if each.is_sure)
        return np.setdiff1d(self.minutes(), replace(self, phases=sure).minutes())

    def as_dict(self) -> dict[str, Any]:
        """For JSON: dates and times in ISO 8601, times in India's time and as nanoseconds."""
        return {
            "segment": self.segment,
            "date": self.date.isoformat(),
            "class": self.stock_class,
            "is_trading": self.is_trading,
            "is_assumed": self.is_assumed,
            "is_unverified": self.is_unverified,
            "kind": str(self.kind),
            "phases": [
                {
                    "name": str(phase.name),
                    "opens": phase.opens.isoformat(),
                    "closes": phase.closes.isoformat(),
                    "opens_ns": phase.opens_ns,
                    "closes_ns": phase.closes_ns,
                    "is_sure": phase.is_sure,
                }
                for phase in self.phases
            ],
            "minutes": len(self.minutes()),
            "reason": self.reason,
            "source": self.source,
            "note": self.note,
        }


def midnight_ns(day: date) -> int:
    """The beginning of this day in India."""
    return ((day - _EPOCH).days * 1440 - _IST_MINUTES) * MINUTE_NS


def day_of(ts_ns: int) -> date:
    """The day in India."""
    return _EPOCH + timedelta(minutes=ts_ns // MINUTE_NS + _IST_MINUTES)


def ist(ts_ns: int) -> datetime:
    """An aware time in India; what is below a microsecond is cut off."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_ns // 1000)).astimezone(
        IST
    )
