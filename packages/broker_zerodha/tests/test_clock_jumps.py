"""Somebody sets the machine's clock: no instrument may seem silent for it, in either direction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.session.liveness import NS_PER_S, StaleChange, SymbolWatchdog
from kite_broker_zerodha.session.testing import frame_of

HALF_NS = NS_PER_S // 2
JUMPS_S = st.sampled_from([3600, -3600, 7200, -7200, 90, -90])


def watch(
    every_s: dict[int, int], jump_s: int, jump_at_s: float, looks: int
) -> Iterator[StaleChange | None]:
    """Look every half second at instruments that tick at their own pace; the clock jumps once."""
    dog = SymbolWatchdog(floor_s=60, cap_s=900)
    begin_ns = 1_000_000 * NS_PER_S
    dog.watch(list(every_s), begin_ns)
    wall_before = begin_ns
    for look in range(1, looks):
        real_ns = look * HALF_NS
        offset_ns = jump_s * NS_PER_S if real_ns > jump_at_s * NS_PER_S else 0
        wall_ns = begin_ns + real_ns + offset_ns
        for token, pace_s in every_s.items():
            if look % (2 * pace_s) == 0:
                dog.saw(frame_of(token), wall_ns - 1)
        jump_ns = wall_ns - wall_before - HALF_NS
        wall_before = wall_ns
        if jump_ns:
            dog.clock_jumped(jump_ns, wall_ns)
        yield dog.stale(wall_ns)


@given(JUMPS_S, st.floats(1, 90), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_a_jump_makes_no_instrument_stale(jump_s: int, at_s: float, paces: list[int]) -> None:
    every_s = dict(enumerate(paces, start=1))
    assert not any(watch(every_s, jump_s, at_s, looks=400))


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_one_that_really_falls_silent_is_told_after_a_jump_too(jump_s: int) -> None:
    dog = SymbolWatchdog(floor_s=60, cap_s=900)
    begin_ns = 1_000_000 * NS_PER_S
    dog.watch([5], begin_ns)
    for second in range(1, 101):
        dog.saw(frame_of(5), begin_ns + second * NS_PER_S)
    jump_ns = jump_s * NS_PER_S
    then_ns = begin_ns + 100 * NS_PER_S + jump_ns
    dog.clock_jumped(jump_ns, then_ns)
    assert dog.stale(then_ns + 59 * NS_PER_S) is None
    assert dog.stale(then_ns + 61 * NS_PER_S) == StaleChange((5,), then_ns)


def test_a_frame_from_before_a_jump_back_does_not_hide_a_silence() -> None:
    """Its time is in the future then."""
    dog = SymbolWatchdog(floor_s=60, cap_s=900)
    dog.watch([5], 0)
    dog.saw(frame_of(5), 7200 * NS_PER_S)
    assert dog.stale(100 * NS_PER_S) is None
    assert dog.stale(1001 * NS_PER_S) == StaleChange((5,), 100 * NS_PER_S)
