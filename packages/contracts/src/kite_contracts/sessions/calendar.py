"""The calendar: what a day is, whether a segment trades, which bars to expect, and why not.

Order of the answers: an entry for the day in ``sessions.toml``; weekend; holiday of the equities;
a weekday of which nothing else is known (assumed to trade). Pure but for ``load``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions.exchange_holidays import exchange_holidays
from kite_contracts.sessions.holidays import Holidays, is_weekend
from kite_contracts.sessions.model import (
    CLASSES,
    MINUTE_NS,
    SEGMENTS,
    Cause,
    CauseKind,
    DayKind,
    PhaseName,
    TradingDay,
    day_of,
)
from kite_contracts.sessions.parse import load_rules
from kite_contracts.sessions.rules import DayRule, Regime, Rules, cut

CONTINUOUS: Final = (PhaseName.CONTINUOUS,)
CALENDAR_WARNING_DAYS: Final = 60
DAYS_CACHED: Final = 8192
MINUTES_CACHED: Final = 1024
_PHASE_CAUSES: Final = {
    PhaseName.PRE_OPEN: (CauseKind.PRE_OPEN, "pre-open session"),
    PhaseName.HALT: (CauseKind.HALT, "trading was halted"),
    PhaseName.CLOSING_AUCTION: (CauseKind.CLOSING_AUCTION, "closing auction"),
    PhaseName.POST_CLOSE: (CauseKind.POST_CLOSE, "session after the close"),
}


class SessionCalendar:
    """Answers from rules and holidays; asking again for a day or a minute costs a look-up.

    ``stock_class`` (of CLASSES) names instruments with other hours than the rest of their segment,
    for example stocks with derivatives; None asks for the segment's own hours. Every method raises
    UnknownContractError for a segment or class that does not exist.
    """

    def __init__(self, rules: Rules, holidays: Holidays) -> None:
        self._rules = rules
        self._holidays = holidays
        self._day = lru_cache(maxsize=DAYS_CACHED)(self._find_day)
        self._open = lru_cache(maxsize=MINUTES_CACHED)(self._find_open)
        self._surely_open = lru_cache(maxsize=MINUTES_CACHED)(self._find_surely_open)

    @classmethod
    def load(cls, path: Path | None = None, holidays: Holidays | None = None) -> SessionCalendar:
        """The calendar of a file, or of the packaged one. Raises ConfigurationError, one sentence.

        Without ``holidays`` those of the exchange are loaded, which takes seconds the first time:
        call it before an event loop runs.
        """
        rules = load_rules(path)
        return cls(rules, exchange_holidays() if holidays is None else holidays)

    def classes(self, segment: str) -> tuple[str, ...]:
        """The classes of this segment with hours of their own."""
        _check(segment, None)
        return self._rules.classes(segment)

    def day(self, segment: str, day: date, stock_class: str | None = None) -> TradingDay:
        """What this day is: every date has an answer."""
        return self._day(segment, day, stock_class)

    def days(
        self, segment: str, first: date, last: date, stock_class: str | None = None
    ) -> list[TradingDay]:
        """All days from ``first`` to ``last``, both included."""
        count = (last - first).days + 1
        return [self._day(segment, first + timedelta(n), stock_class) for n in range(count)]

    def is_open(self, segment: str, ts_ns: int, stock_class: str | None = None) -> bool:
        """Whether trading is continuous at this time, as far as anybody knows."""
        return self._open(segment, ts_ns // MINUTE_NS, stock_class)

    def surely_open(self, segment: str, ts_ns: int) -> bool:
        """Whether every instrument of the segment trades now, by verified hours.

        For alarms about silence: a false one costs more than a late one.
        """
        return self._surely_open(segment, ts_ns // MINUTE_NS)

    def expected_minutes(
        self,
        segment: str,
        day: date,
        phases: Sequence[PhaseName] = CONTINUOUS,
        stock_class: str | None = None,
    ) -> npt.NDArray[np.int64]:
        """The opening of each one-minute bar of the day, ascending, in nanoseconds."""
        return self._day(segment, day, stock_class).minutes(phases)

    def cause(self, segment: str, ts_ns: int, stock_class: str | None = None) -> Cause | None:
        """Why no bar belongs to this minute; None where one does (then: no trade, or an outage)."""
        day = self._day(segment, day_of(ts_ns), stock_class)
        phase = day.phase_at(ts_ns)
        if phase is not None:
            if phase.name is PhaseName.CONTINUOUS:
                return None
            kind, what = _PHASE_CAUSES[phase.name]
            span = f"{phase.opens:%H:%M} to {phase.closes:%H:%M}"
            return Cause(kind, f"{what} from {span} on {day.date}")
        return _outside(day, ts_ns)

    def _find_open(self, segment: str, minute: int, stock_class: str | None) -> bool:
        ts_ns = minute * MINUTE_NS
        phase = self._day(segment, day_of(ts_ns), stock_class).phase_at(ts_ns)
        return phase is not None and phase.name is PhaseName.CONTINUOUS

    def _find_surely_open(self, segment: str, minute: int) -> bool:
        ts_ns = minute * MINUTE_NS
        for stock_class in (None, *self.classes(segment)):
            phase = self._day(segment, day_of(ts_ns), stock_class).phase_at(ts_ns)
            if phase is None or phase.name is not PhaseName.CONTINUOUS or not phase.is_sure:
                return False
        return True

    def _find_day(self, segment: str, day: date, stock_class: str | None) -> TradingDay:
        _check(segment, stock_class)
        regime = self._rules.regime(segment, stock_class, day)
        rule = self._rules.days.get((segment, day))
        if rule is not None:
            return self._irregular(rule, regime, stock_class)
        if is_weekend(day):
            reason = f"{day:%A}: {segment} does not trade on weekends"
            assumption = self._unverified(day)
            return _closed(
                *(segment, day, stock_class, DayKind.WEEKEND),
                f"{reason}; {assumption}" if assumption else reason,
                "the weekday",
                is_assumed=bool(assumption),
                is_unverified=bool(assumption),
            )
        if self._holidays.knows(day) and day in self._holidays.closed:
            return self._holiday(segment, day, stock_class)
        if regime is None:
            reason = f"the hours of {segment} on {day} are not in the file"
            return TradingDay(
                *(segment, day, stock_class, True, True, DayKind.UNKNOWN, (), reason),
                source="no regime that old",
            )
        return self._regular(regime, day, stock_class)

    def _regular(self, regime: Regime, day: date, stock_class: str | None) -> TradingDay:
        reason = f"usual hours since {regime.since}"
        assumption = self._assumption(regime.segment, day)
        return TradingDay(
            *(regime.segment, day, stock_class, True, bool(assumption), DayKind.REGULAR),
            phases=self._rules.phases(regime.phases, day),
            reason=f"{reason}; {assumption}" if assumption else reason,
            source=regime.source,
            note=regime.note,
            is_unverified=bool(self._unverified(day)),
        )

    def _holiday(self, segment: str, day: date, stock_class: str | None) -> TradingDay:
        reason = "holiday of the equities"
        assumption = self._assumption(segment, day)
        return _closed(
            *(segment, day, stock_class, DayKind.HOLIDAY),
            f"{reason}; {assumption}" if assumption else reason,
            self._holidays.source,
            is_assumed=bool(assumption),
            is_unverified=bool(self._unverified(day)),
        )

    def _irregular(
        self, rule: DayRule, regime: Regime | None, stock_class: str | None
    ) -> TradingDay:
        phases = self._rules.phases(rule.phases or (), rule.date)
        if rule.phases is None and regime is not None:
            usual = self._rules.phases(regime.phases, rule.date)
            phases = cut(usual, rule.date, rule.opens_from, rule.until)
        unknown = rule.hours_unknown or (rule.phases is None and regime is None)
        return TradingDay(
            *(rule.segment, rule.date, stock_class, bool(phases) or unknown, unknown, rule.kind),
            phases=phases,
            reason=_REASONS[rule.kind] + ("; its hours are not known" if unknown else ""),
            source=rule.source,
            note=rule.note or (regime.note if regime is not None and rule.phases is None else ""),
        )

    def _assumption(self, segment: str, day: date) -> str:
        """Why an answer from the equities' holidays is assumed; empty where it is a fact."""
        if unverified := self._unverified(day):
            return unverified
        if not self._holidays.knows(day):
            return (
                f"assumed: holidays are known from {self._holidays.first} to {self._holidays.last}"
            )
        years = self._rules.own_holidays.get(segment)
        if years is not None and day.year not in years:
            return f"assumed: the holidays of {segment} in {day.year} are not in the file"
        return ""

    def _unverified(self, day: date) -> str:
        since = self._rules.verified_since
        return f"assumed: special sessions before {since} are not verified" if day < since else ""

    def facts_end(self, segment: str) -> date | None:
        """The last day of which the holidays of the segment are known, and not assumed; None where
        none ever were."""
        last = self._holidays.last
        years = self._rules.own_holidays.get(segment)
        if years is None:
            return last
        return min(last, date(max(years), 12, 31)) if years else None

    def ends_soon(self, segment: str, today: date) -> str | None:
        """One sentence, from CALENDAR_WARNING_DAYS before the holidays that are known end."""
        last = self.facts_end(segment)
        if last is None or (last - today).days >= CALENDAR_WARNING_DAYS:
            return None
        return (
            f"the holidays of {segment} are known until {last} and assumed from then on: update "
            "exchange_calendars, or add them to configs/sessions.toml"
        )


