"""The report's counts out of the tables, a day at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import numpy as np

from kite_bars_store.bars import BarSurvey, Flag, Verdict
from kite_bars_store.bars.carried_opens import CarriedOpens
from kite_bars_store.bars.columns import Columns
from kite_bars_store.bars.findings import find, grouped
from kite_bars_store.bars.missing.missing import days_between
from kite_bars_store.report import PRICE_EDGES, VOLUME_EDGES, Report
from kite_bars_store.stores import Days, Stores
from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import SessionCalendar

LARGEST: Final = 20


def gather(
    stores: Stores, symbols: Sequence[str], days: Days, progress: Callable[[str], None]
) -> Report:
    """The report on the symbols, each once; ``progress`` is called with each step."""
    count = _Count(len(symbols), days)
    opens = CarriedOpens(symbols)
    looked = find(
        *(stores, symbols, days), judged=count.add, observed=opens.look, progress=progress
    )
    assert looked.missing is not None  # as of minutes
    survey = BarSurvey(stores.connection)
    found = survey.instruments(days.since, days.until, symbols)
    span = days.since, days.until
    place = {name: row for row, name in enumerate(symbols)}
    largest = [
        replace(each, instrument=place[found[each.instrument].name])
        for each in survey.largest_conflicts(found, *span, LARGEST)
    ]
    return Report(
        missing=looked.missing,
        bars=count.bars,
        conflicts=count.conflicts,
        verdicts=count.verdicts,
        flags=count.flags,
        sizes=survey.conflict_sizes(found, *span, PRICE_EDGES, VOLUME_EDGES),
        largest=largest,
        findings=grouped(looked.findings),
        opens=opens,
        revisions=[
            each
            for each in stores.bars.revisions()
            if f"{each.exchange}:{each.tradingsymbol}" in place
            and each.minutes == 1
            and each.first_open < days.until
            and each.last_open >= days.since
        ],
        closed=closed_days(stores.calendar, symbols, days),
        rules=stores.rules,
    )


def closed_days(calendar: SessionCalendar, symbols: Sequence[str], days: Days) -> dict[date, str]:
    """Why on some weekdays no exchange of these symbols trades."""
    exchanges = sorted({symbol.partition(":")[0] for symbol in symbols})
    found = {}
    for day in days_between(days.first, days.last):
        try:
            sessions = [calendar.day(exchange, day) for exchange in exchanges]
        except UnknownContractError:
            continue
        if not any(each.is_trading for each in sessions):
            found[day] = sessions[0].reason
    return found


class _Count:
    """Adds golden bars up, day by day."""

    def __init__(self, instruments: int, days: Days) -> None:
        self._first = days.first
        shape = instruments, (days.last - days.first).days + 1
        self.bars = np.zeros(shape, np.int64)
        self.conflicts = np.zeros(shape, np.int64)
        self.verdicts: Counter[Verdict] = Counter()
        self.flags: Counter[Flag] = Counter()

    def add(self, day: date, bars: Columns) -> None:
        number = (day - self._first).days
        size = len(self.bars)
        won = np.isin(bars["verdict"], [int(each) for each in Verdict if each.is_conflict])
        self.bars[:, number] = np.bincount(bars["instrument"], minlength=size)
        self.conflicts[:, number] = np.bincount(bars["instrument"][won], minlength=size)
        for code, count in zip(*np.unique(bars["verdict"], return_counts=True), strict=True):
            self.verdicts[Verdict(int(code))] += int(count)
        for flag in Flag:
            self.flags[flag] += int((bars["flags"] & int(flag) != 0).sum())
