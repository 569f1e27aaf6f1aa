"""The planner: every token once, limits kept, and a token with a place keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.subscriptions import (
    EMPTY_PLAN,
    SHARD_TOKENS_MAX,
    Plan,
    PlanError,
    Subscription,
    describe,
    diff,
    make_plan,
    weight,
)
from kite_contracts.tick_batch import TickMode

MODES = st.sampled_from(TickMode)
TOKENS = st.integers(1, 60)
WISHES = st.dictionaries(TOKENS, MODES, max_size=12)


def requested(modes: Mapping[int, TickMode]) -> list[Subscription]:
    return [Subscription(token, mode) for token, mode in modes.items()]


def full(count: int, first: int = 1) -> list[Subscription]:
    return [Subscription((first + i) << 8 | 1, TickMode.FULL) for i in range(count)]


@given(WISHES, WISHES)
def test_a_plan_holds_each_wish_once_and_keeps_places(
    before: dict[int, TickMode], after: dict[int, TickMode]
) -> None:
    old = make_plan(requested(before), shards_max=3, shard_tokens_max=4)
    new = make_plan(requested(after), old, shards_max=3, shard_tokens_max=4)
    placed = [token for shard in new.shards for token in shard]
    assert sorted(placed) == sorted(after)
    assert {t: m for shard in new.shards for t, m in shard.items()} == after
    assert all(len(shard) <= 4 for shard in new.shards)
    assert len(new.shards) <= 3
    for token in before.keys() & after.keys():
        assert new.shard_of(token) == old.shard_of(token)


@given(WISHES, WISHES)
def test_a_token_that_comes_back_goes_home_where_there_is_room(
    before: dict[int, TickMode], between: dict[int, TickMode]
) -> None:
    old = make_plan(requested(before), shards_max=3, shard_tokens_max=4)
    homes = {token: number for number, shard in enumerate(old.shards) for token in shard}
    fewer = {token: mode for token, mode in before.items() if token not in between}
    less = make_plan(requested(fewer), old, homes, shards_max=3, shard_tokens_max=4)
    again = make_plan(requested(before), less, homes, shards_max=3, shard_tokens_max=4)
    assert again == old
    full = make_plan(requested(between), shards_max=3, shard_tokens_max=4)
    mixed = make_plan(requested(between), full, homes, shards_max=3, shard_tokens_max=4)
    assert mixed == full, "who has a place keeps it, whatever its home"


@given(WISHES, WISHES)
def test_the_difference_turns_the_old_plan_into_the_new_and_is_minimal(
    before: dict[int, TickMode], after: dict[int, TickMode]
) -> None:
    old = make_plan(requested(before), shards_max=3, shard_tokens_max=4)
    new = make_plan(requested(after), old, shards_max=3, shard_tokens_max=4)
    state = {number: dict(shard) for number, shard in enumerate(old.shards)}
    touched: list[int] = []
    for change in diff(old, new):
        shard = state.setdefault(change.shard, {})
        for token in change.unsubscribe:
            del shard[token]
        shard.update(dict.fromkeys(change.subscribe, TickMode.QUOTE))
        for mode, tokens in change.modes.items():
            assert all(token in shard for token in tokens)
            shard.update(dict.fromkeys(tokens, mode))
            touched += tokens
        touched += change.unsubscribe
    wanted = {number: dict(shard) for number, shard in enumerate(new.shards)}
    assert {n: s for n, s in state.items() if s} == {n: s for n, s in wanted.items() if s}
    unchanged = {t for t in before if after.get(t) == before[t]}
    assert not unchanged & set(touched)
    assert diff(new, new) == []


def test_the_order_of_the_wishes_does_not_matter() -> None:
    some = full(10) + [Subscription(i << 8 | 9, TickMode.LTP) for i in range(1, 8)]
    assert make_plan(some, shard_tokens_max=6) == make_plan(some[::-1], shard_tokens_max=6)


def test_few_tokens_take_one_connection_and_many_share_the_load() -> None:
    assert len(make_plan(full(SHARD_TOKENS_MAX)).shards) == 1
    mixed = full(2000) + [Subscription(i << 8 | 2, TickMode.LTP) for i in range(1, 2001)]
    loads = [sum(weight(t, m) for t, m in s.items()) for s in make_plan(mixed).shards]
    assert len(loads) == 2
    assert max(loads) - min(loads) <= 184


def test_nine_thousand_fit_and_one_more_is_refused() -> None:
    plan = make_plan(full(9000))
    assert [len(shard) for shard in plan.shards] == [3000, 3000, 3000]
    with pytest.raises(PlanError, match="9001 tokens are 1 too many"):
        make_plan(full(9001))


@pytest.mark.parametrize("token", [0, -1, 2**32, True, "408065", 1.0])
def test_what_is_no_token_is_refused(token: object) -> None:
    with pytest.raises(PlanError, match="no instrument token"):
        make_plan([Subscription(token, TickMode.FULL)])  # type: ignore[arg-type]


def test_duplicates_and_unknown_modes_are_refused() -> None:
    with pytest.raises(PlanError, match="token 257 is there twice"):
        make_plan([Subscription(257, TickMode.LTP), Subscription(257, TickMode.FULL)])
    with pytest.raises(PlanError, match="is no mode"):
        make_plan([Subscription(257, "full")])  # type: ignore[arg-type]


def test_the_description_is_json_with_the_numbers_of_each_shard() -> None:
    plan = make_plan([Subscription(256265, TickMode.FULL), Subscription(408065, TickMode.LTP)])
    found = json.loads(json.dumps(describe(plan)))
    assert found == {
        "tokens": 2,
        "shards": [
            {
                "shard": 0,
                "tokens": 2,
                "free": 2998,
                "modes": {"full": 1, "ltp": 1},
                "segments": {"INDICES": 1, "NSE": 1},
                "bytes_a_round": 40,
            }
        ],
    }
    assert describe(EMPTY_PLAN) == {"tokens": 0, "shards": []}


def test_a_shard_that_lost_all_tokens_disappears_only_from_the_end() -> None:
    plan = make_plan(full(3), shard_tokens_max=1)
    first, last = next(iter(plan.shards[0])), next(iter(plan.shards[2]))
    rest = make_plan([Subscription(last, TickMode.FULL)], plan, shard_tokens_max=1)
    assert [len(shard) for shard in rest.shards] == [0, 0, 1]
    rest = make_plan([Subscription(first, TickMode.FULL)], plan, shard_tokens_max=1)
    assert rest == Plan((plan.shards[0],))
