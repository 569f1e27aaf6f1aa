"""A bridge's place in its group, with a group and a bridge that the test plays itself."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from kite_kafka_io.group import Membership
from kite_live_feed.counters import Counters
from kite_live_feed.options import GroupSetup
from kite_live_feed.shard_keeper import GroupShards, ShardKeeper, check_partitions
from kite_live_feed.shards import Fence, ShardNote, Takeover
from kite_live_feed.topics import SHARDS
from kite_runtime.clock import SystemClock
from kite_runtime.errors import SettingError

DEADLINE_S = 30.0


class Group:
    """Kafka's side: what the test hands in is told from within ``poll``, as the real one does."""

    def __init__(self, membership: Membership, shards: int = 3) -> None:
        self.membership = membership
        self.shards = shards
        self.stored: dict[int, str] = {}
        self.takes = True
        self.closed = False
        self.trouble: str | None = None
        self.writing = False
        self._todo: queue.Queue[Callable[[], None]] = queue.Queue()

    def say(self, word: Callable[[], None]) -> None:
        self._todo.put(word)

    def poll(self, timeout_s: float) -> None:
        try:
            self._todo.get(timeout=timeout_s)()
        except queue.Empty:
            return

    def partitions(self) -> int:
        return self.shards

    def notes(self, partitions: Iterable[int]) -> dict[int, str]:
        return {each: self.stored[each] for each in partitions if each in self.stored}

    def write(self, notes: Mapping[int, str], written: Callable[[bool], None]) -> None:
        self.write_now(notes)
        written(self.takes)

    def write_now(self, notes: Mapping[int, str]) -> bool:
        if self.takes:
            self.stored.update(notes)
        return self.takes

    def note(self, shard: int) -> ShardNote:
        return ShardNote.decode(self.stored.get(shard))

    def close(self) -> None:
        self.closed = True


class Shards(GroupShards):
    """Keeps the books of what the keeper asks of a bridge."""

    def __init__(self, connections: int) -> None:
        none: Any = None
        setup = GroupSetup(3, "g", 6.0, connections)
        super().__init__(setup, none, none, none, Counters(), SystemClock(), self._fail)
        self.acked: dict[int, int] = {}
        self.held: dict[int, int | None] = {}
        self.released: list[tuple[set[int], bool]] = []
        self.opened: list[tuple[int, int]] = []
        self.fences: set[Fence] = set()
        self.failed: list[Exception] = []

    @property
    def acked_ns(self) -> Mapping[int, int]:
        return self.acked

    async def take(self, shards: Mapping[int, int | None]) -> None:
        self.held.update(shards)

    async def release(self, shards: AbstractSet[int], *, taken: bool) -> dict[int, int | None]:
        self.released.append((set(shards), taken))
        return {shard: self.held.pop(shard) or 77 for shard in shards}

    async def open_uncarried(self, shard: int, from_ns: int) -> None:
        self.opened.append((shard, from_ns))

    async def fence(self, fences: AbstractSet[Fence]) -> None:
        self.fences |= fences

    def _fail(self, error: Exception) -> None:
        self.failed.append(error)


class Rig:
    """A keeper between the two."""

    def __init__(self, connections: int = 3, partitions: int = 3) -> None:
        self.shards = Shards(connections)
        self.group: Group | None = None
        self._partitions = partitions
        none: Any = None
        self.keeper = ShardKeeper(self.shards, none, {}, self._join)
        self.keeper.start()

    def _join(self, _: Any, topic: str, group: str, membership: Membership, **more: Any) -> Any:
        assert (topic, group, more) == (SHARDS, "g", {"session_timeout_s": 6.0})
        self.group = Group(membership, self._partitions)
        return self.group

    async def joined(self) -> Group:
        await until(lambda: self.group is not None)
        assert self.group is not None
        return self.group

    async def given(self, *shards: int) -> Group:
        """The group's word, carried out."""
        group = await self.joined()
        group.say(lambda: group.membership.assigned(frozenset(shards)))
        await until(lambda: self.shards.confirmed)
        return group


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_the_group_gives_is_taken_from_where_the_last_owner_ended() -> None:
    async def play() -> None:
        rig = Rig()
        group = await rig.joined()
        assert not rig.shards.confirmed
        assert "has not confirmed" in rig.shards.problems()[0]
        group.stored[1] = ShardNote(50, (Takeover("other", 40),)).encode()
        await rig.given(0, 1)
        assert rig.shards.held == {0: None, 1: 50}
        assert rig.shards.problems() == []
        assert [len(group.note(shard).takeovers) for shard in range(3)] == [1, 2, 0]
        assert rig.shards.fences == {Fence(1, 40)}
        rig.shards.acked = {1: 60}
        await until(lambda: group.note(1).last_ns == 60)  # told all the time
        rig.shards.handed_over = dict.fromkeys(rig.shards.held, 99)
        await rig.keeper.leave()
        assert group.note(1).last_ns == 99, "and at the end"
        assert group.closed

    asyncio.run(play())


