"""What needs attention in the bars of a span, each with instrument, day and minute.

kinds   the flags and verdicts of golden bars, why minutes are missing, and what looks wrong in what
        the sources have: bars outside the session, trades in a halt, doubtful prices
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np

from kite_bars_store.bars import INTERVALS, BarSurvey, SourceBars
from kite_bars_store.bars.anomalies import Anomalies, AnomalyKind
from kite_bars_store.bars.columns import Columns, Int64s, run_starts
from kite_bars_store.bars.explain import CAUSES, FLAGS, MEANINGS
from kite_bars_store.bars.missing.coverage import missing_minutes
from kite_bars_store.bars.missing.missing import UNEXPLAINED, Cause, Missing
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.records import Flag, Verdict
from kite_bars_store.stores import Days, Stores
from kite_contracts.sessions.model import MINUTE_NS, ist

OUTSIDE: Final = "OUTSIDE"
TRADED_IN_HALT: Final = "TRADED_IN_HALT"
_CAUSES: Final = (*UNEXPLAINED, Cause.OUTAGE, Cause.NO_TRADE)
_OBSERVED: Final = {
    TRADED_IN_HALT: "a bar with a volume within a halt of the calendar: one of the two is wrong",
    str(AnomalyKind.SAME_PRICES): "two instruments have the very same prices all day",
    str(AnomalyKind.OTHER_LEVEL): "prices far from the other source's: adjusted, or another's",
    OUTSIDE: "a bar outside the session: kept as an observation, never golden",
}
KINDS: Final = {
    **{str(flag.name): FLAGS[flag] for flag in Flag},
    **{verdict.name: MEANINGS[verdict] for verdict in reversed(Verdict)},
    **{str(cause): CAUSES[cause] for cause in _CAUSES},
    **_OBSERVED,
}
"""Every kind, and what it means."""
USUAL: Final = frozenset(
    {
        *(str(Flag.FLAT.name), str(Cause.NO_TRADE), OUTSIDE),
        *(verdict.name for verdict in Verdict if not verdict.is_conflict),
    }
)
"""Kinds that are listed on demand alone: there are some every day."""
NOTABLE: Final = frozenset(KINDS) - USUAL
"""The others."""
_ORDER: Final = {kind: at for at, kind in enumerate(KINDS)}
_IST_NS: Final = 330 * MINUTE_NS


@dataclass(frozen=True)
class Finding:
    """``bars`` of one kind and interval that follow one another, there or missing; ``detail`` is a
    sentence where the kind alone does not show what is in doubt."""

    kind: str
    symbol: str
    interval: str
    since: datetime
    bars: int
    detail: str = ""


@dataclass(frozen=True)
class Group:
    """All findings of one kind and interval of one instrument; both days are included."""

    kind: str
    symbol: str
    interval: str
    bars: int
    first: date
    last: date


@dataclass(frozen=True)
class Found:
    """``findings`` are sorted by kind, symbol and time; ``missing`` is of minutes, else None."""

    findings: list[Finding]
    missing: Missing | None


def find(
    stores: Stores,
    symbols: Sequence[str],
    days: Days,
    kinds: Collection[str] = NOTABLE,
    interval: str = "m1",
    *,
    judged: Callable[[date, Columns], None] = lambda day, bars: None,
    observed: Callable[[Sequence[SourceBars]], None] | None = None,
    progress: Callable[[str], None] = lambda doing: None,
) -> Found:
    """Those of these kinds. ``symbols`` are like ``NSE:SBIN``, each once, with or without bars.

    ``judged`` gets the golden minutes of each day, with indices into ``symbols``; ``observed`` what
    the sources have, also of other instruments. Raises what `BarSurvey` raises.
    """
    survey = BarSurvey(stores.connection, interval)
    found: list[Finding] = []
    missing = None
    if interval == "m1":

        def seen(day: date, bars: Columns) -> None:
            progress(str(day))
            found.extend(_marked(symbols, interval, bars, kinds))
            judged(day, bars)

        span = days.first, days.last
        missing = missing_minutes(stores.connection, symbols, *span, stores.calendar, seen=seen)
        if causes := [cause for cause in _CAUSES if str(cause) in kinds]:
            found += (
                Finding(str(hole.cause), hole.symbol, interval, hole.since, hole.minutes)
                for hole in missing.holes(*causes)
            )
    else:
        there = survey.instruments(days.since, days.until, symbols)
        bars = survey.judged(there, days.since, days.until)
        found.extend(_marked([each.name for each in there], interval, bars, kinds))
    if observed is not None or not _OBSERVED.keys().isdisjoint(kinds):
        found += _in_observations(
            survey, stores, symbols, days, kinds, interval, observed, progress
        )
    found.sort(key=lambda each: (_ORDER[each.kind], each.symbol, each.since))
    return Found(found, missing)


def grouped(found: Iterable[Finding]) -> list[Group]:
    """By kind, in their order, then by interval and instrument, those with most bars first."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for each in found:
        groups.setdefault((each.kind, each.symbol, each.interval), []).append(each)
    summed = [
        Group(
            *(*key, sum(each.bars for each in own)),
            *(own[0].since.date(), max(_last(each) for each in own)),
        )
        for key, own in groups.items()
    ]
    return sorted(
        summed, key=lambda each: (_ORDER[each.kind], each.interval, -each.bars, each.symbol)
    )


