"""The consumer's side of the proof must be able to fail, whatever goes wrong on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_live_feed.proof import ReadBack

OTHER = 5
REASON = "DECODE_TRUNCATED"


@dataclass(frozen=True)
class Packet:
    """One numbered packet, as a tick or as a dead letter."""

    session: int
    seq: int
    token: int
    dead: bool = False


def read(sessions: dict[int, int], packets: list[Packet], batches: int = 1) -> ReadBack:
    """What a consumer counts that reads these packets in ``batches`` pieces."""
    back = ReadBack(sessions)
    ticks = [each for each in packets if not each.dead]
    for part in np.array_split(np.arange(len(ticks)), batches):
        chosen = [ticks[place] for place in part]
        back.add_ticks(
            np.array([each.token for each in chosen], np.int64),
            np.array([each.session for each in chosen], np.int64),
            np.array([each.seq for each in chosen], np.int64),
        )
    for each in packets:
        if each.dead:
            back.add_dead_letter(each.session, each.seq, REASON)
    return back


def verdict(back: ReadBack) -> tuple[int, int, int]:
    return back.lost(), back.duplicated, back.reordered


@st.composite
def runs(draw: st.DrawFn) -> tuple[dict[int, int], list[Packet]]:
    """Feed sessions with all their packets, in the order of publishing; some are dead letters."""
    numbers = draw(st.lists(st.integers(16, 2**62), min_size=1, max_size=3, unique=True))
    sessions = {session: draw(st.integers(1, 12)) for session in sorted(numbers)}
    packets = [
        Packet(session, seq, draw(st.integers(1, 3)), draw(st.integers(0, 4)) == 0)
        for session, count in sessions.items()
        for seq in range(count)
    ]
    return sessions, packets


BATCHES = st.integers(1, 5)


@given(runs(), BATCHES)
def test_a_complete_run_has_nothing_lost_duplicated_or_reordered(
    run: tuple[dict[int, int], list[Packet]], batches: int
) -> None:
    sessions, packets = run
    back = read(sessions, packets, batches)
    assert verdict(back) == (0, 0, 0)
    dead = sum(each.dead for each in packets)
    assert (back.ticks, back.dead, back.reasons.total()) == (len(packets) - dead, dead, dead)


@given(runs(), BATCHES, st.data())
def test_every_missing_packet_is_counted_as_lost(
    run: tuple[dict[int, int], list[Packet]], batches: int, data: st.DataObject
) -> None:
    sessions, packets = run
    gone = data.draw(st.sets(st.sampled_from(packets), min_size=1))
    back = read(sessions, [each for each in packets if each not in gone], batches)
    assert verdict(back) == (len(gone), 0, 0)


@given(runs(), BATCHES, st.data())
def test_every_packet_that_comes_again_is_counted_as_duplicated(
    run: tuple[dict[int, int], list[Packet]], batches: int, data: st.DataObject
) -> None:
    sessions, packets = run
    again = data.draw(st.lists(st.sampled_from(packets), min_size=1, max_size=4))
    doubled = [each for each in packets for _ in range(1 + again.count(each))]
    assert verdict(read(sessions, doubled, batches)) == (0, len(again), 0)


@given(runs(), BATCHES, st.data())
def test_a_number_that_no_session_gave_is_never_right(
    run: tuple[dict[int, int], list[Packet]], batches: int, data: st.DataObject
) -> None:
    sessions, packets = run
    session, count = data.draw(st.sampled_from(sorted(sessions.items())))
    seq = data.draw(st.one_of(st.integers(count, 2**62), st.integers(-(2**62), -1)))
    stray = Packet(session, seq, 9, data.draw(st.booleans()))
    assert verdict(read(sessions, [*packets, stray], batches)) == (0, 1, 0)


@given(runs(), BATCHES, st.data())
def test_two_ticks_of_an_instrument_in_the_wrong_order_are_told(
    run: tuple[dict[int, int], list[Packet]], batches: int, data: st.DataObject
) -> None:
    sessions, packets = run
    first = data.draw(st.sampled_from(sorted(sessions)))
    pair = [Packet(first, sessions[first], 99), Packet(first, sessions[first] + 1, 99)]
    grown = {**sessions, first: sessions[first] + 2}
    place = data.draw(st.integers(0, len(packets)))
    wrong = [*packets[:place], pair[1], *packets[place:], pair[0]]
    assert verdict(read(grown, wrong, batches)) == (0, 0, 1)
    right = [*packets[:place], pair[0], *packets[place:], pair[1]]
    assert verdict(read(grown, right, batches)) == (0, 0, 0)


@pytest.mark.parametrize("batches", [1, 2])
def test_an_older_session_after_a_newer_one_is_reordered(batches: int) -> None:
    packets = [Packet(32, 0, 1), Packet(16, 0, 1)]
    assert verdict(read({16: 1, 32: 1}, packets, batches)) == (0, 0, 1)


@pytest.mark.parametrize("batches", [1, 2])
def test_instruments_do_not_wait_for_each_other(batches: int) -> None:
    """Order is promised for an instrument; partitions are read in any order."""
    packets = [Packet(16, 1, 7), Packet(16, 0, 8)]
    assert verdict(read({16: 2}, packets, batches)) == (0, 0, 0)


@given(runs(), st.lists(st.booleans(), max_size=5))
def test_sessions_of_other_runs_are_passed_over(
    run: tuple[dict[int, int], list[Packet]], others: list[bool]
) -> None:
    sessions, packets = run
    foreign = [Packet(OTHER, 3, 1, dead) for dead in others]
    back = read(sessions, [*foreign, *packets, *foreign])
    assert verdict(back) == (0, 0, 0)
    assert back.ticks + back.dead == len(packets)


def test_a_session_that_never_appears_is_lost_whole() -> None:
    assert verdict(read({16: 4, 32: 3}, [Packet(16, seq, 1) for seq in range(4)])) == (3, 0, 0)
