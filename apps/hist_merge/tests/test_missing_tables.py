"""What the instrument history and the gaps of the feed add to missing minutes."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from merged_bars import DAY, MANDM, bar_store, merge_the_usual, quiet_calendar, rising, said, when

from kite_bars_store.bars import Gap, GapLedger
from kite_bars_store.bars.missing.coverage import missing_minutes, silences_of, watch
from kite_bars_store.bars.missing.missing import Cause, Silence
from kite_bars_store.instruments import Validity
from kite_runtime.testing import Place

JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)


def validity(since: date, until: date | None, token: int = 7, segment: str = "NFO-FUT") -> Validity:
    return Validity(
        *("NFO", "SBIN26JUNFUT", token, 1, "SBIN", None, None, 2, 5, 1, "FUT", segment),
        *(since, until, 1),
    )


def gap(first: datetime, last: datetime | None, tokens: tuple[int, ...] = ()) -> Gap:
    state = "opened" if last is None else "closed"
    return Gap(f"{first}", state, "kite", 0, tokens, first, last, "", first)


KEY = ("NFO", "SBIN26JUNFUT")


def test_segments_and_classes() -> None:
    index = watch(
        ("NSE", "NIFTY 50"), [validity(JUNE, None, 1, "INDICES")], [], [], quiet_calendar()
    )
    assert index.segment == "INDICES"
    stock = watch(("NSE", "SBIN"), [], [], {"SBIN"}, quiet_calendar())
    assert stock.stock_class == "fo-stock"
    assert watch(("NSE", "VSTIND"), [], [], {"SBIN"}, quiet_calendar()).stock_class is None
    assert watch(KEY, [], [], {"SBIN26JUNFUT"}, quiet_calendar()).stock_class is None


def test_a_gap_concerns_whom_its_tokens_named_on_that_day() -> None:
    keys = [KEY, ("NSE", "SBIN")]
    histories = {KEY: [validity(JUNE, JULY)], keys[1]: [validity(JULY, None)]}
    first, last = when(5), when(9)
    span = int(first.timestamp()) * 10**9, int(last.timestamp()) * 10**9
    assert silences_of([gap(first, last)], keys, histories) == [Silence(*span)]
    named = silences_of([gap(first, last, (7, 8))], keys, histories)
    assert named == [Silence(*span, frozenset({0, 1}))]
    july = when(5, JULY)
    (later,) = silences_of([gap(july, None, (7,))], keys, histories)
    assert later.instruments == frozenset({1})
    assert later.until_ns > span[1]
    assert silences_of([gap(first, last, (8,))], keys, histories) == []


def test_over_the_tables(place: Place) -> None:
    with bar_store(place.env["POSTGRES_DSN"]) as (store, connection):
        merge_the_usual(store)
        store.merge([said("kite", rising(375), MANDM)])
        GapLedger(connection).record(gap(when(100), when(110)))
        symbols = ["NSE:M&M", "NSE:NOBODY", "NSE:SBIN"]
        missing = missing_minutes(connection, symbols, DAY, DAY + timedelta(1), quiet_calendar())
    assert missing.by_symbol() == {
        "NSE:M&M": {Cause.NO_BARS: 375},
        "NSE:NOBODY": {Cause.OUTAGE: 10, Cause.NO_BARS: 740},
        "NSE:SBIN": {Cause.OUTAGE: 10, Cause.UNEXPLAINED: 5 + 305, Cause.NO_BARS: 375},
    }