def _last(each: Finding) -> date:
    """Runs of minutes lie within a day, those of days do not."""
    more = each.bars - 1 if each.interval == "d1" else 0
    return date.fromordinal(each.since.toordinal() + more)


def _in_observations(
    survey: BarSurvey,
    stores: Stores,
    symbols: Sequence[str],
    days: Days,
    kinds: Collection[str],
    interval: str,
    observed: Callable[[Sequence[SourceBars]], None] | None,
    progress: Callable[[str], None],
) -> Iterator[Finding]:
    """What a run reports of the bars it reads, by the same rules. That two instruments have the
    same prices shows only where all are read."""
    anomalies, judge = Anomalies(), SessionJudge(stores.calendar, stores.rules.phases)
    asked = frozenset(symbols)
    chosen = None if AnomalyKind.SAME_PRICES in kinds else symbols
    there = survey.instruments(days.since, days.until, chosen, observed=True)
    for said in survey.observed(there, days.since, days.until, stores.rules):
        progress("observations")
        if observed is not None:
            observed(said)
        anomalies.look(said)
        if OUTSIDE in kinds or TRADED_IN_HALT in kinds:
            for each in judge.bars_outside(said):
                kind = TRADED_IN_HALT if each.is_traded_in_halt else OUTSIDE
                if kind in kinds and each.symbol in asked:
                    since = ist(each.ts_open_ns)
                    yield Finding(kind, each.symbol, interval, since, 1, each.sentence)
    for one in anomalies.found:
        for symbol in asked.intersection(one.symbols if str(one.kind) in kinds else ()):
            place = np.zeros(len(one.ts_open_ns), np.int64)
            yield from _runs(str(one.kind), [symbol], interval, place, one.ts_open_ns, one.sentence)


def _marked(
    symbols: Sequence[str], interval: str, bars: Columns, kinds: Collection[str]
) -> Iterator[Finding]:
    marks = {str(flag.name): bars["flags"] & int(flag) != 0 for flag in Flag}
    marks |= {verdict.name: bars["verdict"] == int(verdict) for verdict in Verdict}
    for kind, mark in marks.items():
        if kind in kinds and mark.any():
            rows = np.flatnonzero(mark)
            yield from _runs(
                kind, symbols, interval, bars["instrument"][rows], bars["ts_open"][rows]
            )


def _runs(
    kind: str,
    symbols: Sequence[str],
    interval: str,
    instrument: Int64s,
    ts_open_ns: Int64s,
    detail: str = "",
) -> Iterator[Finding]:
    """Neighbouring bars of an instrument are one; minutes of two days never are."""
    if not len(instrument):
        return
    order = np.lexsort((ts_open_ns, instrument))
    instrument, opens = instrument[order], ts_open_ns[order]
    place = (opens + _IST_NS) // (INTERVALS[interval] * MINUTE_NS)
    # A number that is the same for bars that follow one another, and no others.
    starts = run_starts(instrument * (1 << 40) + place - np.arange(len(place)))
    ends = np.append(starts[1:], len(place))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        since, symbol = ist(int(opens[start])), symbols[int(instrument[start])]
        yield Finding(kind, symbol, interval, since, end - start, detail)
