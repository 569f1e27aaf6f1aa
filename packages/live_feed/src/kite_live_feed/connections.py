"""The bridge's connections to Kite: one session a shard, all of them listened to by the intake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kite_broker_zerodha.session.credentials import CredentialSource
from kite_broker_zerodha.session.events import FeedSessions, GapCause
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.session import KiteSession, SessionState
from kite_broker_zerodha.subscriptions import Plan
from kite_kafka_io.breaker import BreakerLimits
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.counters import Counters, ShardView
from kite_live_feed.intake import Intake
from kite_live_feed.journal import Journal
from kite_live_feed.options import GroupSetup
from kite_live_feed.topics import Topics
from kite_runtime.clock import Clock

CLOSE_S: Final = 2.0
"""A session gets this long to end."""

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


@dataclass(frozen=True)
class BridgeParts:
    """What a bridge is made of; the commands put it together."""

    feed: str
    endpoint: str
    credentials: CredentialSource
    kafka: KafkaSettings
    framing: Framing
    topics: Topics
    session_options: SessionOptions
    clock: Clock
    topic_problems: Mapping[str, str] = field(default_factory=dict)
    """Topic of dead letters or events → why nothing can be written to it, as found at the start."""
    dead_letter_limits: BreakerLimits = field(default_factory=BreakerLimits)
    orders: bool = False
    """Publish order postbacks."""
    partitions: int | None = None
    """Of the topic of ticks, as found at the start; None where Kafka did not answer."""
    group: GroupSetup | None = None
    """How the universe is shared out; None for a bridge that carries all of its plan."""
    calendar_ends_ns: int = 0
    """As in `Counters`."""


class Connections:
    """The sessions of a plan. ``intake`` receives what they send."""

    def __init__(
        self,
        parts: BridgeParts,
        journal: Journal,
        plan: Plan,
        counters: Counters,
        wake: Callable[[], None],
        start: Start,
    ) -> None:
        """``start`` runs a session as a task of the bridge; ``wake`` is called for each record."""
        self.plan = plan
        """The subscription as it should be."""
        self.held: dict[int, int | None] | None = None if parts.group is None else {}
        """The shards that a group gave, each with where its first gap begins; None for all."""
        self.intake = Intake(
            feed=parts.feed,
            writer=journal.writer,
            counters=counters,
            clock=parts.clock,
            wake=wake,
            tokens_of=self._tokens_of,
            orders=parts.orders,
        )
        self._parts = parts
        self._counters = counters
        self._writer = journal.writer
        self._start = start
        self._feed_sessions = FeedSessions(after=journal.recovery.last_session or 0)
        self._sessions: dict[int, KiteSession] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    async def apply(self, plan: Plan) -> None:
        self.plan = plan
        for shard, tokens in enumerate(plan.shards):
            if self.held is not None and (shard not in self.held or not tokens):
                continue
            session = self._sessions.get(shard)
            if session is None:
                session = self._open(shard)
                await session.apply(tokens)
                self._running[shard] = self._start(session.run())
            else:
                await session.apply(tokens)
        gone = [each for each in self._sessions if each >= len(plan.shards)]
        await self.end(gone)
        for shard in gone:
            self.intake.yield_shard(shard)
        self._writer.keep_shards(len(plan.shards))

    async def end(self, shards: Iterable[int]) -> None:
        """Close the connections of these shards, and cancel those that do not close in time."""
        await asyncio.gather(*map(self._end, shards))

    async def stop(self) -> None:
        """Close all; the tasks that ran them are the bridge's to end."""
        for session in self._sessions.values():
            await session.stop()

    def problems(self) -> list[str]:
        found = []
        for shard, session in sorted(self._sessions.items()):
            if session.state is not SessionState.LIVE:
                found.append(f"shard {shard} is {session.state}{self._reason(session.state)}")
            elif session.is_mute:
                found.append(f"shard {shard} is connected, but Kite sends no ticks")
        return found

    def views(self) -> dict[int, ShardView]:
        return {
            shard: ShardView(
                str(session.state),
                len(self._tokens_of(shard)),
                session.connect_attempts,
                session.last_data_ns,
            )
            for shard, session in self._sessions.items()
        }

    def _reason(self, state: SessionState) -> str:
        expired = state is SessionState.AUTH_EXPIRED and self._counters.auth_problem
        return f": {self._counters.auth_problem}" if expired else ""

    def _open(self, shard: int) -> KiteSession:
        last = self._writer.last_frames.get(shard)
        options = replace(
            self._parts.session_options,
            resume_from_ns=last.ts_recv_ns if last is not None else None,
        )
        if self.held is not None:
            begins, self.held[shard] = self.held[shard], None
            options = replace(options, resume_from_ns=begins, resume_cause=GapCause.HANDOVER)
        session = self._sessions[shard] = KiteSession(
            shard,
            self._parts.endpoint,
            self._parts.credentials,
            self.intake,
            self._parts.clock,
            options,
            self._feed_sessions,
        )
        return session

    async def _end(self, shard: int) -> None:
        session, task = self._sessions.pop(shard, None), self._running.pop(shard, None)
        if session is None or task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await session.stop()
                await asyncio.wait([task])
        task.cancel()

    def _tokens_of(self, shard: int) -> tuple[int, ...]:
        shards = self.plan.shards
        return tuple(shards[shard]) if shard < len(shards) else ()
