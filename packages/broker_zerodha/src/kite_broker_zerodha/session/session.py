"""One connection to Kite that comes back by itself: the asyncio edge of the package.

Everything that decides is in the pure modules beside it; this one moves bytes and waits. The
listener hears every frame and every change of state, in order, from one task at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Final

from websockets.exceptions import ConnectionClosed

from kite_broker_zerodha.errors import AuthRefused, CredentialsError
from kite_broker_zerodha.session.credentials import Credentials, CredentialSource
from kite_broker_zerodha.session.events import (
    AuthExpired,
    AuthRestored,
    Connected,
    Disconnected,
    FeedSessions,
    GapCause,
    GapClosed,
    GapOpened,
    Listener,
    Stale,
    Subscribed,
    TextMessage,
)
from kite_broker_zerodha.session.liveness import FlowWatchdog, InboundWatchdog, SymbolWatchdog
from kite_broker_zerodha.session.messages import checked_endpoint, messages_of, parse_text
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.orders import order_of
from kite_broker_zerodha.session.transport import (
    ABNORMAL_CLOSURE,
    ConnectFailed,
    KiteConnection,
    closed_as,
    open_connection,
)
from kite_broker_zerodha.subscriptions import ShardPlan, diff_shard
from kite_runtime.clock import Clock, SystemClock
from kite_runtime.secrets import redact

CLOCK_JUMP_NS: Final = 1_000_000_000
"""Wall and monotonic clock apart by more than this between two looks: the clock was set."""


class SessionState(StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    LIVE = "live"
    BACKOFF = "backoff"
    AUTH_EXPIRED = "auth_expired"
    STOPPED = "stopped"


class KiteSession:
    """Keeps one shard's connection alive and its subscription as requested.

    ``run`` returns after ``stop``; it raises only what the listener raises. ``credentials`` is
    asked before each attempt. Give all sessions of a bridge the same ``feed_sessions``.
    Raises EndpointError for an address that is not ``ws://`` or ``wss://``.
    """

    def __init__(
        self,
        shard: int,
        endpoint: str,
        credentials: CredentialSource,
        listener: Listener,
        clock: Clock | None = None,
        options: SessionOptions | None = None,
        feed_sessions: FeedSessions | None = None,
    ) -> None:
        self.shard = shard
        self.state = SessionState.IDLE
        self.feed_session: int | None = None
        self.frames = 0
        """Tick frames received since the session was made."""
        self.heartbeats = 0
        self.connect_attempts = 0
        """Handshakes begun, those that failed included; without credentials none is."""
        self.last_data_ns: int | None = None
        """Receive time of the last tick frame."""
        self.is_mute = False
        """Connected, the market is open, and yet no tick arrives."""
        self._endpoint = checked_endpoint(endpoint)
        self._source = credentials
        self._listener = listener
        self._clock: Clock = clock or SystemClock()
        self._options = options or SessionOptions()
        self._feed_sessions = feed_sessions or FeedSessions()
        self._backoff = self._options.backoff()
        self._flow = FlowWatchdog(
            self._options.stall_s,
            memory_s=self._options.flow_memory_s,
            first_s=self._options.first_tick_s,
        )
        self._symbols = SymbolWatchdog(
            self._options.symbol_floor_s, self._options.symbol_cap_s, is_open=self._options.is_open
        )
        self._requested: ShardPlan = {}
        self._subscribed: ShardPlan = {}
        self._sending = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._connection: KiteConnection | None = None
        self._credentials: Credentials | None = None
        self._refused: Credentials | None = None
        """Those that Kite refused last; None again once a connection is made."""
        self._gap: GapOpened | None = None
        self._cause = GapCause.CONNECT_FAILED
        self._end_reason: str | None = None
        self._auth_alarm = False
        self._failure_reported: str | None = None
        self._since_ns = 0

    async def run(self) -> None:
        """Connect, deliver, and connect again, until ``stop`` or cancellation."""
        self._since_ns = self._clock.now_ns()
        if self._options.resume_from_ns is not None:
            self._open_gap(self._options.resume_cause, self._options.resume_from_ns)
        try:
            while not self._stopping.is_set():
                self.state = SessionState.CONNECTING
                try:
                    connection = await self._connect()
                except AuthRefused as error:
                    if not await self._try_once_more():
                        await self._auth_refused(str(error))
                except CredentialsError as error:
                    await self._auth_refused(str(error))
                except ConnectFailed as error:
                    self._attempt_failed(str(error))
                    await self._back_off(error.retry_after_s)
                else:
                    await self._serve(connection)
                    await self._back_off()
        finally:
            self.state = SessionState.STOPPED

    async def apply(self, subscription: ShardPlan) -> None:
        """Make this the subscription: on a live connection only the difference is sent."""
        self._requested = dict(subscription)
        self._symbols.watch(tuple(self._requested), self._clock.now_ns())
        connection = self._connection
        if connection is not None:
            await self._send_difference(connection)

    async def stop(self) -> None:
        """Close in order; what Kite sent before is still delivered, then ``run`` returns."""
        self._stopping.set()
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> KiteConnection:
        self._credentials = None
        self._credentials = self._source.load()
        self.connect_attempts += 1
        return await open_connection(self._endpoint, self._credentials, self._options, self._clock)

    async def _serve(self, connection: KiteConnection) -> None:
        """One connection from its handshake to its end."""
        self._began()
        self._connection = connection
        helpers = [
            asyncio.create_task(self._watch(connection)),
            asyncio.create_task(self._send_difference(connection)),
        ]
        for helper in helpers:
            # A helper that fails (its listener raised) must not leave a feed without watchdogs.
            helper.add_done_callback(partial(_abort_if_failed, connection))
        try:
            if self._stopping.is_set():
                await connection.close()
            await self._receive(connection)
        except ConnectionClosed as error:
            self._ended(error)
        finally:
            self._connection, self.is_mute = None, False
            self._subscribed = {}
            for helper in helpers:
                helper.cancel()
            results = await asyncio.gather(*helpers, return_exceptions=True)
            await connection.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _receive(self, connection: KiteConnection) -> None:
        """The hot loop: ``recv`` does not yield while messages are queued."""
        recv, now_ns, shard = connection.recv, self._clock.now_ns, self.shard
        on_frame, saw = self._listener.on_frame, self._symbols.saw
        while True:
            payload = await recv()
            if isinstance(payload, str):
                self._text(payload)
            elif len(payload) == 1:
                self.heartbeats += 1
            else:
                ts_recv_ns = now_ns()
                self.frames += 1
                self.last_data_ns = ts_recv_ns
                if self._gap is not None:
                    self._close_gap(ts_recv_ns)
                on_frame(shard, payload, ts_recv_ns)
                saw(payload, ts_recv_ns)

    async def _watch(self, connection: KiteConnection) -> None:
        """The watchdogs; a dead connection is aborted, which ends ``_receive``."""
        inbound = InboundWatchdog(self._options.inbound_silence_s, connection.heard_s)
        now_s, now_ns = self._clock.monotonic_s(), self._clock.now_ns()
        self._flow.restart(self.frames, now_s)
        while True:
            before_s, before_ns = now_s, now_ns
            await self._clock.sleep(self._options.watch_s)
            now_s, now_ns = self._clock.monotonic_s(), self._clock.now_ns()
            jump_ns = now_ns - before_ns - int((now_s - before_s) * 1e9)
            if abs(jump_ns) > CLOCK_JUMP_NS:
                self._symbols.clock_jumped(jump_ns, now_ns)
            inbound.heard_s = connection.heard_s
            if inbound.is_dead(now_s):
                self._abort(
                    connection, GapCause.SILENT, f"no byte for {inbound.silent_s(now_s):.1f} s"
                )
                return
            self.is_mute = self._flow.sample(self.frames, now_s) and self._is_open(now_s, now_ns)
            if self.is_mute and self._give_up_mute(connection, now_s):
                return
            stale = self._symbols.stale(now_ns)
            if stale is not None and self._gap is None:
                self._listener.on_event(Stale(self.shard, stale.tokens, stale.from_ns))

    def _is_open(self, now_s: float, now_ns: int) -> bool:
        """Whether any subscribed instrument trades now; silence while none does is not counted."""
        if any(self._options.is_open(token, now_ns) for token in self._subscribed):
            return True
        self._flow.rest(now_s)
        return False

    def _give_up_mute(self, connection: KiteConnection, now_s: float) -> bool:
        """Heartbeats without ticks; returns whether the connection was given up for it."""
        if self._gap is None:
            gap = self._open_gap(GapCause.STALLED)
            if gap is not None:
                self._listener.on_event(Stale(self.shard, gap.tokens, gap.from_ns))
        if self._flow.silent_s(now_s) < self._options.stall_reconnect_s:
            return False
        self._abort(connection, GapCause.STALLED, f"no tick for {self._flow.silent_s(now_s):.0f} s")
        return True

    async def _send_difference(self, connection: KiteConnection) -> None:
        """Send the difference between what the connection has and what is requested."""
        async with self._sending:
            requested = self._requested
            if connection is not self._connection:
                return
            change = diff_shard(self.shard, self._subscribed, requested)
            try:
                for message in messages_of(change, self._options.chunk_tokens):
                    await connection.send(message)
            except ConnectionClosed:
                return  # ``_receive`` sees it too, and the next connection subscribes to everything
            self._subscribed = requested
        for mode, tokens in change.modes.items():
            self._listener.on_event(Subscribed(self.shard, tokens, mode))

    def _began(self) -> None:
        now_ns = self._clock.now_ns()
        self.state = SessionState.LIVE
        self.feed_session = self._feed_sessions.allocate(self.shard, now_ns)
        self._backoff.connected(self._clock.monotonic_s())
        self._cause, self._end_reason = GapCause.DISCONNECTED, None
        self._failure_reported = self._refused = None
        if self._auth_alarm:
            self._auth_alarm = False
            self._listener.on_event(AuthRestored(self.shard, now_ns))
        self._listener.on_event(Connected(self.shard, self.feed_session, now_ns))

    def _ended(self, error: ConnectionClosed) -> None:
        assert self._credentials is not None  # a connection was made with them
        code, reason = closed_as(error, self._credentials)
        if self._end_reason is not None:
            code, reason = ABNORMAL_CLOSURE, self._end_reason
        now_ns = self._clock.now_ns()
        self._listener.on_event(Disconnected(self.shard, now_ns, code, reason))
        if not self._stopping.is_set():
            self._open_gap(self._cause)

    def _attempt_failed(self, reason: str) -> None:
        if reason != self._failure_reported:
            self._failure_reported = reason
            self._listener.on_event(Disconnected(self.shard, self._clock.now_ns(), None, reason))
        self._open_gap(GapCause.CONNECT_FAILED)

    async def _auth_refused(self, detail: str) -> None:
        """One alarm; then wait for other credentials, or for the rare retry with the same."""
        self.state = SessionState.AUTH_EXPIRED
        if not self._auth_alarm:
            self._auth_alarm = True
            self._listener.on_event(AuthExpired(self.shard, self._clock.now_ns(), detail))
        self._open_gap(GapCause.AUTH_EXPIRED)
        retry_at_s = self._clock.monotonic_s() + self._options.auth_retry_s
        while not self._stopping.is_set() and self._clock.monotonic_s() < retry_at_s:
            await self._pause(min(self._options.auth_poll_s, self._options.auth_retry_s))
            with suppress(CredentialsError):  # the alarm for it has been raised
                if self._source.load() != self._credentials:
                    return

    async def _try_once_more(self) -> bool:
        """Whether the same credentials are to be tried again soon: a good token that was just made
        is refused now and then, so the first refusal is no alarm yet."""
        if self._auth_alarm or self._credentials == self._refused:
            return False
        self._refused = self._credentials
        self.state = SessionState.BACKOFF
        await self._pause(self._options.auth_again_s)
        return True

    async def _back_off(self, at_least_s: float = 0.0) -> None:
        if self._stopping.is_set():
            return
        self.state = SessionState.BACKOFF
        wait_s = self._backoff.next_wait_s(self._clock.monotonic_s())
        await self._pause(max(at_least_s, wait_s))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond ``stop``."""
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _abort(self, connection: KiteConnection, cause: GapCause, reason: str) -> None:
        self._cause, self._end_reason = cause, reason
        connection.abort()

    def _open_gap(self, cause: GapCause, from_ns: int | None = None) -> GapOpened | None:
        """Tell of a gap, unless one is open already or nothing is subscribed."""
        tokens = tuple(sorted(self._subscribed or self._requested))
        if self._gap is not None or not tokens:
            return None
        if from_ns is None:
            from_ns = self.last_data_ns if self.last_data_ns is not None else self._since_ns
        self._gap = GapOpened(self.shard, tokens, from_ns, cause)
        self._listener.on_event(self._gap)
        return self._gap

    def _close_gap(self, to_ns: int) -> None:
        gap = self._gap
        assert gap is not None  # the caller looked
        self._gap = None
        to_ns = max(to_ns, gap.from_ns)  # the clock may have been set back
        self._symbols.resume(to_ns)
        self._listener.on_event(GapClosed(self.shard, gap.tokens, gap.from_ns, to_ns, gap.cause))

    def _text(self, text: str) -> None:
        kind, plain = parse_text(text)
        if plain is not None and self._credentials is not None:
            plain = redact(plain, self._credentials.secrets)
        order = order_of(text) if kind == "order" else None
        self._listener.on_event(TextMessage(self.shard, kind, plain, order))


def _abort_if_failed(connection: KiteConnection, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        connection.abort()
