"""What `verify` finds: repeats, and holes with and without a reason."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from archive_stage import SESSION, fill, fill_records, ticks, without

from kite_kafka_io.testing import NOW_NS
from kite_lake.catalog import Lake
from kite_lake.errors import NothingArchived
from kite_lake.ledger import DayLedger, verify
from kite_lake.tables import DEAD_LETTERS, FEED_EVENTS

DAY = date(2026, 11, 18)
MS = 1_000_000


def _gap(kind: str, from_ns: int, to_ns: int | None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "ts_ns": to_ns or from_ns, "from_ns": from_ns, "to_ns": to_ns, **more}


def _holes(ledger: DayLedger) -> list[tuple[int, int]]:
    return [(hole.first, hole.last) for each in ledger.sessions for hole in each.missing]


def test_a_complete_day(lake: Lake) -> None:
    fill(lake, ticks(1_000))
    ledger = verify(lake, DAY)
    assert ledger.is_complete
    (session,) = ledger.sessions
    assert (session.first, session.last, session.rows, session.shard) == (
        0,
        999,
        1_000,
        SESSION & 15,
    )


def test_a_hole_without_a_reason_is_missing(lake: Lake) -> None:
    fill(lake, without(ticks(1_000), 0, 500, 501, 700))
    ledger = verify(lake, DAY)
    assert not ledger.is_complete
    assert _holes(ledger) == [(0, 0), (500, 501), (700, 700)]
    hole = ledger.sessions[0].missing[1]
    assert (hole.before_ns, hole.after_ns) == (NOW_NS + 499 * MS, NOW_NS + 502 * MS)


def test_a_repeat_is_found(lake: Lake) -> None:
    fill(lake, ticks(1_000))
    fill(lake, ticks(3, first_seq=10))
    ledger = verify(lake, DAY)
    assert not ledger.is_complete
    assert ledger.sessions[0].repeats == 3


def test_dead_letters_explain_their_own_numbers_alone(lake: Lake) -> None:
    fill(lake, without(ticks(1_000), 500, 501, 502))
    fill_records(lake, DEAD_LETTERS, {"feed_session": SESSION, "feed_seq": 501})
    ledger = verify(lake, DAY)
    assert ledger.sessions[0].dead_letters == 1
    assert _holes(ledger) == [(500, 500), (502, 502)]


@pytest.mark.parametrize("kind", ["GAP_CLOSED", "LOSS"])
def test_a_gap_of_the_shard_explains_what_lies_in_it(lake: Lake, kind: str) -> None:
    fill(lake, without(ticks(1_000), 300, 500, 501))
    around = _gap(kind, NOW_NS + 450 * MS, NOW_NS + 550 * MS, shard=SESSION & 15)
    other = _gap(kind, NOW_NS, NOW_NS + 1_000 * MS, shard=(SESSION & 15) + 1)
    fill_records(lake, FEED_EVENTS, around, other)
    ledger = verify(lake, DAY)
    assert ledger.sessions[0].in_gaps == 2
    assert _holes(ledger) == [(300, 300)]


def test_a_gap_that_is_open_still_explains_what_follows(lake: Lake) -> None:
    fill(lake, without(ticks(1_000), 300, 900))
    fill_records(lake, FEED_EVENTS, _gap("GAP_OPENED", NOW_NS + 800 * MS, None, shard=SESSION & 15))
    assert _holes(verify(lake, DAY)) == [(300, 300)]


def test_a_session_goes_on_over_midnight(lake: Lake) -> None:
    night_ns = NOW_NS + 86_400 * 10**9
    fill(lake, ticks(1_000))
    fill(lake, ticks(100, first_seq=1_000, start_ns=night_ns))
    assert verify(lake, DAY + timedelta(days=1)).is_complete
    fill(lake, ticks(100, first_seq=1_105, start_ns=night_ns + 86_400 * 10**9))
    assert _holes(verify(lake, DAY + timedelta(days=2))) == [(1_100, 1_104)]


def test_a_day_without_ticks(lake: Lake) -> None:
    with pytest.raises(NothingArchived, match="no tick of 2026-11-18"):
        verify(lake, DAY)
    fill(lake, ticks(10))
    with pytest.raises(NothingArchived, match="no tick of 2026-11-19"):
        verify(lake, DAY + timedelta(days=1))
