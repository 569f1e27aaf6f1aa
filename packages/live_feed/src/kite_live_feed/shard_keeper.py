"""A bridge's place in the group that shares out the shards: the edge between group and bridge.

A thread of its own takes part in the group, because librdkafka calls back from where it is polled
and such a call must end before a shard may go to another bridge. What the bridge does about it is
done in the bridge's loop, and the thread waits for it.

``confirmed`` is the lease of the bridge: Kafka has taken a note from it less than a session timeout
ago, so nobody else can have been given its shards. Without it the bridge goes on receiving and
journaling, and publishes nothing until the group has said whose the shards are.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

import structlog

from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.group import GroupMember, Membership
from kite_live_feed.counters import Counters
from kite_live_feed.journal.recovery import LastFrame
from kite_live_feed.shards import (
    Fence,
    GroupSetup,
    ShardNote,
    carried,
    fences_of,
    lasting,
    resume_from,
)
from kite_live_feed.topics import SHARDS
from kite_runtime.clock import Clock
from kite_runtime.errors import SettingError

log = structlog.get_logger()

POLL_S: Final = 0.05
BEAT_S: Final = 1.0
CLAIM_S: Final = 2.0
"""So long Kafka is waited for to take the note of a new owner."""
CLAIMED_BY_OTHERS_S: Final = 5.0
"""So long the next owner of a shard that was lost is waited for, to know since when it has it."""
ANSWER_S: Final = 15.0
LEAVE_S: Final = 5.0
MARGIN_S: Final = 1.0
"""The lease ends so long before the session timeout, for records that are on their way then."""

Answer = TypeVar("Answer")


class Shards(Protocol):
    """What the keeper asks of a bridge; all but ``acked_ns`` in the bridge's loop."""

    counters: Counters

    @property
    def acked_ns(self) -> Mapping[int, int]:
        """Shard → receive time of its last frame that Kafka has."""

    async def take(self, shards: Mapping[int, int | None]) -> None:
        """Carry these too."""

    async def release(self, shards: AbstractSet[int], *, taken: bool) -> dict[int, int | None]:
        """Carry these no longer."""

    def open_uncarried(self, shard: int, from_ns: int) -> None:
        """Nobody carries this one."""

    def fence(self, fences: AbstractSet[Fence]) -> None:
        """What lies behind these is another bridge's to publish."""

    def handed_over(self) -> dict[int, int | None]:
        """What the end of the run left to others."""

    def fail(self, error: Exception) -> None:
        """End the run."""


