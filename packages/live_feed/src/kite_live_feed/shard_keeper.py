"""A bridge's place in the group that shares out the shards: the edge between group and bridge.

A thread of its own takes part in the group, because librdkafka calls back from where it is polled
and such a call must end before a shard may go to another bridge. What the bridge does about it is
done in the bridge's loop, and the thread waits for it.

``confirmed`` is the lease of the bridge: Kafka has taken a note from it less than a session timeout
ago, so no other bridge can have been given its shards. Without it the bridge goes on receiving and
journaling, and publishes nothing until the group has decided whose the shards are.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.group import GroupMember, Membership
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.connections import Connections
from kite_live_feed.counters import Counters
from kite_live_feed.journal import Journal, Position
from kite_live_feed.journal.recovery import LastFrame
from kite_live_feed.options import GroupSetup
from kite_live_feed.pump import Pump
from kite_live_feed.shards import (
    Fence,
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
HEARTBEAT_INTERVAL_S: Final = 1.0
CLAIM_S: Final = 2.0
"""How long to wait until Kafka has taken the note of a new owner."""
CLAIMED_BY_OTHERS_S: Final = 5.0
"""How long to wait for the note of the next owner of a lost shard, for the time it took it."""
ANSWER_S: Final = 15.0
LEAVE_S: Final = 5.0
MARGIN_S: Final = 1.0
"""The lease ends this long before the session timeout, for records that are on their way then."""
RELEASE_S: Final = 2.0
"""How long everything received may take to be published before a shard goes to another bridge."""
ACK_POLL_S: Final = 0.002

Answer = TypeVar("Answer")


@dataclass
class GroupShards:
    """The shards that the group gave this bridge, and what it may do with them.

    The bridge reads it in its loop. The keeper, from its thread, writes the attributes and calls
    ``take``, ``release``, ``open_uncarried`` and ``fence`` in the loop.
    """

    setup: GroupSetup
    connections: Connections
    pump: Pump
    journal: Journal
    counters: Counters
    clock: Clock
    fail: Callable[[Exception], None]
    """Ends the bridge's run with this error."""
    known: bool = False
    """What the group decided about the shards is known, and carried out."""
    carried: frozenset[int] = frozenset()
    uncarried: frozenset[int] = frozenset()
    """Shards that the group gave and for which there is no connection."""
    lease_ends_s: float = 0.0
    trouble: str | None = None
    """What the Kafka client complained of last."""
    handed_over: dict[int, int | None] = field(default_factory=dict)
    """What the end of the run left to the next owners: shard → where its gap begins."""

    def __post_init__(self) -> None:
        self.lease_ends_s = self.clock.monotonic_s()

    @property
    def confirmed(self) -> bool:
        """Whether no other bridge can have these shards."""
        return self.known and (not self.carried or self.clock.monotonic_s() < self.lease_ends_s)

    @property
    def acked_ns(self) -> Mapping[int, int]:
        return self.pump.acked_ns

    def problems(self) -> list[str]:
        found = []
        if not self.confirmed:
            trouble = f" (Kafka's last error: {self.trouble})" if self.trouble else ""
            found.append(
                f"the group {self.setup.group} has not confirmed this bridge's shards for "
                f"{max(0.0, self.clock.monotonic_s() - self.lease_ends_s):.0f} s: what they "
                f"receive is journaled, and published when it does{trouble}"
            )
        if self.uncarried:
            found.append(
                f"shards {', '.join(map(str, sorted(self.uncarried)))} have no connection: this "
                f"bridge may open {self.setup.connections} (WS_BRIDGE_CONNECTIONS) and got "
                f"{len(self.carried | self.uncarried)} shards; start another bridge"
            )
        return found

    def refresh(self) -> None:
        counters = self.counters
        counters.group_shards = tuple(sorted(self._held))
        counters.group_size = self.setup.shards
        counters.group_uncarried = len(self.uncarried)
        counters.group_unconfirmed = not self.confirmed

    async def take(self, shards: Mapping[int, int | None]) -> None:
        """Carry these too. Each with the time at which its gap began, None where there is none."""
        self._held.update(shards)
        await self.connections.apply(self.connections.plan)

    async def release(self, shards: AbstractSet[int], *, taken: bool) -> dict[int, int | None]:
        """Carry these no longer; shard → where the gap of its next owner begins.

        Without ``taken`` everything received is published first, if Kafka takes it in time: the
        next owner's ticks come after. With it the next owner has begun already.
        """
        for shard in shards:
            self._held.pop(shard, None)
        await self.connections.end(shards)
        published = not taken and await self._published(self.journal.writer.end)
        return {
            shard: self.handed_over.get(shard) or self._hand_over(shard, published)
            for shard in shards
        }

    def hand_over_all(self) -> None:
        published = self.pump.done(self.journal.writer.end)
        self.handed_over = {each: self._hand_over(each, published) for each in self._held}

    async def open_uncarried(self, shard: int, from_ns: int) -> None:
        self.connections.intake.open_uncarried(shard, from_ns)

    async def fence(self, fences: AbstractSet[Fence]) -> None:
        """What lies behind these is another bridge's to publish."""
        if not self.pump.done(self.journal.writer.end):
            self.pump.fences |= fences

    @property
    def _held(self) -> dict[int, int | None]:
        assert self.connections.held is not None
        return self.connections.held

    async def _published(self, end: Position) -> bool:
        cursor = self.journal.cursor
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                while cursor.position < end:
                    await asyncio.sleep(ACK_POLL_S)
        return cursor.position >= end

    def _hand_over(self, shard: int, published: bool) -> int | None:
        """Where the gap of the next owner begins; what is not in Kafka yet must lie in it."""
        intake = self.connections.intake
        if published:
            return intake.hand_over(shard)
        intake.yield_shard(shard)
        return self.acked_ns.get(shard)


