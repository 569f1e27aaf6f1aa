"""The rules by which several bridges share a universe, without any of them."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.frames import frame_index
from kite_broker_zerodha.session.events import SHARD_BITS
from kite_broker_zerodha.subscriptions import PlanError, Subscription
from kite_contracts.tick_batch import TickMode
from kite_kafka_io.group import NOTE_BYTES_MAX
from kite_live_feed.journal.recovery import LastFrame
from kite_live_feed.options import SHARDS_MAX
from kite_live_feed.shards import (
    TAKEOVERS_MAX,
    Fence,
    ShardNote,
    Takeover,
    carried,
    fences_of,
    lasting,
    newest_frames,
    resume_from,
    shard_of,
    shard_plan,
    superseded,
)

T = 1_795_000_000_000_000_000 & ~15
TIMES = st.integers(0, 2**63 - 1)


@pytest.mark.parametrize("shards", range(1, SHARDS_MAX + 1))
@pytest.mark.parametrize("segment", [1, 2, 9])
def test_tokens_that_count_up_fall_evenly(shards: int, segment: int) -> None:
    """As even as chance makes it, though the low byte of all of them is the same."""
    count = 9_000
    sizes = [0] * shards
    for number in range(count):
        sizes[shard_of((100_000 + number) << 8 | segment, shards)] += 1
    mean = count / shards
    assert max(abs(size - mean) for size in sizes) <= 4 * sqrt(mean)


def test_a_feed_session_has_room_for_every_shard() -> None:
    assert SHARDS_MAX == 1 << SHARD_BITS


@given(st.integers(1, 2**32 - 1), st.integers(1, SHARDS_MAX))
def test_a_token_is_in_one_shard_whatever_else_is_there(token: int, shards: int) -> None:
    assert 0 <= shard_of(token, shards) < shards


def test_where_tokens_are_is_the_same_in_every_release() -> None:
    """A bridge of the next release must share out as its neighbours do."""
    tokens = (408065, 256265, 738561, 2**32 - 1)
    assert [shard_of(token, 16) for token in tokens] == [1, 4, 3, 8]


def requested(count: int) -> list[Subscription]:
    return [Subscription(number << 8 | 1, TickMode.FULL) for number in range(1, count + 1)]


def test_the_plan_holds_every_wish_once_and_changes_only_where_it_must() -> None:
    plan = shard_plan(requested(900), 3)
    assert (len(plan.shards), plan.tokens) == (3, 900)
    more = shard_plan(requested(901), 3)
    for before, after in zip(plan.shards, more.shards, strict=True):
        assert before.items() <= after.items()
    assert shard_plan(requested(1), 3).tokens == 1, "shards without instruments are no fault"


def test_a_shard_that_is_too_large_is_said_and_not_cut() -> None:
    with pytest.raises(PlanError, match="would have 3085 instruments, .*WS_BRIDGE_SHARDS"):
        shard_plan(requested(9_000), 3)
    assert shard_plan(requested(9_000), 4).tokens == 9_000
    with pytest.raises(PlanError, match="twice"):
        shard_plan([*requested(2), *requested(1)], 3)


def test_a_bridge_carries_what_it_has_connections_for_and_keeps_what_it_carries() -> None:
    assert carried({0, 1, 2}, set(), 3) == {0, 1, 2}
    assert carried({0, 1, 2, 5}, {5, 2}, 3) == {0, 2, 5}
    assert carried(set(), {1}, 3) == frozenset()


notes = st.builds(
    ShardNote,
    st.one_of(st.none(), TIMES),
    st.lists(st.builds(Takeover, st.text("0123456789abcdef", max_size=12), TIMES), max_size=8).map(
        tuple
    ),
)


@given(notes)
def test_a_note_comes_back_as_it_was_and_fits(note: ShardNote) -> None:
    assert ShardNote.decode(note.encode()) == note
    assert len(note.encode()) <= NOTE_BYTES_MAX


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7", '{"takeovers": 3}', '{"last_ns": "x"}'])
def test_a_note_of_another_program_is_an_empty_one(text: str | None) -> None:
    assert ShardNote.decode(text) == ShardNote()


def test_a_note_remembers_the_last_changes_of_hands_and_never_goes_back() -> None:
    note = ShardNote()
    for number in range(20):
        note = note.taken("me", number)
    assert [each.since_ns for each in note.takeovers] == list(range(20 - TAKEOVERS_MAX, 20))
    assert note.until(7).until(5).until(None).last_ns == 7


@pytest.mark.parametrize(
    ("note", "last", "begins"),
    [
        # Nobody ever carried it.
        (ShardNote(), None, None),
        # The owner before got frames until T + 9 into Kafka; or none, since it took the shard.
        (ShardNote(T + 9, (Takeover("b", T),)), None, T + 9),
        (ShardNote(None, (Takeover("b", T),)), None, T),
        # This bridge itself was the last owner: its journal knows better, and comes first.
        (ShardNote(T + 9, (Takeover("b", T),)), LastFrame(T + 16, T + 40, 0), T + 40),
        # It was an owner, but another one has had the shard since.
        (ShardNote(T + 9, (Takeover("b", T),)), LastFrame(T - 32, T - 5, 0), T + 9),
        # The bridge ran alone before there was a group.
        (ShardNote(), LastFrame(T, T + 3, 0), T + 3),
    ],
)
def test_where_the_gap_of_a_new_owner_begins(
    note: ShardNote, last: LastFrame | None, begins: int | None
) -> None:
    assert resume_from(note, last) == begins


def test_what_lies_behind_a_fence() -> None:
    shard_2, other = T | 2, T | 5
    rows = [
        (0, 1, T + 100, shard_2, 0),  # before the other took it: ours to publish, though late
        (0, 1, T + 200, shard_2, 1),  # since then: the other has it
        (0, 1, T + 300, other, 0),  # another shard
        (0, 1, T + 400, (T + 320) | 2, 0),  # we have it again
    ]
    behind = superseded(frame_index(rows), {Fence(2, T + 200)})
    assert behind.tolist() == [False, True, False, False]
    assert not superseded(frame_index(rows), set()).any()
    assert newest_frames(frame_index(rows)) == {2: T + 400, 5: T + 300}
    assert newest_frames(np.empty((0, 5), np.int64)) == {}


def test_fences_are_the_takeovers_by_others() -> None:
    notes = {
        0: ShardNote(1, (Takeover("me", 1), Takeover("b", 2), Takeover("me", 3))),
        1: ShardNote(1, (Takeover("c", 4),)),
        2: ShardNote(),
    }
    assert fences_of(notes, "me") == {Fence(0, 2), Fence(1, 4)}
    assert lasting(notes, [0, 1, 2], "me") == {0, 2}
