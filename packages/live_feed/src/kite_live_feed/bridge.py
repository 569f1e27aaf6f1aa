"""The bridge in one loop: Kite sessions → intake → journal → pump → Kafka."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog

from kite_broker_zerodha.frames import warm_up as warm_up_decoder
from kite_broker_zerodha.session.liveness_loop import warm_up as warm_up_liveness
from kite_broker_zerodha.subscriptions import Plan
from kite_kafka_io.errors import BrokerUnreachable, RegistryError
from kite_kafka_io.producer import warm_up as warm_up_producer
from kite_kafka_io.topics import write_problems
from kite_live_feed.connections import BridgeParts, Connections
from kite_live_feed.counters import Counters
from kite_live_feed.dead_letter_alarm import DeadLetterWatch
from kite_live_feed.journal import Journal
from kite_live_feed.namesakes import Namesakes
from kite_live_feed.partition_watch import PartitionWatch
from kite_live_feed.pump import Pump
from kite_live_feed.refused import RefusedStore
from kite_live_feed.shard_keeper import GroupShards

log = structlog.get_logger()

ACK_POLL_S: Final = 0.002
POLL_INTERVAL_S: Final = 0.1
"""How often the pump checks for what sends no event, such as a producer that may be reopened."""
HOUSEKEEPING_S: Final = 1.0
UNACKED_ALARM_S: Final = 5.0
TOPICS_S: Final = 30.0
"""How often Kafka is asked about the topic of ticks, and about topics that take no records."""
SCHEMAS_S: Final = 2.0
"""How often a schema registry that is away, or refuses, is asked again."""
_PIPE_BYTES: Final = 4096


class Bridge:
    """Runs until it is stopped. ``counters`` can be read at any time; ``shards`` are those of a
    group, None for a bridge that carries all of its plan."""

    def __init__(self, parts: BridgeParts, journal: Journal, plan: Plan) -> None:
        self.counters = Counters(calendar_ends_ns=parts.calendar_ends_ns)
        self._parts = parts
        self._journal = journal
        self._wake = asyncio.Event()
        self._answers = Waker(self._answered)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last_progress_s = parts.clock.monotonic_s()
        self._kafka_stalled = False
        self._topic_problems = dict(parts.topic_problems)
        self._schema_problem: str | None = None
        self._acked = 0
        self._connections = Connections(
            parts, journal, plan, self.counters, self._wake.set, self._start
        )
        self._intake = self._connections.intake
        self._dead_letters = DeadLetterWatch(
            parts.dead_letter_limits, self.counters, self._intake.on_dead_letters
        )
        self._partitions = PartitionWatch(
            parts.kafka, parts.topics.ticks, parts.partitions, self._intake.on_topic_changed
        )
        self._namesakes: Namesakes | None = None
        if parts.group is None:  # the bridges of a group have one name
            sessions, now_ns = self.counters.session_packets, parts.clock.now_ns()
            self._namesakes = Namesakes(
                parts.kafka, parts.topics.events, parts.feed, sessions, now_ns
            )
        self._refused = RefusedStore(journal.writer.directory)
        self._pump = Pump(
            journal.reader,
            journal.cursor,
            parts.kafka,
            parts.framing,
            parts.topics,
            self.counters,
            refused=self._refused,
            orders=parts.orders,
            sharded=parts.group is not None,
            wake_by=self._answers.descriptor,
            on_damage=self._intake.on_damage,
        )
        self.shards: GroupShards | None = None
        if parts.group is not None:
            self.shards = GroupShards(
                parts.group,
                self._connections,
                self._pump,
                journal,
                self.counters,
                parts.clock,
                self.fail,
            )

    @property
    def plan(self) -> Plan:
        return self._connections.plan

    @property
    def settled(self) -> bool:
        """True when everything journaled so far is acknowledged."""
        return self._pump.done(self._journal.writer.end)

    def problems(self) -> list[str]:
        """Why the bridge is not ready, one sentence each; empty when it is."""
        found = self._connections.problems()
        if self.shards is not None:
            found += self.shards.problems()
        stalled_s = self._stalled_s()
        if stalled_s > UNACKED_ALARM_S:
            found.append(
                f"Kafka has acknowledged nothing for {stalled_s:.0f} s; ticks are journaled"
            )
        if self._schema_problem is not None:
            found.append(f"nothing is published, ticks are journaled: {self._schema_problem}")
        if self._journal.writer.problem is not None:
            found.append(self._journal.writer.problem)
        if self._dead_letters.problem is not None:
            found.append(self._dead_letters.problem)
        for topic, why in (self._topic_problems | self._pump.side.problems).items():
            found.append(f"{topic} takes no records, ticks go on: {why}")
        others = self._namesakes
        for problem in (
            self._partitions.problem,
            self._pump.clock_problem,
            None if others is None else others.problem(self._parts.clock.now_ns()),
        ):
            if problem is not None:
                found.append(problem)
        if self._refused.problem is not None:
            found.append(f"records that Kafka refuses are not put aside: {self._refused.problem}")
        return found

    def refresh(self) -> None:
        """Bring the gauges among the counters up to date. Called in the loop."""
        counters, writer = self.counters, self._journal.writer
        if self.shards is not None:
            self.shards.refresh()
        counters.shards_connected = len(self._intake.connected)
        counters.journal_backlog_bytes = writer.backlog_bytes
        counters.journal_backlog_since_ns = self._pump.oldest_recv_ns
        counters.journal_disk_bytes = writer.disk_bytes
        counters.journal_room_bytes = writer.room_bytes
        counters.journal_full = writer.full is not None
        counters.refused_bytes = self._refused.size_bytes
        counters.shards = self._connections.views()

    async def run(self, stop: asyncio.Event) -> None:
        """Receive and publish until ``stop`` is set; then leave Kite. ``drain`` does the rest.

        Raises what a session or the pump raises: a defect, never a state of the network.
        """
        log.info("starting", feed=self._parts.feed, tokens=self.plan.tokens)
        if self._journal.cursor.damaged:
            log.warning("the journal's position is unreadable; publishing all that it holds again")
        if self._journal.recovery.note_damaged:
            log.warning(
                "the note of the connections' last frames is unreadable; the gap of one that was "
                "silent for long may not be reported"
            )
        # Before connecting: the first ticks must not wait for the compiler.
        await asyncio.to_thread(warm_up)
        self._intake.announce_earlier()
        await self.apply(self.plan)
        self._start(self._know_schemas())
        self._start(self._pump_forever())
        self._start(self._keep_house())
        self._start(self._recheck_topics())
        stopped = asyncio.create_task(stop.wait())
        try:
            ends: set[asyncio.Future[Any]] = {stopped, self._failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
        finally:
            stopped.cancel()
            await self._connections.stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def apply(self, plan: Plan) -> None:
        await self._connections.apply(plan)

    async def drain(self, deadline_s: float, hurry: Callable[[], bool] = lambda: False) -> int:
        """Publish what is journaled until all of it is acknowledged or the time is up.

        Returns the bytes of the journal that are left for the next run. Raises what ended the run.
        """
        ends_s = self._parts.clock.monotonic_s() + deadline_s
        if self.shards is None:
            self._intake.announce_stop()
        else:
            self._intake.announce_loss()
            await self._publish_until(ends_s, hurry)
            self.shards.hand_over_all()
        await self._publish_until(ends_s, hurry)
        left = 0 if self.settled else self._journal.writer.backlog_bytes
        self.close()
        if self._failed.done():
            self._failed.result()
        return left

    def close(self) -> None:
        """Leave Kafka at once; the journal keeps what is not acknowledged. A second call does
        nothing."""
        self._pump.close()
        self._answers.close()

    def fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A session that is no longer needed just ends; one that failed ends the bridge."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(error)

    def _may_publish(self) -> bool:
        """A bridge that may have lost its shards only journals them, until it knows; so does one
        whose schema registry has not named the schemas yet."""
        return self._parts.framing.known and (self.shards is None or self.shards.confirmed)

    async def _know_schemas(self) -> None:
        framing = self._parts.framing
        while not framing.known:
            try:
                await asyncio.to_thread(framing.prepare)
            except RegistryError as error:
                if self._schema_problem is None:
                    log.error("the schemas are not known; ticks are journaled", reason=str(error))
                self._schema_problem = str(error)
                await asyncio.sleep(SCHEMAS_S)
        if self._schema_problem is not None:
            log.info("the schemas are known")
            self._schema_problem = None
        self._wake.set()

    async def _pump_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL_S):
                    await self._wake.wait()
            self._wake.clear()
            while self._may_publish() and self._pump.step():
                self._collect()
                await asyncio.sleep(self._pump.rest_s)  # the socket is read between two chunks
            self._collect()

    async def _publish_until(self, ends_s: float, hurry: Callable[[], bool]) -> None:
        while not self.settled and self._parts.clock.monotonic_s() < ends_s and not hurry():
            busy = self._may_publish() and self._pump.step()
            self._pump.collect()
            await asyncio.sleep(0 if busy else ACK_POLL_S)

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
            writer = self._journal.writer
            writer.sweep()
            if writer.restore_folder():
                self._intake.on_folder_deleted()
            if self._pump.fences and self.settled:
                self._pump.fences = frozenset()  # nothing that was journaled before is left
            self.refresh()
            self._log_stalls()
            clock = self._parts.clock
            self._dead_letters.look(clock.monotonic_s(), clock.now_ns())
            await asyncio.sleep(HOUSEKEEPING_S)

    def _log_stalls(self) -> None:
        stalled = self._stalled_s() > UNACKED_ALARM_S
        if stalled != self._kafka_stalled:
            self._kafka_stalled = stalled
            backlog = self.counters.journal_backlog_bytes
            if stalled:
                log.error("Kafka acknowledges nothing; ticks are journaled", backlog_bytes=backlog)
            else:
                log.info("Kafka acknowledges again", backlog_bytes=backlog)

    async def _recheck_topics(self) -> None:
        """The topic of ticks may have changed; topics that took no records may do so now, even
        while there is nothing to send there."""
        kafka, side = self._parts.kafka, self._pump.side
        while True:
            await asyncio.sleep(TOPICS_S)
            with suppress(BrokerUnreachable):
                self._partitions.judge(await asyncio.to_thread(self._partitions.look))
            if self._namesakes is not None:
                with suppress(BrokerUnreachable, RegistryError):
                    await asyncio.to_thread(self._namesakes.look, self._parts.framing)
            asked = sorted(self._topic_problems | side.problems)
            if not asked:
                continue
            with suppress(BrokerUnreachable):
                self._topic_problems = await asyncio.to_thread(write_problems, kafka, asked)
                side.forgive(set(asked) - set(self._topic_problems))

    def _stalled_s(self) -> float:
        """How long Kafka has owed acknowledgements; 0 while it owes none but what it refuses."""
        if self.settled or self._pump.only_refused(self._journal.writer.end):
            return 0.0
        return self._parts.clock.monotonic_s() - self._last_progress_s


class Waker:
    """Calls ``wake`` in the running loop when something was written to ``descriptor``: librdkafka's
    threads report through this pipe that there are acknowledgements."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Made in a coroutine. Raises OSError when there are no more file descriptors."""
        self._wake = wake
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)  # a full pipe wakes as well as one more byte
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read, self._ready)

    def close(self) -> None:
        """Whoever writes must have ended before. A second call does nothing."""
        if self._read >= 0:
            self._loop.remove_reader(self._read)
            os.close(self._read)
            os.close(self.descriptor)
            self._read = -1

    def _ready(self) -> None:
        os.read(self._read, _PIPE_BYTES)
        self._wake()


def warm_up() -> None:
    warm_up_decoder()
    warm_up_liveness()
    warm_up_producer()
