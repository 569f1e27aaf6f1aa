"""Bars outside the session: kept as observations, never golden, each with its cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bars_store.bars import INTERVALS, SourceBars
from bars_store.bars.grid import CLOSED, Sessions, calendar_sessions
from bars_store.bars.quality import Bools
from contracts.errors import UnknownContractError
from contracts.sessions import PhaseName, SessionCalendar
from contracts.sessions.model import MINUTE_NS, day_of, ist

EXAMPLES_MAX: Final = 10
_DAY_NS: Final = 1440 * MINUTE_NS
_IST_NS: Final = 330 * MINUTE_NS


@dataclass
class OutsideBars:
    """Counts by cause (`contracts.sessions.CauseKind`), and a sentence for each of the first."""

    causes: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, other: OutsideBars) -> None:
        self.causes.update(other.causes)
        self.examples += other.examples[: EXAMPLES_MAX - len(self.examples)]


class SessionJudge:
    """Tells bars of the session from others, by the same rule as the golden bars."""

    def __init__(self, calendar: SessionCalendar, phases: Sequence[PhaseName]) -> None:
        self._calendar = calendar
        self._sessions: Sessions = calendar_sessions(calendar, phases)

    def outside(self, said: Sequence[SourceBars]) -> OutsideBars:
        """What lies outside; a bar of two sources counts once."""
        found: dict[tuple[str, str, int], tuple[str, str]] = {}
        for bars in said:
            for row in np.flatnonzero(self.is_outside(bars)).tolist():
                instrument = bars.instruments[int(bars.bars.instrument[row])]
                ts_ns = int(bars.bars.ts_open_ns[row])
                key = (instrument.exchange, instrument.tradingsymbol, ts_ns)
                if key not in found:
                    found[key] = self._cause(instrument.exchange, ts_ns, bars.interval)
        examples = [
            f"{exchange}:{symbol} {ist(ts_ns):%Y-%m-%d %H:%M}: {sentence}"
            for (exchange, symbol, ts_ns), (_, sentence) in list(found.items())[:EXAMPLES_MAX]
        ]
        return OutsideBars(Counter(kind for kind, _ in found.values()), examples)

    def is_outside(self, bars: SourceBars) -> Bools:
        """Of each bar whether it is outside."""
        times = bars.bars.ts_open_ns
        exchanges = sorted({each.exchange for each in bars.instruments})
        number = {name: at for at, name in enumerate(exchanges)}
        own = np.array([number[each.exchange] for each in bars.instruments] or [0], np.int64)
        days = (times + _IST_NS) // _DAY_NS
        found = np.zeros(len(times), np.bool_)
        if not len(times):
            return found
        keys = own[bars.bars.instrument] * (1 << 32) + days
        unique, inverse = np.unique(keys, return_inverse=True)
        tables = np.stack([self._table(exchanges, int(key)) for key in unique])
        if INTERVALS[bars.interval] == 1440:
            closed: Bools = ~np.any(tables, axis=1)
            found = closed[inverse]
        else:
            minute = (times + _IST_NS) % _DAY_NS // MINUTE_NS
            found = ~tables[inverse, minute]
        return found

    def _table(self, exchanges: Sequence[str], key: int) -> Bools:
        day = day_of((key & 0xFFFFFFFF) * _DAY_NS - _IST_NS)
        is_open: Bools = self._sessions(exchanges[key >> 32], day) != CLOSED
        return is_open

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