def test_a_shard_goes_with_a_note_before_the_group_may_give_it_away() -> None:
    async def play() -> None:
        rig = Rig()
        group = await rig.given(0, 1, 2)
        noted: list[int | None] = []

        def revoke() -> None:
            group.membership.revoked(frozenset({1, 2}))
            noted.extend(group.note(shard).last_ns for shard in (1, 2))

        group.say(revoke)
        await until(lambda: len(noted) == 2)
        assert noted == [77, 77]
        assert rig.shards.released == [({1, 2}, False)]
        assert set(rig.shards.held) == {0}
        assert rig.shards.confirmed
        await rig.keeper.leave()

    asyncio.run(play())


def test_a_group_that_is_not_heard_takes_no_shard_away_but_nothing_is_confirmed() -> None:
    async def play() -> None:
        rig = Rig()
        group = await rig.given(0, 1)
        group.say(group.membership.lost)
        await until(lambda: not rig.shards.confirmed)
        assert set(rig.shards.held) == {0, 1}
        assert rig.shards.released == []
        # It is back: shard 1 is another's, who says since when.
        group.stored[1] = group.note(1).taken("other", 123).encode()
        await rig.given(0, 2)
        assert rig.shards.released == [({1}, True)]
        assert set(rig.shards.held) == {0, 2}
        assert Fence(1, 123) in rig.shards.fences
        await rig.keeper.leave()

    asyncio.run(play())


def test_notes_that_kafka_does_not_take_end_the_lease() -> None:
    async def play() -> None:
        rig = Rig()
        group = await rig.given(0)
        group.takes = False
        await until(lambda: not rig.shards.confirmed)
        assert set(rig.shards.held) == {0}
        group.takes = True
        await until(lambda: rig.shards.confirmed)
        await rig.keeper.leave()

    asyncio.run(play())


def test_more_shards_than_connections_are_said_and_told_as_a_gap() -> None:
    async def play() -> None:
        rig = Rig(connections=1)
        group = await rig.joined()
        group.stored[2] = ShardNote(50, (Takeover("other", 40),)).encode()
        await rig.given(1, 2)
        assert set(rig.shards.held) == {1}
        assert rig.shards.uncarried == {2}
        [problem] = rig.shards.problems()
        assert "shards 2 have no connection" in problem
        assert "WS_BRIDGE_CONNECTIONS" in problem
        assert rig.shards.opened == [(2, 50)]
        assert len(group.note(2).takeovers) == 1, "nobody took it"
        await rig.keeper.leave()

    asyncio.run(play())


def test_bridges_that_share_out_differently_do_not_start() -> None:
    async def play() -> None:
        rig = Rig(partitions=4)
        group = await rig.joined()
        group.say(lambda: group.membership.assigned(frozenset({0})))
        await until(lambda: rig.shards.failed)
        assert isinstance(rig.shards.failed[0], SettingError)
        assert group.closed
        await rig.keeper.leave()

    asyncio.run(play())
    with pytest.raises(SettingError, match="is 3, but the topic bridge.shards has 4 partitions"):
        check_partitions(4, 3)
    check_partitions(3, 3)
