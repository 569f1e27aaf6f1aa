"""Bars outside the session: kept as observations, never golden, each with its cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars import INTERVALS, SourceBars
from kite_bars_store.bars.grid import (
    CLOSED,
    DAY_MINUTES,
    UNVERIFIED,
    Sessions,
    calendar_sessions,
)
from kite_bars_store.bars.quality import Bools
from kite_bars_store.bars.screening import FIRST_NS, LAST_NS
from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import CauseKind, PhaseName, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, day_of, ist

EXAMPLES_MAX: Final = 10
_DAY_NS: Final = 1440 * MINUTE_NS
_IST_NS: Final = 330 * MINUTE_NS
_DAYS: Final = 1 << 20


@dataclass
class OutsideBars:
    """Counts by cause (`kite_contracts.sessions.CauseKind`), and a sentence for the first ones."""

    causes: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    traded_in_halt: int = 0
    """Bars with a volume at a time at which the calendar has a halt: one of them is wrong."""

    def add(self, other: OutsideBars) -> None:
        self.causes.update(other.causes)
        self.traded_in_halt += other.traded_in_halt
        self.examples += other.examples[: EXAMPLES_MAX - len(self.examples)]


class OutsideBar(NamedTuple):
    """A bar outside the session: why it is, and whether it has a volume."""

    symbol: str
    ts_open_ns: int
    kind: str
    sentence: str
    is_traded: bool

    @property
    def is_traded_in_halt(self) -> bool:
        return self.is_traded and self.kind == CauseKind.HALT


class Judged(NamedTuple):
    """Of each bar: whether it is outside the session, whether its day has one at all, and whether
    it is outside the usual hours, though a session of an old day may have been held then."""

    outside: Bools
    has_session: Bools
    unusual: Bools


class SessionJudge:
    """Tells bars of the session from others, by the same rule as the golden bars."""

    def __init__(self, calendar: SessionCalendar, phases: Sequence[PhaseName]) -> None:
        self._calendar = calendar
        self._sessions: Sessions = calendar_sessions(calendar, phases)

    def outside(self, said: Sequence[SourceBars]) -> OutsideBars:
        """What lies outside; a bar of two sources counts once."""
        found = self.bars_outside(said)
        examples = [
            f"{each.symbol} {ist(each.ts_open_ns):%Y-%m-%d %H:%M}: {each.sentence}"
            for each in found[:EXAMPLES_MAX]
        ]
        in_halt = sum(each.is_traded_in_halt for each in found)
        return OutsideBars(Counter(each.kind for each in found), examples, in_halt)

    def bars_outside(self, said: Sequence[SourceBars]) -> list[OutsideBar]:
        """Those that lie outside, one of two sources once."""
        found: dict[tuple[str, int], OutsideBar] = {}
        for bars in said:
            for row in np.flatnonzero(self.is_outside(bars)).tolist():
                instrument = bars.instruments[int(bars.bars.instrument[row])]
                key = instrument.name, int(bars.bars.ts_open_ns[row])
                is_traded = bool(bars.bars.volume[row] > 0)
                if key not in found:
                    cause = self._cause(instrument.exchange, key[1], bars.interval)
                    found[key] = OutsideBar(*key, *cause, is_traded)
                elif is_traded:
                    found[key] = found[key]._replace(is_traded=True)
        return list(found.values())

    def is_outside(self, bars: SourceBars) -> Bools:
        """Of each bar whether it is outside."""
        return self.judged(bars).outside

    def judged(self, bars: SourceBars) -> Judged:
        """A time that no calendar knows counts as inside: the store refuses it."""
        times = bars.bars.ts_open_ns
        sane = (times >= FIRST_NS) & (times < LAST_NS) & (bars.bars.instrument >= 0)
        sane &= bars.bars.instrument < len(bars.instruments)
        outside, unusual = np.zeros((2, len(times)), np.bool_)
        found = Judged(outside, np.ones(len(times), np.bool_), unusual)
        if not sane.any():
            return found
        exchanges = sorted({each.exchange for each in bars.instruments})
        own = np.array([exchanges.index(each.exchange) for each in bars.instruments], np.int64)
        local = times[sane] + _IST_NS
        keys = own[bars.bars.instrument[sane]] * _DAYS + local // _DAY_NS
        unique, inverse = np.unique(keys, return_inverse=True)
        tables = np.stack([self._table(exchanges, key) for key in unique.tolist()])
        open_days: Bools = np.any(tables != CLOSED, axis=1)
        found.has_session[sane] = open_days[inverse]
        if INTERVALS[bars.interval] == 1440:
            outside[sane] = unusual[sane] = ~open_days[inverse]
        else:
            minutes = tables[inverse, local % _DAY_NS // MINUTE_NS]
            outside[sane] = minutes == CLOSED
            unusual[sane] = (minutes == CLOSED) | (minutes >= UNVERIFIED - DAY_MINUTES)
        return found

    def _table(self, exchanges: Sequence[str], key: int) -> npt.NDArray[np.int16]:
        number, days = divmod(key, _DAYS)
        return self._sessions(exchanges[number], day_of(days * _DAY_NS - _IST_NS))

    def _cause(self, exchange: str, ts_ns: int, interval: str) -> tuple[str, str]:
        try:
            if INTERVALS[interval] == 1440:
                ts_ns += _DAY_NS // 2
            cause = self._calendar.cause(exchange, ts_ns)
        except UnknownContractError:
            cause = None
        if cause is None:
            return "outside-session", f"outside the session of {day_of(ts_ns)}"
        return str(cause.kind), cause.sentence
