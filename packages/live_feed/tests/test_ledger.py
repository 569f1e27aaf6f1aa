"""The ledger balances for one combination of counts only, and names every line that differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_live_feed.proof import Ledger, ReadBack

SESSION, FRAMES, TICKS = 16, 4, 8
REASONS = Counter({"DECODE_TRUNCATED": 1, "SEMANTIC_RANGE": 1})
EVENTS = Counter({"CONNECTED": 1, "GAP_OPENED": 2})
COUNTS = [each.name for each in fields(Ledger) if each.type == "int"]
PACKETS = [name for name in COUNTS if "frames" not in name and "lost" not in name]


def read_back() -> ReadBack:
    """Eight ticks, two dead letters, three events: all that the session numbered."""
    back = ReadBack({SESSION: TICKS + 2})
    seqs = np.arange(TICKS)
    back.add_ticks(np.full(TICKS, 7), np.full(TICKS, SESSION), seqs)
    for seq, reason in enumerate(REASONS, start=TICKS):
        back.add_dead_letter(SESSION, seq, reason)
    back.events.update(EVENTS)
    return back


def balanced_ledger(back: ReadBack | None = None) -> Ledger:
    return Ledger(
        sent_frames=FRAMES,
        sent_packets=TICKS + 2,
        journaled_frames=FRAMES,
        journaled_packets=TICKS + 2,
        decoded_packets=TICKS + 2,
        published=TICKS,
        dead_lettered=2,
        read_back=back or read_back(),
        expected_reasons=Counter(REASONS),
        expected_events=Counter(EVENTS),
    )


def test_it_balances_when_all_books_agree() -> None:
    ledger = balanced_ledger()
    assert ledger.problems() == []
    assert ledger.balanced
    assert dict(ledger.lines())["read back: ticks"] == TICKS


@given(st.sampled_from(COUNTS), st.integers(-3, 3).filter(bool))
def test_any_count_that_is_off_unbalances_it(name: str, by: int) -> None:
    ledger = balanced_ledger()
    wrong = replace(ledger, **{name: getattr(ledger, name) + by})
    assert not wrong.balanced
    assert wrong.problems()


def test_every_count_was_tried() -> None:
    assert len(COUNTS) == 8


@given(st.dictionaries(st.sampled_from(PACKETS), st.integers(-1, 1), min_size=1))
def test_errors_do_not_make_up_for_each_other(off: dict[str, int]) -> None:
    """All counts one higher agree with each other, and still not with what was read back."""
    ledger = balanced_ledger()
    changes: dict[str, Any] = {name: getattr(ledger, name) + by for name, by in off.items()}
    wrong = replace(ledger, **changes)
    assert wrong.balanced == (not any(off.values()))


def without_a_tick(back: ReadBack) -> ReadBack:
    short = ReadBack(dict(back.sessions))
    short.add_ticks(np.full(TICKS - 1, 7), np.full(TICKS - 1, SESSION), np.arange(1, TICKS))
    for seq, reason in enumerate(REASONS, start=TICKS):
        short.add_dead_letter(SESSION, seq, reason)
    short.events.update(EVENTS)
    return short


def with_a_repeat(back: ReadBack) -> ReadBack:
    back.add_ticks(np.array([7]), np.array([SESSION]), np.array([TICKS - 1]))
    return back


def out_of_order(back: ReadBack) -> ReadBack:
    back.reordered += 1
    return back


def beyond_the_end(back: ReadBack) -> ReadBack:
    back.add_dead_letter(SESSION, 1000, "DECODE_TRUNCATED")
    return back


def other_reason(back: ReadBack) -> ReadBack:
    back.reasons["SEMANTIC_RANGE"] -= 1
    back.reasons["DECODE_TRAILING_BYTES"] += 1
    return back


def event_missing(back: ReadBack) -> ReadBack:
    back.events["GAP_OPENED"] -= 1
    return back


def event_twice(back: ReadBack) -> ReadBack:
    back.events["CONNECTED"] += 1
    return back


def event_unexpected(back: ReadBack) -> ReadBack:
    back.events["AUTH_EXPIRED"] += 1
    return back


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (without_a_tick, "packets lost: 1"),
        (with_a_repeat, "packets duplicated: 1"),
        (out_of_order, "ticks reordered: 1"),
        (beyond_the_end, "packets duplicated: 1"),
        (other_reason, "reason DECODE_TRAILING_BYTES: 1, but the fault script causes 0"),
        (other_reason, "reason SEMANTIC_RANGE: 0, but the fault script causes 1"),
        (event_missing, "feed events GAP_OPENED: 1, but the fault script causes 2"),
        (event_twice, "feed events CONNECTED: 2, but the fault script causes 1"),
        (event_unexpected, "feed events AUTH_EXPIRED: 1, but the fault script causes 0"),
    ],
)
def test_what_was_read_back_wrongly_is_named(spoil: Any, named: str) -> None:
    ledger = balanced_ledger(spoil(read_back()))
    assert not ledger.balanced
    assert any(named in problem for problem in ledger.problems()), ledger.problems()


def test_the_right_sum_of_wrong_parts_does_not_balance() -> None:
    """A tick dead-lettered without cause keeps every total."""
    ledger = replace(balanced_ledger(), published=TICKS - 1, dead_lettered=3)
    assert not ledger.balanced


def test_nothing_sent_is_no_success() -> None:
    empty = Ledger(0, 0, 0, 0, 0, 0, 0, ReadBack({}))
    assert empty.problems() == []
    assert not empty.balanced


def test_events_are_not_compared_where_none_are_counted() -> None:
    assert replace(balanced_ledger(), expected_events=Counter()).balanced
