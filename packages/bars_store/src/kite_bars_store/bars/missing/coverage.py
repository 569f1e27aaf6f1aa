"""Missing minutes over the tables: what is there, what the instrument history and the gaps know.

missing = missing_minutes(connection, ["NSE:SBIN", "NSE:TCS"], first, last, calendar)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np

from kite_bars_store.bars import BarSurvey, GapLedger, Surveyed, Verdict
from kite_bars_store.bars.columns import Columns, Int64s
from kite_bars_store.bars.missing.expected import last_day_over
from kite_bars_store.bars.missing.missing import (
    Held,
    Missing,
    Silence,
    Watched,
    days_between,
    explain,
)
from kite_bars_store.bars.records import Gap
from kite_bars_store.bars.sql import nanoseconds
from kite_bars_store.database import Connection
from kite_bars_store.instruments import Batch, InstrumentStore, Validity
from kite_bars_store.instruments.lifetime import end_of, lifetime
from kite_contracts.sessions import INDICES, SEGMENTS, SessionCalendar
from kite_contracts.sessions.model import day_of
from kite_runtime.clock import IST

FO_STOCK: Final = "fo-stock"
LOOK_BACK: Final = timedelta(31)
"""Who has had bars as late as this before a day is expected to have some on it."""
_FOREVER_NS: Final = 2**62
_PAIRED: Final = tuple(
    int(verdict)
    for verdict in Verdict
    if verdict.is_conflict
    or verdict in (Verdict.AGREED, Verdict.WITHIN_TOLERANCE, Verdict.AGREED_NO_TRADE)
)
"""Verdicts on bars that two sources have."""

Histories = dict[tuple[str, str], list[Validity]]
Seen = Callable[[date, Columns], None]


def missing_minutes(
    connection: Connection,
    symbols: Sequence[str],
    first: date,
    last: date,
    calendar: SessionCalendar,
    *,
    now: datetime | None = None,
    seen: Seen | None = None,
) -> Missing:
    """The minutes of ``[first, last]`` without a golden bar, and why; one day at a time, of days
    that are over by ``now`` (None: by the clock).

    ``symbols`` are like ``NSE:SBIN``, each once. ``seen`` gets the golden bars of each day, as
    `BarSurvey.judged` gives them, with ``instrument`` an index into ``symbols``. Raises what
    `BarSurvey` raises.
    """
    master = InstrumentStore(connection)
    keys = [_key(each) for each in symbols]
    histories = master.histories(keys)
    dumps = master.days()
    futures = master.with_futures(first, last)
    watched = [watch(key, histories.get(key, []), dumps, futures, calendar) for key in keys]
    silences = silences_of(GapLedger(connection).unhealed(), keys, histories)
    survey = BarSurvey(connection)
    position = {name: row for row, name in enumerate(symbols)}
    found = survey.instruments(_midnight(first), _midnight(last + timedelta(1)), symbols)
    rows = np.array([position[each.name] for each in found], np.int64)

    def held_of(day: date) -> Held:
        bars = _bars(survey, found, rows, day)
        if seen is not None:
            seen(day, bars)
        sources = np.where(np.isin(bars["verdict"], _PAIRED), 2, 1).astype(np.int8)
        return Held(bars["instrument"], bars["ts_open"], sources, bars["traded"] > 0)

    segments = {each.segment for each in watched}
    over = last_day_over(calendar, segments, now or datetime.now(IST))
    return explain(watched, days_between(first, last), held_of, silences, calendar, over)


def expected_on(
    connection: Connection,
    first: date,
    last: date,
    universe: Iterable[str],
    calendar: SessionCalendar,
) -> list[str]:
    """The instruments of which bars are expected on these days, by name: those of ``universe``,
    and those of which any source has minutes on these days, or in the LOOK_BACK before them where
    they had not ended by then. Raises what `BarSurvey` raises."""
    survey, since = BarSurvey(connection), _midnight(first)
    until = _midnight(last + timedelta(1))
    now = {each.name for each in survey.instruments(since, until, observed=True)} | {*universe}
    before = survey.instruments(since - LOOK_BACK, since, observed=True)
    histories = InstrumentStore(connection).histories([_key(each.name) for each in before])
    known = [watch(key, history, (), (), calendar) for key, history in histories.items()]
    ended = {each.name for each in known if each.listed_until and each.listed_until <= first}
    return sorted(now | {each.name for each in before} - ended)


def watch(
    key: tuple[str, str],
    history: Sequence[Validity],
    dumps: Sequence[Batch],
    futures: Iterable[str],
    calendar: SessionCalendar,
) -> Watched:
    """What is expected of an instrument, on the days of its `Lifetime`. Pure."""
    exchange, symbol = key
    name = f"{exchange}:{symbol}"
    segment = INDICES if history and history[-1].segment == INDICES else exchange
    stock_class = None
    if segment in SEGMENTS and FO_STOCK in calendar.classes(segment) and symbol in futures:
        stock_class = FO_STOCK
    if not history:
        return Watched(name, segment, stock_class)
    life = lifetime(history, dumps)
    return Watched(name, segment, stock_class, life.since, life.until)


def silences_of(
    gaps: Iterable[Gap], keys: Sequence[tuple[str, str]], histories: Histories
) -> list[Silence]:
    """The gaps, with the instruments that their tokens named on that day. Pure."""
    by_token: dict[int, list[tuple[int, Validity]]] = {}
    for row, key in enumerate(keys):
        for each in histories.get(key, []):
            by_token.setdefault(each.instrument_token, []).append((row, each))
    found = []
    for gap in gaps:
        since_ns = nanoseconds(gap.from_ts)
        until_ns = _FOREVER_NS if gap.to_ts is None else nanoseconds(gap.to_ts)
        if not gap.tokens:
            found.append(Silence(since_ns, until_ns))
            continue
        day = day_of(since_ns)
        named = frozenset(
            row
            for token in gap.tokens
            for row, each in by_token.get(token, [])
            if (end := end_of(each)) is None or day < end
        )
        if named:
            found.append(Silence(since_ns, until_ns, named))
    return found


def _bars(survey: BarSurvey, found: Sequence[Surveyed], rows: Int64s, day: date) -> Columns:
    bars = survey.judged(found, _midnight(day), _midnight(day + timedelta(1)))
    if len(rows):
        bars["instrument"] = rows[bars["instrument"]]
    return bars


def _key(symbol: str) -> tuple[str, str]:
    exchange, _, tradingsymbol = symbol.partition(":")
    return exchange, tradingsymbol


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=IST)
