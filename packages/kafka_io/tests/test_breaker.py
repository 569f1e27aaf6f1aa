"""The breaker: one alarm when the share passes the limit, one end, whatever comes between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_kafka_io.breaker import Breaker, BreakerLimits
from kite_runtime.errors import ConfigurationError

LIMITS = BreakerLimits(share=0.1, window_s=60, least=5, in_a_row=50, clear_s=30)


def bad(count: int) -> dict[str, int]:
    return {"SEMANTIC_RANGE": count} if count else {}


def test_a_share_above_the_limit_is_told_once() -> None:
    breaker = Breaker(LIMITS)
    assert not breaker.add(100, bad(10), 0.0)
    assert breaker.add(0, bad(5), 1.0)
    assert [breaker.add(10, bad(9), 2.0 + second) for second in range(20)] == [False] * 20
    state = breaker.state()
    assert (breaker.open, state.since_s, state.reason) == (True, 1.0, "SEMANTIC_RANGE")
    assert "most are SEMANTIC_RANGE" in str(state)


def test_a_few_dead_letters_among_few_records_are_no_alarm() -> None:
    breaker = Breaker(LIMITS)
    assert not breaker.add(1, bad(4), 0.0)
    assert breaker.add(0, bad(1), 1.0)


def test_a_run_of_dead_letters_is_told_whatever_the_window() -> None:
    breaker = Breaker(BreakerLimits(share=0.9, window_s=1, least=1000, in_a_row=50))
    told = [breaker.add(0, bad(1), 10.0 * number) for number in range(60)]
    assert told.index(True) == 49
    assert sum(told) == 1
    breaker = Breaker(BreakerLimits(share=0.9, window_s=1, least=1000, in_a_row=50))
    assert not any(breaker.add(number % 40 == 0, bad(1), 10.0 * number) for number in range(200))


def test_it_ends_when_the_share_stays_low_and_can_begin_again() -> None:
    breaker = Breaker(LIMITS)
    assert breaker.add(10, bad(10), 0.0)
    # The window forgets the dead letters after a minute; half a minute later it is over.
    told = {second: breaker.add(100, {}, float(second)) for second in range(1, 200)}
    (end,) = (second for second, changed in told.items() if changed)
    assert 30 <= end <= 95
    assert not breaker.open
    assert breaker.add(0, bad(2000), 200.0)


def test_between_the_two_limits_nothing_changes() -> None:
    breaker = Breaker(LIMITS)
    breaker.add(10, bad(10), 0.0)
    for second in range(100, 400):
        assert not breaker.add(93, bad(7), float(second))
    assert breaker.open


def test_silence_ends_an_alarm() -> None:
    breaker = Breaker(LIMITS)
    breaker.add(0, bad(10), 0.0)
    changes = [second for second in range(1, 200) if breaker.add(0, {}, float(second))]
    assert len(changes) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 40)), min_size=1, max_size=60
    )
)
def test_changes_alternate_and_books_balance(steps: list[tuple[int, int, float]]) -> None:
    breaker, now_s, is_open = Breaker(LIMITS), 0.0, False
    for good, dead, seconds in steps:
        now_s += seconds
        if breaker.add(good, bad(dead), now_s):
            is_open = not is_open
        state = breaker.state()
        assert breaker.open == is_open == (state.since_s is not None)
        assert 0 <= state.dead <= state.records
        assert len(breaker._buckets) <= 62


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 1.5}, {"window_s": 0}, {"least": 0}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        BreakerLimits(**wrong)  # type: ignore[arg-type]
