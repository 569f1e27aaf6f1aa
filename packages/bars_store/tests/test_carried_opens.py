"""Opens that are the source's own previous close: by instrument and source, by one rule."""

from __future__ import annotations

import pytest
from bar_samples import TCS, Bar, at, calendar, rising, rules, source, when

from kite_bars_store.bars import BarColumns, BarInstrument, BarStore, BarSurvey, SourceBars
from kite_bars_store.bars.carried_opens import CarriedOpens, is_carried
from kite_bars_store.bars.comparing import compare
from kite_bars_store.database import Connection
from kite_contracts.sessions.model import MINUTE_NS

SETTING = '`[field] open = ["vendor", "live", "kite"]` in merge.toml takes the other\'s'


def thin(count: int, carried: int) -> tuple[dict[int, Bar], dict[int, Bar]]:
    """Bars each third minute: the vendor's as they are, and Kite's, the first ``carried`` opens of
    which are the close of Kite's bar before, the others off by some ticks."""
    vendor: dict[int, Bar] = {
        3 * m: (bar[0], bar[0] + 90, bar[0] - 90, bar[0], 9) for m, bar in rising(count + 1).items()
    }
    kite = dict(vendor)
    for number in range(1, count + 1):
        before, (_, high, low, close, volume) = vendor[3 * number - 3], vendor[3 * number]
        opened = before[3] if number <= carried else before[3] + 15
        kite[3 * number] = (opened, high, low, close, volume)
    return kite, vendor


def counted(*windows: list[SourceBars]) -> CarriedOpens:
    found = CarriedOpens()
    for said in windows:
        found.look(said)
    return found


def test_the_previous_close_is_that_of_the_bar_before_on_the_day() -> None:
    rows = [
        (0, at(3), 20, 20, 20, 20, 1),  # not in order; opens at the close of 09:15
        (0, at(0), 10, 30, 10, 20, 1),  # the first one
        (0, at(4), 25, 30, 20, 30, 1),
        (1, at(5), 30, 30, 30, 30, 1),  # another instrument's
        (0, at(0) + 1440 * MINUTE_NS, 30, 30, 30, 30, 1),  # of the next day
    ]
    assert is_carried(BarColumns.of(rows)).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("count", "carried", "usual"),
    [(20, 20, True), (19, 19, False), (50, 40, True), (50, 39, False), (30, 0, False)],
)
def test_a_thin_stock_is_judged_by_its_own_opens(count: int, carried: int, usual: bool) -> None:
    """Among those of a liquid one, which differ as often and are no previous close."""
    kite, vendor = thin(count, carried)
    liquid = [{m: (bar[0] + more, *bar[1:]) for m, bar in rising(375).items()} for more in (1, 2)]
    one = [source("kite", kite, TCS), source("vendor", vendor, TCS)]
    other = [source(name, bars) for name, bars in zip(("kite", "vendor"), liquid, strict=True)]
    found = counted(one, other)
    own = found.of("NSE:TCS", "kite")
    assert (own.differ, own.carried) == (count, carried)
    assert found.of("NSE:SBIN", "kite").differ == 375
    sentence = f"NSE:TCS: {carried} of {count} opens that differ are kite's own previous close"
    assert list(found.sentences(rules().sources)) == ([f"{sentence}: {SETTING}"] if usual else [])
    # reconcile counts it by the same rule, and over several windows.
    for each in (one, other):
        total = compare(each, rules(), calendar())
        told = [(each.symbol, each.source) for each in total.opens.usual()]
        assert told == ([("NSE:TCS", "kite")] if usual and each is one else [])


def test_instruments_of_one_source_share_a_sentence() -> None:
    kite, vendor = thin(30, 30)
    names = [BarInstrument("NSE", f"S{number}") for number in range(7)]
    found = counted(*([source("kite", kite, n), source("vendor", vendor, n)] for n in names))
    (sentence,) = found.sentences(rules().sources)
    assert sentence == (
        "NSE:S0, NSE:S1, NSE:S2, NSE:S3, NSE:S4 and 2 more: 210 of 210 opens that differ are "
        f"kite's own previous close: {SETTING}"
    )
    assert list(CarriedOpens(["NSE:X"]).sentences(rules().sources)) == []


def test_prices_of_several_scales_and_one_source_alone() -> None:
    kite, vendor = thin(30, 30)
    finer = BarInstrument("NSE", "TCS", 4, 5)
    scaled = {m: (*(100 * price for price in bar[:4]), bar[4]) for m, bar in vendor.items()}
    found = counted([source("kite", kite, TCS), source("vendor", scaled, finer)])
    assert found.of("NSE:TCS", "kite").carried == 30
    assert found.of("NSE:TCS", "vendor").differ == 30
    assert counted([source("kite", kite, TCS)], []).usual() == []


def test_what_was_replaced_does_not_count(connection: Connection) -> None:
    """The report reads the same from the tables, of each bar the last observation alone."""
    kite, vendor = thin(30, 30)
    store, survey = BarStore(connection, rules(), calendar()), BarSurvey(connection)

    def usual() -> list[tuple[str, int]]:
        opens, span = CarriedOpens(), (when(-555), when(885))
        for said in survey.observed(survey.instruments(*span, observed=True), *span, rules()):
            opens.look(said)
        return [(each.symbol, each.carried) for each in opens.usual()]

    store.merge([source("kite", kite, TCS), source("vendor", vendor, TCS)])
    assert usual() == [("NSE:TCS", 30)]
    store.merge([source("kite", {3: vendor[3]}, TCS)])
    assert usual() == [("NSE:TCS", 29)]
    store.merge([source("kite", vendor, TCS)])
    assert usual() == []
