"""Backoff, watchdogs and session numbers: pure, so time is only a number here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.session.events import FeedSessions
from kite_broker_zerodha.session.liveness import (
    NS_PER_S,
    FlowWatchdog,
    InboundWatchdog,
    SymbolWatchdog,
)
from kite_broker_zerodha.session.liveness_loop import note_frame, warm_up
from kite_broker_zerodha.session.testing import frame_of
from kite_broker_zerodha.wire import encode_frame
from kite_runtime.retry import Backoff


def test_waits_double_up_to_the_cap_and_never_end() -> None:
    backoff = Backoff(first_s=1, cap_s=30, chance=lambda: 1.0)
    waits = [backoff.next_wait_s(0) for _ in range(2000)]
    assert waits[:6] == [1, 2, 4, 8, 16, 30]
    assert set(waits[6:]) == {30}


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10))
def test_jitter_stays_between_half_and_whole(chance: float, failures: int) -> None:
    backoff = Backoff(first_s=1, cap_s=30, chance=lambda: chance)
    waits = [backoff.next_wait_s(0) for _ in range(failures + 1)]
    whole = min(30, 2**failures)
    assert whole / 2 <= waits[-1] <= whole


def test_only_a_stable_connection_starts_the_series_again() -> None:
    backoff = Backoff(first_s=1, cap_s=30, stable_s=30, chance=lambda: 1.0)
    for now_s, wait_s in ((0, 1), (10, 2), (20, 4)):
        backoff.connected(now_s)
        assert backoff.next_wait_s(now_s + 1) == wait_s  # a flapping link
    backoff.connected(100)
    assert backoff.next_wait_s(129.9) == 8
    backoff.connected(200)
    assert backoff.next_wait_s(230) == 1
    assert backoff.next_wait_s(300) == 2  # an attempt that failed is no stable connection


@pytest.mark.parametrize("bad", [{"first_s": 0}, {"first_s": 9, "cap_s": 1}, {"factor": 0.5}])
def test_a_backoff_without_sense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff"):
        Backoff(**{"first_s": 1.0, "cap_s": 30.0, **bad})  # type: ignore[arg-type]


def test_inbound_silence() -> None:
    dog = InboundWatchdog(5.0, now_s=100.0)
    assert not dog.is_dead(104.9)
    assert dog.is_dead(105.0)
    dog.heard_s = 104.0
    assert not dog.is_dead(108.9)
    assert dog.silent_s(108.5) == 4.5


def test_flow_is_mute_after_a_silence_far_longer_than_usual() -> None:
    dog = FlowWatchdog(floor_s=10, factor=20)
    dog.restart(0, 0.0)
    for second in range(1, 601):  # ten times the memory, which begins at 0
        assert not dog.sample(second, second)  # one frame a second: 20 s are unusual
    assert not dog.sample(600, 619.9)
    assert dog.sample(600, 620.1)
    assert not dog.sample(601, 621.0)


def test_what_kite_sends_at_once_for_a_new_subscription_is_no_rate() -> None:
    """One illiquid option: its cached packet, and then a tick every five minutes."""
    dog = FlowWatchdog(floor_s=10, factor=20)
    dog.restart(0, 0.0)
    assert not dog.sample(1, 0.5)
    assert not any(dog.sample(1, second) for second in range(1, 300))
    assert not dog.sample(2, 300.0)
    assert not any(dog.sample(2, second) for second in range(301, 1_200))


def test_a_large_snapshot_in_many_frames_teaches_nothing() -> None:
    dog = FlowWatchdog(floor_s=10, factor=20)
    dog.restart(0, 0.0)
    for frames, now_s in ((60, 0.5), (120, 0.9)):
        dog.sample(frames, now_s)
    assert not any(dog.sample(120, second) for second in range(2, 600))
    dog.restart(120, 600.0)  # another connection, the snapshot again
    dog.sample(240, 600.5)
    assert not any(dog.sample(240, second) for second in range(601, 1_200))


def test_a_busy_connection_that_stalls_soon_after_its_start_is_found_at_once() -> None:
    dog = FlowWatchdog(floor_s=10, factor=20)
    dog.restart(0, 0.0)
    for look in range(1, 12):  # 100 frames a second, for five and a half seconds
        assert not dog.sample(50 * look, look / 2)
    assert not dog.sample(550, 15.4)
    assert dog.sample(550, 15.5)


def test_a_connection_without_a_first_frame_is_mute_whatever_was_usual() -> None:
    dog = FlowWatchdog(floor_s=10, factor=20, first_s=30)
    dog.restart(0, 0.0)
    assert not dog.sample(0, 29.9)
    assert dog.sample(0, 30.0)
    assert not dog.sample(1, 31.0)
    assert not dog.sample(2, 91.0)  # a frame a minute: 20 minutes are unusual
    assert not dog.sample(2, 1200.0)
    dog.restart(2, 1200.0)
    assert not dog.sample(2, 1229.9)
    assert dog.sample(2, 1230.0)
    dog.rest(1230.0)  # the market is closed
    assert not dog.sample(2, 1259.9)


def test_flow_keeps_the_floor_when_frames_are_frequent_and_rests_when_closed() -> None:
    dog = FlowWatchdog(floor_s=10, factor=20)
    dog.restart(0, 0.0)
    dog.sample(500, 1.0)  # the first packets: they teach nothing
    dog.sample(1500, 3.0)
    assert not dog.sample(1500, 12.9)
    assert dog.sample(1500, 13.0)
    dog.rest(1000.0)
    assert not dog.sample(1500, 1009.9)
    assert dog.sample(1500, 1010.0)


def ticked(dog: SymbolWatchdog, token: int, *seconds: int) -> None:
    for second in seconds:
        dog.saw(frame_of(token), second * NS_PER_S)


def test_a_symbol_is_stale_by_its_own_rate_and_told_once() -> None:
    dog = SymbolWatchdog(floor_s=60, cap_s=900, factor=20)
    dog.watch([7, 5], 0)
    ticked(dog, 5, *range(1, 101))  # every second: the floor counts
    ticked(dog, 7, *range(10, 101, 10))  # every ten seconds: 200 s are unusual
    assert dog.stale(159 * NS_PER_S) is None
    assert dog.stale(160 * NS_PER_S) == ((5,), 100 * NS_PER_S)
    assert dog.stale(161 * NS_PER_S) is None
    assert dog.stale(300 * NS_PER_S) == ((7,), 100 * NS_PER_S)
    ticked(dog, 5, 310)
    assert dog.stale(311 * NS_PER_S) is None
    assert dog.stale(400 * NS_PER_S) == ((5,), 310 * NS_PER_S)


def test_a_symbol_that_never_ticked_has_the_cap_and_tokens_of_others_are_ignored() -> None:
    dog = SymbolWatchdog(cap_s=900)
    dog.watch([5], 0)
    ticked(dog, 6, 899)
    ticked(dog, 4, 899)
    assert dog.stale(899 * NS_PER_S) is None
    assert dog.stale(900 * NS_PER_S) == ((5,), 0)
    SymbolWatchdog().saw(frame_of(5), 1)  # nothing is watched yet


def test_every_packet_of_a_frame_counts_whatever_else_is_in_it() -> None:
    dog = SymbolWatchdog(cap_s=900)
    dog.watch([5, 6, 7, 2**32 - 1], 0)
    frame = encode_frame([b"", b"\0\0\0", bytes(3) + b"\x05" + bytes(9), b"\xff" * 8, bytes(184)])
    dog.saw(frame + frame_of(6), 100 * NS_PER_S)  # what follows the last packet is no packet
    for broken in (b"", b"\0", frame_of(7)[:-1], b"\xff\xff"):
        dog.saw(broken, 100 * NS_PER_S)
    assert dog.stale(900 * NS_PER_S) == ((6, 7), 0)


def test_what_becomes_stale_soon_after_a_report_is_in_the_next_one() -> None:
    dog = SymbolWatchdog(floor_s=60, every_s=60)
    dog.watch([5, 6, 7], 0)
    for token, last in ((5, 100), (6, 101), (7, 130)):
        ticked(dog, token, *range(1, last + 1))
    assert dog.stale(160 * NS_PER_S) == ((5,), 100 * NS_PER_S)
    assert all(dog.stale(now * NS_PER_S) is None for now in range(161, 220))
    assert dog.stale(220 * NS_PER_S) == ((6, 7), 101 * NS_PER_S)


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_report_is_not_kept_back_by_a_clock_that_was_set(jump_s: int) -> None:
    dog = SymbolWatchdog(floor_s=60, cap_s=900)
    dog.watch([5, 6], 10_000 * NS_PER_S)
    ticked(dog, 5, *range(10_001, 10_101))
    ticked(dog, 6, *range(10_001, 10_151))
    assert dog.stale(10_160 * NS_PER_S) is not None
    dog.clock_jumped(jump_s * NS_PER_S, (10_161 + jump_s) * NS_PER_S)
    assert dog.stale((10_219 + jump_s) * NS_PER_S) is None
    found = dog.stale((10_221 + jump_s) * NS_PER_S)
    assert found is not None
    assert found.tokens == (6,)


def test_a_tick_told_late_makes_no_symbol_look_older() -> None:
    dog = SymbolWatchdog(cap_s=900)
    dog.watch([5], 0)
    ticked(dog, 5, 100)
    ticked(dog, 5, 50)
    assert dog.stale(999 * NS_PER_S) is None
    assert dog.stale(1000 * NS_PER_S) == ((5,), 100 * NS_PER_S)


def test_warm_up_leaves_nothing_to_compile_for_a_frame() -> None:
    def signatures() -> int:
        return len(getattr(note_frame, "signatures", ()))

    warm_up()
    known, dog = signatures(), SymbolWatchdog()
    dog.watch([5], 0)
    dog.saw(frame_of(5, 6), 1)
    assert signatures() == known


def test_closed_hours_are_no_silence() -> None:
    open_at_ns = 10_000 * NS_PER_S
    dog = SymbolWatchdog(is_open=lambda _token, now_ns: now_ns >= open_at_ns)
    dog.watch([5], 0)
    ticked(dog, 5, *range(1, 101))
    assert all(dog.stale(now * NS_PER_S) is None for now in range(100, 10_000, 50))
    assert dog.stale(open_at_ns + 840 * NS_PER_S) is None
    assert dog.stale(open_at_ns + 900 * NS_PER_S) is not None


def test_watching_other_tokens_keeps_what_is_known_and_a_gap_is_not_held_against_them() -> None:
    dog = SymbolWatchdog(floor_s=60)
    dog.watch([5], 0)
    ticked(dog, 5, *range(1, 101))
    dog.watch([4, 5, 6], 100 * NS_PER_S)
    dog.resume(500 * NS_PER_S)
    assert dog.stale(559 * NS_PER_S) is None
    found = dog.stale(600 * NS_PER_S)
    assert found is not None
    assert found.tokens == (5,)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**62))), st.integers(0, 2**60))
def test_session_numbers_grow_and_name_the_shard(calls: list[tuple[int, int]], after: int) -> None:
    numbers = FeedSessions(after)
    last = after
    for shard, now_ns in calls:
        number = numbers.allocate(shard, now_ns)
        assert number > last
        assert number & 0xF == shard
        last = number


def test_a_session_number_is_the_time_of_the_connection() -> None:
    now_ns = 1_767_584_700_123_456_789
    assert abs(FeedSessions().allocate(2, now_ns) - now_ns) < 16
    with pytest.raises(ValueError, match="shard 16"):
        FeedSessions().allocate(16, now_ns)
