"""The pace never lets more calls into a second than Kite allows; waits grow, and are bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.errors import (
    AuthRefused,
    BadAnswer,
    InputRefused,
    KiteUnavailable,
    RateLimited,
)
from kite_broker_zerodha.rest.limits import CALLS_A_SECOND, CallKind, Pace
from kite_broker_zerodha.rest.retries import Retries, surely_undone, worth_another_try


@given(
    st.sampled_from(CallKind),
    st.lists(st.floats(0.0, 2.0), min_size=2, max_size=60),
)
def test_no_second_has_more_calls_than_kite_allows(kind: CallKind, pauses: list[float]) -> None:
    pace, now_s, starts = Pace(), 0.0, []
    for pause in pauses:
        now_s += pause
        now_s += pace.reserve(kind, now_s)
        starts.append(now_s)
    for place, start in enumerate(starts):
        inside = [other for other in starts[place:] if other < start + 1.0 - 1e-6]
        assert len(inside) <= CALLS_A_SECOND[kind]


@given(st.sampled_from(CallKind), st.integers(2, 40))
def test_whoever_never_stops_gets_the_whole_rate(kind: CallKind, calls: int) -> None:
    pace = Pace()
    last = [pace.reserve(kind, 0.0) for _ in range(calls)][-1]
    assert last == pytest.approx((calls - 1) / CALLS_A_SECOND[kind])


def test_the_kinds_are_counted_apart() -> None:
    pace = Pace()
    assert [pace.reserve(kind, 5.0) for kind in CallKind] == [0.0, 0.0, 0.0]
    assert pace.reserve(CallKind.QUOTE, 5.0) == 1.0
    assert pace.reserve(CallKind.OTHER, 5.0) == pytest.approx(0.1)


def test_a_pace_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Pace({CallKind.QUOTE: 0.0})


@given(st.integers(1, 1000), st.floats(0.0, 1.0))
def test_waits_double_up_to_the_cap_and_half_of_each_is_chance(
    failures: int, chance: float
) -> None:
    retries = Retries(first_s=0.5, cap_s=8.0)
    whole = min(8.0, 0.5 * 2.0 ** min(failures - 1, 10))
    wait_s = retries.wait_s(failures, KiteUnavailable("away"), chance)
    assert wait_s == pytest.approx(whole * (0.5 + 0.5 * chance))


def test_a_wait_that_kite_asks_for_is_kept() -> None:
    assert Retries().wait_s(1, RateLimited("slow down", retry_after_s=20.0), 0.0) == 20.0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_s": 0.0}, {"first_s": 9.0}])
def test_impossible_retries_are_a_mistake(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retries need"):
        Retries(**wrong)  # type: ignore[arg-type]


def test_a_refusal_is_never_tried_again() -> None:
    for error in (AuthRefused("no"), InputRefused("no"), BadAnswer("page", again=False)):
        assert not worth_another_try(error)
    for again in (KiteUnavailable("away"), RateLimited("slow"), BadAnswer("cut")):
        assert worth_another_try(again)
    assert surely_undone(RateLimited("slow"))
    assert not surely_undone(KiteUnavailable("away"))