def _check(segment: str, stock_class: str | None) -> None:
    if segment not in SEGMENTS:
        raise UnknownContractError(
            f"There is no segment {segment!r}: take one of {', '.join(SEGMENTS)}."
        )
    if stock_class is not None and stock_class not in CLASSES:
        raise UnknownContractError(
            f"There is no class {stock_class!r}: take one of {', '.join(CLASSES)}, or none."
        )


def _closed(
    segment: str,
    day: date,
    stock_class: str | None,
    kind: DayKind,
    reason: str,
    source: str,
    is_assumed: bool = False,
    is_unverified: bool = False,
) -> TradingDay:
    return TradingDay(
        *(segment, day, stock_class, False, is_assumed, kind, (), reason, source),
        is_unverified=is_unverified,
    )


def _outside(day: TradingDay, ts_ns: int) -> Cause:
    """The cause of a minute outside all phases of its day."""
    if not day.phases:
        if day.is_trading:
            return Cause(CauseKind.HOURS_UNKNOWN, f"{day.date}: {day.reason}")
        kind = CauseKind.WEEKEND if day.kind is DayKind.WEEKEND else CauseKind.HOLIDAY
        return Cause(kind, f"{day.date}: {day.reason}")
    first, last = day.phases[0], day.phases[-1]
    if ts_ns < first.opens_ns:
        return Cause(
            CauseKind.BEFORE_OPEN, f"{first.name} opens at {first.opens:%H:%M} on {day.date}"
        )
    if ts_ns >= last.closes_ns:
        return Cause(
            CauseKind.AFTER_CLOSE, f"{last.name} closed at {last.closes:%H:%M} on {day.date}"
        )
    after = next(phase for phase in day.phases if ts_ns < phase.opens_ns)
    return Cause(
        CauseKind.BREAK, f"between two sessions: {after.name} opens at {after.opens:%H:%M}"
    )


_REASONS: Final = {
    DayKind.MUHURAT: "Muhurat session of Diwali",
    DayKind.SPECIAL: "trades on a day that is usually closed",
    DayKind.HALF: "a part of the day is a holiday",
    DayKind.HALT: "trading was interrupted, began late or was prolonged",
    DayKind.HOLIDAY: "holiday of this segment",
}
