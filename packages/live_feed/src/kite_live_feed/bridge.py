"""The bridge in one loop: Kite sessions → intake → journal → pump → Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import structlog

from kite_broker_zerodha.frames import warm_up as warm_up_decoder
from kite_broker_zerodha.session.events import FeedSessions, GapCause
from kite_broker_zerodha.session.liveness_loop import warm_up as warm_up_liveness
from kite_broker_zerodha.session.session import KiteSession, SessionState
from kite_broker_zerodha.subscriptions import Plan
from kite_contracts.tick_batch import INSTRUMENT_TOKEN, TS_RECV_NS, TickBatch
from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.producer import warm_up as warm_up_producer
from kite_kafka_io.topics import write_problems
from kite_live_feed.bridge_parts import BridgeParts, Group
from kite_live_feed.counters import Counters, ShardView
from kite_live_feed.dead_letter_alarm import DeadLetterWatch
from kite_live_feed.intake import Intake
from kite_live_feed.journal import Journal, Position
from kite_live_feed.pump import make_pump
from kite_live_feed.refused import RefusedStore
from kite_live_feed.shards import Fence
from kite_live_feed.wakeup import Waker

log = structlog.get_logger()

ACK_POLL_S: Final = 0.002
LOOK_S: Final = 0.1
"""So often the pump looks for what wakes nobody: a producer that may be opened again, say."""
HOUSEKEEPING_S: Final = 1.0
UNACKED_ALARM_S: Final = 5.0
TOPICS_S: Final = 30.0
"""So often Kafka is asked about topics that take no records."""
RELEASE_S: Final = 2.0
"""So long a shard that goes to another bridge may take to end, and again to be published."""


class Bridge:
    """Runs until it is told to stop. ``counters`` are its books; read them at any time."""

    def __init__(self, parts: BridgeParts, journal: Journal, plan: Plan) -> None:
        self.counters = Counters()
        self._parts = parts
        self._journal = journal
        self._plan = plan
        self._wake = asyncio.Event()
        self._answers = Waker(self._answered)
        self._feed_sessions = FeedSessions(after=journal.recovery.last_session or 0)
        self._sessions: dict[int, KiteSession] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._held: dict[int, int | None] | None = {} if parts.shards else None
        """The shards that a group gave, each with where its first gap begins; None for all."""
        self._handed_over: dict[int, int | None] = {}
        self.group: Group | None = None
        """Who shares out the shards, where ``parts.shards`` says so; set it before ``run``."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last_progress_s = parts.clock.monotonic_s()
        self._kafka_silent = False
        self._topic_problems = dict(parts.topic_problems)
        self._acked = 0
        self._intake = Intake(
            feed=parts.feed,
            writer=journal.writer,
            counters=self.counters,
            clock=parts.clock,
            wake=self._wake.set,
            tokens_of=self._tokens_of,
        )
        self._dead_letters = DeadLetterWatch(
            parts.dead_letter_limits, self.counters, self._intake.on_dead_letters
        )
        self._refused = RefusedStore(journal.writer.directory)
        self._pump = make_pump(
            journal.reader,
            journal.cursor,
            parts.kafka,
            parts.framing,
            parts.topics,
            self.counters,
            on_batch=self._saw,
            refused=self._refused,
            sharded=bool(parts.shards),
            wake_by=self._answers.descriptor,
        )

    @property
    def plan(self) -> Plan:
        """The subscription as it is wished now."""
        return self._plan

    @property
    def settled(self) -> bool:
        """True when everything journaled so far is acknowledged."""
        return self._pump.idle and self._journal.cursor.position >= self._journal.writer.end

    def problems(self) -> list[str]:
        """Why the bridge is not ready, one sentence each; empty when it is."""
        found = [
            f"shard {shard} is {session.state}{self._why(session.state)}"
            for shard, session in sorted(self._sessions.items())
            if session.state is not SessionState.LIVE
        ]
        if self.group is not None:
            found += self.group.problems()
        silent_s = self._silent_s()
        if self._awaits_kafka() and silent_s > UNACKED_ALARM_S:
            found.append(
                f"Kafka has acknowledged nothing for {silent_s:.0f} s; ticks are journaled"
            )
        if self._journal.writer.problem is not None:
            found.append(self._journal.writer.problem)
        if self._dead_letters.problem is not None:
            found.append(self._dead_letters.problem)
        for topic, why in (self._topic_problems | self._pump.side.problems).items():
            found.append(f"{topic} takes no records, ticks go on: {why}")
        if self._refused.problem is not None:
            found.append(f"records that Kafka refuses are not put aside: {self._refused.problem}")
        return found

    def refresh(self) -> None:
        """Bring the gauges among the counters up to date. Called in the loop."""
        counters, writer = self.counters, self._journal.writer
        counters.group_shards = tuple(sorted(self._held or ()))
        counters.group_size = self._parts.shards
        if self.group is not None:
            counters.group_uncarried = len(self.group.uncarried)
            counters.group_unconfirmed = not self.group.confirmed
        counters.shards_connected = len(self._intake.connected)
        counters.journal_backlog_bytes = writer.backlog_bytes
        counters.journal_backlog_since_ns = self._pump.oldest_recv_ns
        counters.journal_disk_bytes = writer.disk_bytes
        counters.journal_room_bytes = writer.room_bytes
        counters.journal_full = writer.full is not None
        counters.refused_bytes = self._refused.size_bytes
        counters.shards = {
            shard: ShardView(
                str(session.state),
                len(self._tokens_of(shard)),
                session.connect_attempts,
                session.last_data_ns,
            )
            for shard, session in self._sessions.items()
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Receive and publish until ``stop`` is set; then leave Kite. ``drain`` does the rest.

        Raises what a session or the pump raises: a defect, never a state of the network.
        """
        log.info("starting", feed=self._parts.feed, tokens=self._plan.tokens)
        if self._journal.cursor.damaged:
            log.warning("the journal's position is unreadable; publishing all that it holds again")
        if self._journal.recovery.note_damaged:
            log.warning(
                "the note of the connections' last frames is unreadable; the gap of one that was "
                "silent for long may not be told"
            )
        await self.apply(self._plan)
        # The first tick must not wait for the compiler; connecting takes longer than loading.
        await asyncio.to_thread(warm_up)
        self._start(self._pump_forever())
        self._start(self._keep_house())
        self._start(self._ask_for_topics())
        stopped = asyncio.create_task(stop.wait())
        try:
            ends: set[asyncio.Future[Any]] = {stopped, self._failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
        finally:
            stopped.cancel()
            for session in self._sessions.values():
                await session.stop()
            await self._leave()

    async def apply(self, plan: Plan) -> None:
        """Make this the subscription; only the difference is sent."""
        self._plan = plan
        for shard, tokens in enumerate(plan.shards):
            if self._held is not None and (shard not in self._held or not tokens):
                continue
            session = self._sessions.get(shard)
            if session is None:
                session = self._open_session(shard)
                await session.apply(tokens)
                self._running[shard] = self._start(session.run())
            else:
                await session.apply(tokens)
        gone = [each for each in self._sessions if each >= len(plan.shards)]
        await asyncio.gather(*(self._end_session(shard) for shard in gone))
        for shard in gone:
            self._intake.yield_shard(shard)
        self._journal.writer.keep_shards(len(plan.shards))

    @property
    def acked_ns(self) -> Mapping[int, int]:
        """Shard → receive time of its last frame that Kafka has, of a bridge in a group."""
        return self._pump.acked_ns

    async def take(self, shards: Mapping[int, int | None]) -> None:
        """Carry these too. Each with the time at which its gap began, None where there is none."""
        assert self._held is not None
        self._held.update(shards)
        await self.apply(self._plan)

    async def release(self, shards: AbstractSet[int], *, taken: bool) -> dict[int, int | None]:
        """Carry these no longer; shard → where the gap of its next owner begins.

        Without ``taken`` everything received is published first, if Kafka takes it in time: the
        next owner's ticks come after. ``taken`` says that it has begun already.
        """
        begins: dict[int, int | None] = {}
        if self._held is not None:
            self._held = {each: at for each, at in self._held.items() if each not in shards}
        await asyncio.gather(*(self._end_session(shard) for shard in shards))
        published = not taken and await self._published(self._journal.writer.end)
        for shard in shards:
            begins[shard] = self._handed_over.get(shard) or self._hand_over(shard, published)
        return begins

    def open_uncarried(self, shard: int, from_ns: int) -> None:
        """Tell as a gap that the group gave a shard for which there is no connection."""
        self._intake.open_uncarried(shard, from_ns)

    def fence(self, fences: AbstractSet[Fence]) -> None:
        """What lies behind these is another bridge's to publish."""
        if not self.settled:
            self._pump.fences |= fences

    def fail(self, error: Exception) -> None:
        """End the run with this error."""
        if not self._failed.done():
            self._failed.set_exception(error)

    def handed_over(self) -> dict[int, int | None]:
        """What ``drain`` left to the next owners: shard → where its gap begins."""
        return self._handed_over

    async def _end_session(self, shard: int) -> None:
        session, task = self._sessions.pop(shard, None), self._running.pop(shard, None)
        if session is None or task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await session.stop()
                await asyncio.wait([task])
        task.cancel()

    async def _published(self, end: Position) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                while self._journal.cursor.position < end:
                    await asyncio.sleep(ACK_POLL_S)
        return self._journal.cursor.position >= end

    def _hand_over(self, shard: int, published: bool) -> int | None:
        """Where the gap of the next owner begins; what is not in Kafka yet must lie in it."""
        if published:
            return self._intake.hand_over(shard)
        self._intake.yield_shard(shard)
        return self.acked_ns.get(shard)

    def _may_publish(self) -> bool:
        """A bridge that may have lost its shards journals them, until it knows."""
        return self.group is None or self.group.confirmed

    def _why(self, state: SessionState) -> str:
        expired = state is SessionState.AUTH_EXPIRED and self.counters.auth_problem
        return f": {self.counters.auth_problem}" if expired else ""

    async def drain(self, deadline_s: float, hurry: Callable[[], bool] = lambda: False) -> int:
        """Publish what is journaled until all of it is acknowledged or the time is up.

        Returns the bytes of the journal that are left for the next run.
        """
        ends_s = self._parts.clock.monotonic_s() + deadline_s
        if self._held is None:
            self._intake.announce_stop()
        else:
            self._intake.announce_loss()
            await self._publish_until(ends_s, hurry)
            published = self.settled
            self._handed_over = {each: self._hand_over(each, published) for each in self._held}
        await self._publish_until(ends_s, hurry)
        self._pump.close()
        self._answers.close()
        if self._failed.done():
            self._failed.result()
        return 0 if self.settled else self._journal.writer.backlog_bytes

    async def _publish_until(self, ends_s: float, hurry: Callable[[], bool]) -> None:
        while not self.settled and self._parts.clock.monotonic_s() < ends_s and not hurry():
            busy = self._may_publish() and self._pump.step()
            self._pump.collect()
            await asyncio.sleep(0 if busy else ACK_POLL_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A session that is no longer needed just ends; one that failed ends the bridge."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open_session(self, shard: int) -> KiteSession:
        last = self._journal.writer.last_frames.get(shard)
        options = replace(
            self._parts.session_options,
            resume_from_ns=last.ts_recv_ns if last is not None else None,
        )
        if self._held is not None:
            begins, self._held[shard] = self._held[shard], None
            options = replace(options, resume_from_ns=begins, resume_cause=GapCause.HANDOVER)
        session = KiteSession(
            shard,
            self._parts.endpoint,
            self._parts.credentials,
            self._intake,
            self._parts.clock,
            options,
            self._feed_sessions,
        )
        self._sessions[shard] = session
        return session

    def _tokens_of(self, shard: int) -> tuple[int, ...]:
        shards = self._plan.shards
        return tuple(shards[shard]) if shard < len(shards) else ()

    def _saw(self, batch: TickBatch) -> None:
        tokens = batch.values[: batch.size, INSTRUMENT_TOKEN]
        seen_ns = batch.values[: batch.size, TS_RECV_NS]
        for session in self._sessions.values():
            session.saw(tokens, seen_ns)

    async def _pump_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            while self._may_publish() and self._pump.step():
                self._collect()
                await asyncio.sleep(self._pump.rest_s)  # the socket is read between two chunks
            self._collect()

    def _answered(self) -> None:
        """Kafka has answered: there may be room for what had none."""
        self._collect()
        if self._pump.held_up:
            self._wake.set()

    def _collect(self) -> None:
        try:
            self._pump.collect()
        except Exception as defect:
            self.fail(defect)
            return
        if self.counters.ticks_acked != self._acked or self.settled:
            self._acked = self.counters.ticks_acked
            self._last_progress_s = self._parts.clock.monotonic_s()

    async def _keep_house(self) -> None:
        while True:
            self._journal.writer.sweep()
            if self._pump.fences and self.settled:
                self._pump.fences = frozenset()  # nothing that was journaled before is left
            self.refresh()
            self._tell_of_kafka()
            clock = self._parts.clock
            self._dead_letters.look(clock.monotonic_s(), clock.now_ns())
            await asyncio.sleep(HOUSEKEEPING_S)

    def _tell_of_kafka(self) -> None:
        """One line when acknowledgements stop, one when they come again."""
        silent = self._awaits_kafka() and self._silent_s() > UNACKED_ALARM_S
        if silent != self._kafka_silent:
            self._kafka_silent = silent
            backlog = self.counters.journal_backlog_bytes
            if silent:
                log.error("Kafka acknowledges nothing; ticks are journaled", backlog_bytes=backlog)
            else:
                log.info("Kafka acknowledges again", backlog_bytes=backlog)

    async def _ask_for_topics(self) -> None:
        """Topics that took no records may do so now, and nothing may be there to send to them."""
        kafka, side = self._parts.kafka, self._pump.side
        while True:
            await asyncio.sleep(TOPICS_S)
            asked = sorted(self._topic_problems | side.problems)
            if not asked:
                continue
            with suppress(BrokerUnreachable):
                self._topic_problems = await asyncio.to_thread(write_problems, kafka, asked)
                side.forgive(set(asked) - set(self._topic_problems))

    def _awaits_kafka(self) -> bool:
        return not self.settled and not self._pump.only_refused(self._journal.writer.end)

    def _silent_s(self) -> float:
        return self._parts.clock.monotonic_s() - self._last_progress_s


def warm_up() -> None:
    """Compile the hot path, or load it from the user's cache."""
    warm_up_decoder()
    warm_up_liveness()
    warm_up_producer()
