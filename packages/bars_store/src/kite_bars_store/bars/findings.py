"""What needs attention in the golden minutes of a span, each with instrument, day and minute.

kinds   the flags of golden bars, the verdicts of conflicts, and why minutes are missing
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np

from kite_bars_store.bars.columns import Columns, Int64s, run_starts
from kite_bars_store.bars.explain import FLAGS, MEANINGS
from kite_bars_store.bars.missing.coverage import missing_minutes
from kite_bars_store.bars.missing.missing import Cause
from kite_bars_store.bars.records import Flag, Verdict
from kite_bars_store.database import Connection
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS, ist

_CONFLICTS: Final = tuple(verdict for verdict in Verdict if verdict.is_conflict)
_CAUSES: Final = {
    Cause.UNEXPLAINED: "a minute of the session without a bar, for no reason that is known",
    Cause.OUTAGE: "a minute without a bar in a gap of the feed that was not healed",
    Cause.NO_TRADE: "a minute without a bar in which probably nothing was traded",
}
KINDS: Final = {
    **{str(flag.name): FLAGS[flag] for flag in Flag},
    **{verdict.name: MEANINGS[verdict] for verdict in _CONFLICTS},
    **{str(cause): text for cause, text in _CAUSES.items()},
}
"""Every kind, and what it means."""
USUAL: Final = frozenset({str(Flag.FLAT.name), str(Cause.NO_TRADE)})
"""Kinds that are listed on demand alone: thin instruments have them every day."""


@dataclass(frozen=True)
class Finding:
    """``minutes`` golden bars, or missing ones, of one kind that follow one another."""

    kind: str
    symbol: str
    since: datetime
    minutes: int


@dataclass(frozen=True)
class Group:
    """All findings of one kind of one instrument; both days are included."""

    kind: str
    symbol: str
    minutes: int
    first: date
    last: date


def find(
    connection: Connection,
    symbols: Sequence[str],
    first: date,
    last: date,
    calendar: SessionCalendar,
    kinds: Collection[str],
    *,
    progress: Callable[[date], None] = lambda day: None,
) -> list[Finding]:
    """Those of these kinds in ``[first, last]``, by kind, symbol and time. ``symbols`` are like
    ``NSE:SBIN``, each once, with or without bars. Raises what `BarSurvey` raises."""
    found: list[Finding] = []

    def seen(day: date, bars: Columns) -> None:
        progress(day)
        for kind, rows in _marked(bars, kinds):
            found.extend(_runs(kind, symbols, bars["instrument"][rows], bars["ts_open"][rows]))

    missing = missing_minutes(connection, symbols, first, last, calendar, seen=seen)
    causes = [cause for cause in _CAUSES if str(cause) in kinds]
    if causes:
        found += [
            Finding(str(hole.cause), hole.symbol, hole.since, hole.minutes)
            for hole in missing.holes(*causes)
        ]
    order = {kind: at for at, kind in enumerate(KINDS)}
    return sorted(found, key=lambda each: (order[each.kind], each.symbol, each.since))


def grouped(found: Iterable[Finding]) -> list[Group]:
    """By kind and instrument, in their order."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        groups.setdefault((each.kind, each.symbol), []).append(each)
    return [
        Group(
            *(kind, symbol, sum(each.minutes for each in own)),
            *(own[0].since.date(), own[-1].since.date()),
        )
        for (kind, symbol), own in groups.items()
    ]


def _marked(bars: Columns, kinds: Collection[str]) -> Iterator[tuple[str, Int64s]]:
    for flag in Flag:
        if str(flag.name) in kinds:
            yield str(flag.name), np.flatnonzero(bars["flags"] & int(flag))
    for verdict in _CONFLICTS:
        if verdict.name in kinds:
            yield verdict.name, np.flatnonzero(bars["verdict"] == int(verdict))


def _runs(
    kind: str, symbols: Sequence[str], instrument: Int64s, ts_open_ns: Int64s
) -> Iterator[Finding]:
    """Neighbouring minutes of an instrument are one."""
    if not len(instrument):
        return
    order = np.lexsort((ts_open_ns, instrument))
    instrument, minute = instrument[order], ts_open_ns[order] // MINUTE_NS
    # A number that is the same for minutes that follow one another, and no others.
    starts = run_starts(instrument * (1 << 40) + minute - np.arange(len(minute)))
    ends = np.append(starts[1:], len(minute))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        since = ist(int(minute[start]) * MINUTE_NS)
        yield Finding(kind, symbols[int(instrument[start])], since, end - start)
