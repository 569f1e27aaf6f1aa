"""On which days an instrument is listed: one rule for bars that are taken and minutes missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from kite_bars_store.bars.missing.coverage import watch
from kite_bars_store.instruments import Batch, Validity
from kite_bars_store.instruments.lifetime import holds, lifetime
from kite_contracts.sessions import SessionCalendar

JUNE, JULY, AUGUST = date(2026, 6, 1), date(2026, 7, 1), date(2026, 8, 3)
EXPIRY = date(2026, 8, 25)
AFTER = date(2026, 8, 26)


def dump(day: date, *exchanges: str) -> Batch:
    when = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Batch(1, "kite", exchanges, day, when, b"", None, 0, 0, 0, 0, 0, 0, 0, {})


def known(
    since: date, until: date | None, expiry: date | None = EXPIRY, exchange: str = "NFO"
) -> Validity:
    terms = None, 2, 5, 75, "FUT", "NFO-FUT"
    return Validity(exchange, "X", 256, 1, "X", expiry, *terms, since, until, 1)


@pytest.mark.parametrize(
    ("ranges", "dumps", "since", "until"),
    [
        ([known(JULY, None)], [], None, AFTER),
        ([known(JULY, None)], [dump(JULY, "NFO")], None, AFTER),
        ([known(JULY, None)], [dump(JUNE, "NFO"), dump(JULY, "NFO")], date(2026, 6, 2), AFTER),
        ([known(JULY, None)], [dump(JUNE, "NSE"), dump(JULY, "NFO")], None, AFTER),
        ([known(AUGUST, None)], [dump(JUNE, "NFO"), dump(JULY, "NFO")], date(2026, 7, 2), AFTER),
        ([known(JULY, AUGUST)], [dump(AUGUST, "NFO")], None, AUGUST),  # gone before its expiry
        ([known(AUGUST, None), known(JUNE, JULY)], [], None, AFTER),  # in any order
        ([known(JULY, None, None)], [dump(JUNE, "NFO")], date(2026, 6, 2), None),
        ([known(JULY, AUGUST, None)], [], None, AUGUST),
    ],
)
def test_a_lifetime_begins_after_the_last_dump_without_it(
    calendar: SessionCalendar,
    ranges: Sequence[Validity],
    dumps: Sequence[Batch],
    since: date | None,
    until: date | None,
) -> None:
    found = lifetime(ranges, dumps)
    assert (found.since, found.until) == (since, until)
    assert found.is_contract is (ranges[0].expiry is not None)
    watched = watch(("NFO", "X"), ranges, dumps, [], calendar)
    assert (watched.listed_from, watched.listed_until) == (since, until)


def test_without_a_history_nothing_is_unlisted(calendar: SessionCalendar) -> None:
    found = watch(("NFO", "X"), [], [dump(JUNE, "NFO")], [], calendar)
    assert (found.listed_from, found.listed_until) == (None, None)


def test_how_it_ended() -> None:
    assert lifetime([known(JULY, AFTER)], []).ended == "expired on 2026-08-25"
    assert lifetime([known(JULY, AUGUST)], []).ended == "is no longer listed since 2026-08-03"


@pytest.mark.parametrize(
    ("day", "held"), [(JUNE, False), (JULY, True), (EXPIRY, True), (AFTER, False)]
)
def test_the_master_of_the_day_has_it(day: date, held: bool) -> None:
    assert holds(known(JULY, None), day) is held