class ShardKeeper(Membership):
    """Joins the group with ``start``; ``leave`` hands the shards over. Made in a bridge's loop."""

    def __init__(
        self,
        bridge: Shards,
        setup: GroupSetup,
        join: Callable[[Membership], GroupMember],
        own: Mapping[int, LastFrame],
        clock: Clock,
    ) -> None:
        """``own`` is the last frame of each shard in this bridge's journal."""
        self._bridge = bridge
        self._setup = setup
        self._join = join
        self._own = own
        self._clock = clock
        self._owner = uuid.uuid4().hex[:12]
        self._loop = asyncio.get_running_loop()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shards", daemon=True)
        self._loop_heard_s = clock.monotonic_s()
        self._heartbeat: asyncio.Task[None] | None = None
        self._joined: GroupMember | None = None
        self._mine: frozenset[int] = frozenset()
        """What the group has given."""
        self._carried: frozenset[int] = frozenset()
        self._uncarried: frozenset[int] = frozenset()
        self._notes: dict[int, ShardNote] = {}
        self._checked = False
        self._known = False
        """The group's word on the shards is known, and carried out."""
        self._changed = False
        self._lease_ends_s = clock.monotonic_s()
        self._beat_due_s = 0.0

    @property
    def confirmed(self) -> bool:
        """Whether nobody else can have this bridge's shards."""
        return self._known and (not self._carried or self._now() < self._lease_ends_s)

    @property
    def uncarried(self) -> frozenset[int]:
        """Shards that the group gave and for which there is no connection."""
        return self._uncarried

    def problems(self) -> list[str]:
        """What a person should know."""
        found = []
        if not self.confirmed:
            for_s = max(0.0, self._now() - self._lease_ends_s)
            found.append(
                f"the group {self._setup.group} has not confirmed this bridge's shards for "
                f"{for_s:.0f} s: what they receive is journaled, and published when it does"
                f"{self._trouble()}"
            )
        if self._uncarried:
            found.append(
                f"shards {', '.join(map(str, sorted(self._uncarried)))} have no connection: this "
                f"bridge may open {self._setup.connections} (WS_BRIDGE_CONNECTIONS) and got "
                f"{len(self._carried | self._uncarried)} shards; start another bridge"
            )
        return found

    def _trouble(self) -> str:
        trouble = None if self._joined is None else self._joined.trouble
        return f" (last told by Kafka: {trouble})" if trouble else ""

    def start(self) -> None:
        """Join the group."""
        self._heartbeat = asyncio.create_task(self._beat_of_the_loop())
        self._thread.start()

    async def leave(self) -> None:
        """Hand the shards over and leave the group, so that others need not wait for a timeout."""
        self._leaving.set()
        await asyncio.to_thread(self._thread.join, LEAVE_S)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await self._heartbeat

    # The group's word: called by the member within ``poll``, in the thread.

    def assigned(self, partitions: frozenset[int]) -> None:
        """Note what came; ``_settle`` does the rest, for which the group does not wait."""
        self._mine |= partitions
        self._changed = True
        self._bridge.counters.rebalances += bool(partitions)

    def revoked(self, partitions: frozenset[int]) -> None:
        """Hand shards over before the call returns, for then others may be given them."""
        self._mine -= partitions
        self._uncarried -= partitions
        going = partitions & self._carried
        if self._leaving.is_set() or not going:
            return
        self._bridge.counters.rebalances += 1
        log.info("shards go to another bridge", shards=sorted(going))
        begins = self._in_loop(self._bridge.release(going, taken=False))
        self._carried -= going
        notes = {shard: self._notes[shard].until(begins[shard]) for shard in going}
        self._notes.update(notes)
        self._member.write_now(_encoded(notes))

    def lost(self) -> None:
        """The group is not heard: the shards stay until it says whose they are."""
        self._mine = frozenset()
        self._known = False
        self._bridge.counters.rebalances += 1
        log.warning(
            "the group is not heard; the shards are received and journaled, not published",
            shards=sorted(self._carried),
        )

    # The thread.

    def _run(self) -> None:
        try:
            self._member = self._joined = self._join(self)
            try:
                while not self._leaving.is_set():
                    self._turn()
                self._say_goodbye()
            finally:
                self._leaving.set()
                self._member.close()
        except Exception as error:
            log.error("the bridge cannot take part in its group", reason=str(error))
            self._loop.call_soon_threadsafe(self._bridge.fail, error)

    def _turn(self) -> None:
        if self._now() - self._loop_heard_s > self._setup.timeout_s / 2:
            # A bridge that hangs must lose its shards: who does not poll is put out of the group.
            self._leaving.wait(POLL_S)
            return
        self._member.poll(POLL_S)
        if self._changed:
            self._settle()
        elif self._known and self._now() >= self._beat_due_s and not self._member.writing:
            self._write()

    def _settle(self) -> None:
        """Do as the group says: stop what others have, take what came, know since when."""
        try:
            if not self._checked:
                check_partitions(self._member.partitions(), self._setup.shards)
                self._checked = True
            notes = self._read()
        except BrokerUnreachable as error:
            log.warning("the group's notes are not to be had yet", reason=str(error))
            return
        self._changed = False
        before, gone = self._carried, self._carried - self._mine
        if gone:
            log.warning("another bridge was given shards", shards=sorted(gone))
            self._in_loop(self._bridge.release(gone, taken=True))
        self._carried -= gone
        keeps = carried(self._mine, self._carried, self._setup.connections)
        new, now_ns = keeps - self._carried, self._clock.now_ns()
        begins = {each: resume_from(notes[each], self._own.get(each)) for each in new}
        self._call(self._bridge.fence, fences_of(notes, self._owner))
        for shard in new:
            notes[shard] = notes[shard].until(begins[shard]).taken(self._owner, now_ns)
        self._notes.update(notes)
        self._claim(keeps)
        new &= self._mine  # unless the group has changed its mind meanwhile
        self._carried = (self._carried | new) & self._mine
        self._in_loop(self._bridge.take({shard: begins[shard] for shard in sorted(new)}))
        self._tell_of_uncarried()
        if gone and not self._known:
            self._wait_for_others(sorted(gone))
        self._known = not self._changed
        if before != self._carried:
            log.info("shards of this bridge", carried=sorted(self._carried), new=sorted(new))

    def _tell_of_uncarried(self) -> None:
        self._uncarried = self._mine - self._carried
        for shard in sorted(self._uncarried):
            begins = resume_from(self._notes[shard], self._own.get(shard))
            log.error("a shard has no connection", shard=shard, most=self._setup.connections)
            if begins is not None:
                self._call(self._bridge.open_uncarried, shard, begins)

    def _claim(self, shards: AbstractSet[int]) -> None:
        """Write the notes of these and wait until Kafka has them, or for as long as it may take."""
        ends_s = self._now() + CLAIM_S
        while self._member.writing and self._now() < ends_s:
            self._member.poll(POLL_S)
        self._write(shards)
        while self._member.writing and self._now() < ends_s:
            self._member.poll(POLL_S / 5)

    def _wait_for_others(self, gone: list[int]) -> None:
        """Fence what was journaled after the next owners began."""
        ends_s, open_ = self._now() + CLAIMED_BY_OTHERS_S, set(gone)
        while open_ and self._now() < ends_s and not self._leaving.is_set():
            self._member.poll(POLL_S)
            with suppress(BrokerUnreachable):
                notes = self._read()
                open_ = lasting(notes, gone, self._owner)
                self._call(self._bridge.fence, fences_of(notes, self._owner))

    def _write(self, shards: AbstractSet[int] | None = None) -> None:
        """Renew the lease: tell how far the shards are, as a member that Kafka still knows."""
        chosen = self._carried if shards is None else shards
        sent_s = self._now()
        self._beat_due_s = sent_s + BEAT_S
        if not chosen:
            return
        acked = dict(self._bridge.acked_ns)
        notes = {
            shard: self._notes[shard].until(acked.get(shard) if shard in self._carried else None)
            for shard in chosen
        }
        self._notes.update(notes)

        def written(taken: bool) -> None:
            if taken:
                self._lease_ends_s = sent_s + self._setup.timeout_s - MARGIN_S

        self._member.write(_encoded(notes), written)

    def _say_goodbye(self) -> None:
        begins = self._in_loop(_value(self._bridge.handed_over))
        notes = {
            shard: self._notes[shard].until(begins.get(shard))
            for shard in self._carried
            if shard in self._notes
        }
        ends_s = self._now() + CLAIM_S
        if notes and self.confirmed:
            while self._member.writing and self._now() < ends_s:
                self._member.poll(POLL_S)
            self._member.write(_encoded(notes), lambda taken: None)
            while self._member.writing and self._now() < ends_s:
                self._member.poll(POLL_S / 5)

    def _read(self) -> dict[int, ShardNote]:
        found = self._member.notes(range(self._setup.shards))
        return {each: ShardNote.decode(found.get(each)) for each in range(self._setup.shards)}

    def _in_loop(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        asked: Future[Answer] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return asked.result(ANSWER_S)

    def _call(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        return self._in_loop(_value(function, *arguments))

    def _now(self) -> float:
        return self._clock.monotonic_s()

    async def _beat_of_the_loop(self) -> None:
        while True:
            self._loop_heard_s = self._now()
            await asyncio.sleep(self._setup.timeout_s / 20)


def check_partitions(found: int, shards: int) -> None:
    """All bridges must share out alike. Raises SettingError."""
    if found != shards:
        raise SettingError(
            "WS_BRIDGE_SHARDS",
            f"is {shards}, but the topic {SHARDS} has {found} partitions, one for each shard",
            str(found),
        )


async def _value(function: Callable[..., Answer], *arguments: Any) -> Answer:
    return function(*arguments)


def _encoded(notes: Mapping[int, ShardNote]) -> dict[int, str]:
    return {shard: note.encode() for shard, note in notes.items()}