class ShardKeeper(Membership):
    """Joins the group with ``start``; ``leave`` hands the shards over. Made in a bridge's loop."""

    def __init__(
        self,
        shards: GroupShards,
        kafka: KafkaSettings,
        own: Mapping[int, LastFrame],
        make_member: Callable[..., GroupMember] = GroupMember,
    ) -> None:
        """``own`` is the last frame of each shard in this bridge's journal."""
        self._shards = shards
        self._setup = shards.setup
        self._kafka = kafka
        self._make_member = make_member
        self._own = own
        self._clock = shards.clock
        self._owner = uuid.uuid4().hex[:12]
        self._loop = asyncio.get_running_loop()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shards", daemon=True)
        self._loop_heard_s = self._clock.monotonic_s()
        self._heartbeat: asyncio.Task[None] | None = None
        self._mine: frozenset[int] = frozenset()
        """What the group has given."""
        self._notes: dict[int, ShardNote] = {}
        self._checked = False
        self._changed = False
        self._write_due_s = 0.0

    def start(self) -> None:
        self._heartbeat = asyncio.create_task(self._note_that_the_loop_runs())
        self._thread.start()

    async def leave(self) -> None:
        """Hand the shards over and leave the group, so that others need not wait for a timeout."""
        self._leaving.set()
        await asyncio.to_thread(self._thread.join, LEAVE_S)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await self._heartbeat

    # Decisions of the group: called by the member within ``poll``, in the thread.

    def assigned(self, partitions: frozenset[int]) -> None:
        """Note what came; ``_settle`` does the rest, for which the group does not wait."""
        self._mine |= partitions
        self._changed = True
        self._shards.counters.rebalances += bool(partitions)

    def revoked(self, partitions: frozenset[int]) -> None:
        """Hand shards over before the call returns, for then others may be given them."""
        self._mine -= partitions
        self._shards.uncarried -= partitions
        going = partitions & self._shards.carried
        if self._leaving.is_set() or not going:
            return
        self._shards.counters.rebalances += 1
        log.info("shards go to another bridge", shards=sorted(going))
        begins = self._in_loop(self._shards.release(going, taken=False))
        self._shards.carried -= going
        notes = {shard: self._notes[shard].until(begins[shard]) for shard in going}
        self._notes.update(notes)
        self._member.write_now(_encoded(notes))

    def lost(self) -> None:
        """The group does not answer: the shards stay until it decides whose they are."""
        self._mine = frozenset()
        self._shards.known = False
        self._shards.counters.rebalances += 1
        log.warning(
            "the group is not heard; the shards are received and journaled, not published",
            shards=sorted(self._shards.carried),
        )

    # The thread.

    def _run(self) -> None:
        try:
            setup = self._setup
            self._member = self._make_member(
                self._kafka, SHARDS, setup.group, self, session_timeout_s=setup.timeout_s
            )
            try:
                while not self._leaving.is_set():
                    self._turn()
                self._hand_over()
            finally:
                self._leaving.set()
                self._member.close()
        except Exception as error:
            log.error("the bridge cannot take part in its group", reason=str(error))
            self._loop.call_soon_threadsafe(self._shards.fail, error)

    def _turn(self) -> None:
        if self._now() - self._loop_heard_s > self._setup.timeout_s / 2:
            # A bridge that hangs must lose its shards: a member that does not poll is expelled.
            self._leaving.wait(POLL_S)
            return
        self._member.poll(POLL_S)
        self._shards.trouble = self._member.trouble
        if self._changed:
            self._settle()
        elif self._shards.known and self._now() >= self._write_due_s and not self._member.writing:
            self._write()

    def _settle(self) -> None:
        """Do as the group decided: stop what others have, take what came, know since when."""
        try:
            if not self._checked:
                check_partitions(self._member.partitions(), self._setup.shards)
                self._checked = True
            notes = self._read()
        except BrokerUnreachable as error:
            log.warning("the group's notes are not to be had yet", reason=str(error))
            return
        self._changed = False
        before, gone = self._shards.carried, self._shards.carried - self._mine
        if gone:
            log.warning("another bridge was given shards", shards=sorted(gone))
            self._in_loop(self._shards.release(gone, taken=True))
        self._shards.carried -= gone
        keeps = carried(self._mine, self._shards.carried, self._setup.connections)
        new, now_ns = keeps - self._shards.carried, self._clock.now_ns()
        begins = {each: resume_from(notes[each], self._own.get(each)) for each in new}
        self._in_loop(self._shards.fence(fences_of(notes, self._owner)))
        for shard in new:
            notes[shard] = notes[shard].until(begins[shard]).taken(self._owner, now_ns)
        self._notes.update(notes)
        self._finish(partial(self._write, keeps))
        new &= self._mine  # unless the group has decided otherwise meanwhile
        self._shards.carried = (self._shards.carried | new) & self._mine
        self._in_loop(self._shards.take({shard: begins[shard] for shard in sorted(new)}))
        self._report_uncarried()
        if gone and not self._shards.known:
            self._wait_for_others(sorted(gone))
        self._shards.known = not self._changed
        if before != self._shards.carried:
            log.info("shards of this bridge", carried=sorted(self._shards.carried), new=sorted(new))

    def _report_uncarried(self) -> None:
        self._shards.uncarried = self._mine - self._shards.carried
        for shard in sorted(self._shards.uncarried):
            begins = resume_from(self._notes[shard], self._own.get(shard))
            log.error("a shard has no connection", shard=shard, most=self._setup.connections)
            if begins is not None:
                self._in_loop(self._shards.open_uncarried(shard, begins))

    def _finish(self, write: Callable[[], None]) -> None:
        """Write notes and wait until Kafka has them, or for as long as it may take."""
        ends_s = self._now() + CLAIM_S
        while self._member.writing and self._now() < ends_s:
            self._member.poll(POLL_S)
        write()
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
                self._in_loop(self._shards.fence(fences_of(notes, self._owner)))

    def _write(self, shards: AbstractSet[int] | None = None) -> None:
        """Renew the lease: note how far the shards are, as a member that Kafka still knows."""
        chosen = self._shards.carried if shards is None else shards
        sent_s = self._now()
        self._write_due_s = sent_s + HEARTBEAT_INTERVAL_S
        if not chosen:
            return
        acked = dict(self._shards.acked_ns)
        notes = {
            shard: self._notes[shard].until(
                acked.get(shard) if shard in self._shards.carried else None
            )
            for shard in chosen
        }
        self._notes.update(notes)

        def written(taken: bool) -> None:
            if taken:
                self._shards.lease_ends_s = sent_s + self._setup.timeout_s - MARGIN_S

        self._member.write(_encoded(notes), written)

    def _hand_over(self) -> None:
        begins = dict(self._shards.handed_over)
        notes = {
            shard: self._notes[shard].until(begins.get(shard))
            for shard in self._shards.carried
            if shard in self._notes
        }
        if notes and self._shards.confirmed:
            self._finish(lambda: self._member.write(_encoded(notes), lambda taken: None))

    def _read(self) -> dict[int, ShardNote]:
        found = self._member.notes(range(self._setup.shards))
        return {each: ShardNote.decode(found.get(each)) for each in range(self._setup.shards)}

    def _in_loop(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        asked: Future[Answer] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return asked.result(ANSWER_S)

    def _now(self) -> float:
        return self._clock.monotonic_s()

    async def _note_that_the_loop_runs(self) -> None:
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


def _encoded(notes: Mapping[int, ShardNote]) -> dict[int, str]:
    return {shard: note.encode() for shard, note in notes.items()}
