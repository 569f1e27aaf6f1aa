"""The session against the simulator over real sockets; its clock is turned by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from kite_broker_zerodha.errors import CredentialsError
from kite_broker_zerodha.session.credentials import (
    CredentialSource,
    FixedCredentials,
    TokenFile,
)
from kite_broker_zerodha.session.events import (
    AuthExpired,
    AuthRestored,
    Connected,
    Disconnected,
    FeedSessions,
    GapCause,
    GapClosed,
    GapOpened,
    Stale,
    Subscribed,
    TextMessage,
)
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.session import KiteSession, SessionState
from kite_broker_zerodha.session.testing import PATIENCE_S, START_NS, ManualClock, Recorder
from kite_broker_zerodha.testing.reference import decode_frame
from kite_contracts.tick_batch import TickMode
from kite_simulator import SimulatorOptions, SimulatorServer, parse_script

pytestmark = pytest.mark.asyncio

DUMMY = FixedCredentials("dummy", "dummy")
PLAN = {257: TickMode.FULL, 513: TickMode.QUOTE, 769: TickMode.LTP, 265: TickMode.FULL}
CACHED_FRAMES = 3
"""First packets come once for the subscription, in quote mode, and once for each other mode."""
FIRST_WAIT_S = 0.5
"""The longest wait before the first attempt to connect again."""
SILENT = SimulatorOptions(heartbeat_s=3600, rate_per_s=None, settle_s=0.02, frame_packets=4)


class Rig:
    """One session with its recorder and clock, running."""

    def __init__(
        self, url: str, source: CredentialSource, options: SessionOptions | None = None
    ) -> None:
        self.heard = Recorder()
        self.clock = ManualClock()
        self.session = KiteSession(1, url, source, self.heard, self.clock, options)


@asynccontextmanager
async def running(
    url: str,
    source: CredentialSource = DUMMY,
    options: SessionOptions | None = None,
    plan: Mapping[int, TickMode] = PLAN,
) -> AsyncIterator[Rig]:
    rig = Rig(url, source, options)
    await rig.session.apply(plan)
    task = asyncio.create_task(rig.session.run())
    try:
        async with asyncio.timeout(3 * PATIENCE_S):
            yield rig
            if not task.done():
                await rig.session.stop()
            await task
    finally:
        task.cancel()


async def settled(simulator: SimulatorServer, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await simulator.until(condition)


async def test_frames_arrive_whole_with_the_clocks_time_and_stop_is_orderly() -> None:
    async with SimulatorServer(replace(SILENT, ticks=400)) as simulator:
        async with running(simulator.url) as rig:
            await simulator.finished.wait()
            await rig.heard.until(lambda: len(rig.heard.frames) == simulator.ledger.frames)
            live_state = rig.session.state
        connected = rig.heard.all(Connected)
        assert [event.shard for event in connected] == [1]
        assert connected[0].feed_session == rig.session.feed_session == (START_NS & ~0xF) | 1
        assert {(shard, ts) for shard, _, ts in rig.heard.frames} == {(1, START_NS)}
        rows = [
            row
            for _, payload, ts in rig.heard.frames
            for row in decode_frame(payload, ts_recv_ns=ts, feed_session=1, first_seq=0)
        ]
        assert len(rows) == simulator.ledger.rows == 400 + simulator.ledger.cached
        assert {row.verdict for row in rows} == {0}
        assert rig.session.frames == len(rig.heard.frames)
        assert rig.heard.all(Disconnected)[0].code == 1000
        assert rig.heard.all(GapOpened) == []
        assert [live_state, rig.session.state] == [SessionState.LIVE, SessionState.STOPPED]


async def test_a_drop_is_a_gap_and_the_next_connection_has_tokens_and_modes_again() -> None:
    script = parse_script("2 drop")
    async with SimulatorServer(replace(SILENT, ticks=40, script=script)) as simulator:
        async with running(simulator.url) as rig:
            heard = rig.heard
            opened = await heard.event(GapOpened)
            before = len(heard.frames)
            assert before == CACHED_FRAMES + 2  # nothing sent before the drop is lost
            assert heard.all(Disconnected)[0].code == 1006
            await rig.clock.advance(FIRST_WAIT_S)
            closed = await heard.event(GapClosed)
            await simulator.finished.wait()
            await heard.until(lambda: len(heard.frames) == simulator.ledger.frames)
        assert opened.tokens == tuple(sorted(PLAN))
        assert (opened.from_ns, opened.cause) == (START_NS, GapCause.DISCONNECTED)
        assert (closed.from_ns, closed.tokens) == (opened.from_ns, opened.tokens)
        assert closed.to_ns == heard.frames[before][2] > START_NS
        first, second = heard.all(Connected)
        assert second.feed_session > first.feed_session
        told = [(event.mode, event.tokens) for event in heard.all(Subscribed)]
        assert (
            told[:3]
            == told[3:]
            == [
                (TickMode.LTP, (769,)),
                (TickMode.QUOTE, (513,)),
                (TickMode.FULL, (257, 265)),
            ]
        )
        last = decode_frame(heard.frames[-1][1], ts_recv_ns=0, feed_session=0, first_seq=0)
        assert {row.values["instrument_token"]: TickMode(row.mode) for row in last} == PLAN


async def test_a_half_open_connection_is_found_within_the_watchdogs_time() -> None:
    script = parse_script("2 half-open")
    async with (
        SimulatorServer(replace(SILENT, script=script)) as simulator,
        running(simulator.url) as rig,
    ):
        heard, frames = rig.heard, CACHED_FRAMES + 2
        await heard.until(lambda: len(heard.frames) == frames)
        await settled(simulator, lambda: simulator.ledger.connections[0].ended is not None)
        await rig.clock.advance(4.9)
        assert heard.all(Disconnected) == []
        await rig.clock.advance(0.6)
        gone = await heard.event(Disconnected)
        assert (gone.code, gone.reason) == (1006, "no byte for 5.0 s")
        opened = await heard.event(GapOpened)
        assert (opened.cause, opened.from_ns) == (GapCause.SILENT, START_NS)
        await rig.clock.advance(FIRST_WAIT_S)
        closed = await heard.event(GapClosed)
        assert closed.cause is GapCause.SILENT
        assert closed.to_ns >= START_NS + 5 * 10**9


async def test_a_stall_is_stale_and_a_gap_and_at_last_another_connection() -> None:
    options = SessionOptions(inbound_silence_s=1e6, stall_s=10, stall_reconnect_s=30)
    script = parse_script("600 stall 3600")
    more = max(PLAN) + 1
    standing = replace(SILENT, script=script, expected_tokens=len(PLAN) + 1)
    async with (
        SimulatorServer(standing) as simulator,
        running(simulator.url, options=options) as rig,
    ):
        heard = rig.heard
        await heard.until(lambda: len(heard.frames) == CACHED_FRAMES)
        await rig.clock.advance(3.0)  # the first packets teach no rate: the market stands still
        await rig.session.apply({**PLAN, more: TickMode.QUOTE})
        await heard.until(lambda: len(heard.frames) == CACHED_FRAMES + 1 + 600)
        await rig.clock.advance(1.0)  # teaches the usual rate
        await rig.clock.advance(8.5)
        assert heard.all(Stale) == []
        await rig.clock.advance(2.0)
        stale, opened = await heard.event(Stale), await heard.event(GapOpened)
        assert stale.tokens == opened.tokens == (*sorted(PLAN), more)
        assert (opened.cause, opened.from_ns) == (GapCause.STALLED, START_NS + 3 * 10**9)
        assert heard.all(Disconnected) == []
        await rig.clock.advance(20)
        assert "no tick for 30 s" in (await heard.event(Disconnected)).reason
        await rig.clock.advance(FIRST_WAIT_S)
        closed = await heard.event(GapClosed)  # the first packets of the new connection
        assert closed.cause is GapCause.STALLED
        assert len(heard.all(GapOpened)) == 1


async def test_a_connection_that_is_mute_from_the_start_is_a_gap_and_is_given_up() -> None:
    options = SessionOptions(inbound_silence_s=1e6)
    async with (
        SimulatorServer(replace(SILENT, mute_connections=1)) as simulator,
        running(simulator.url, options=options) as rig,
    ):
        heard = rig.heard
        await heard.event(Subscribed, 2)
        await rig.clock.advance(29.5)
        assert not rig.session.is_mute
        assert heard.all(GapOpened) == []
        await rig.clock.advance(1.0)
        opened = await heard.event(GapOpened)
        assert (opened.cause, opened.tokens) == (GapCause.STALLED, tuple(sorted(PLAN)))
        assert rig.session.is_mute
        assert heard.all(Disconnected) == []
        await rig.clock.advance(30)
        assert "no tick for 60 s" in (await heard.event(Disconnected)).reason
        await rig.clock.advance(FIRST_WAIT_S)
        await heard.event(Connected, 2)
        assert not rig.session.is_mute
        assert len(heard.all(GapOpened)) == 1


async def test_a_market_that_is_closed_does_not_stall() -> None:
    options = SessionOptions(inbound_silence_s=1e6, is_open=lambda _token, _now_ns: False)
    async with (
        SimulatorServer(replace(SILENT, ticks=20)) as simulator,
        running(simulator.url, options=options) as rig,
    ):
        await simulator.finished.wait()
        await rig.clock.advance(2000)
        assert [
            type(event) for event in rig.heard.events if isinstance(event, Stale | GapOpened)
        ] == []


async def test_instruments_that_fall_silent_become_stale_in_one_event() -> None:
    options = SessionOptions(inbound_silence_s=1e6, stall_s=1e6, symbol_cap_s=61)
    async with (
        SimulatorServer(replace(SILENT, ticks=0)) as simulator,
        running(simulator.url, options=options) as rig,
    ):
        await rig.heard.until(lambda: len(rig.heard.frames) == CACHED_FRAMES)
        await rig.clock.advance(60)
        assert rig.heard.all(Stale) == []
        async with asyncio.timeout(PATIENCE_S):
            while not rig.heard.all(Stale):
                await rig.clock.advance(0.5)
        stale = await rig.heard.event(Stale)
        assert (stale.tokens, stale.from_ns) == (tuple(sorted(PLAN)), START_NS)


async def test_an_expired_token_is_one_alarm_and_a_new_one_is_picked_up(tmp_path: Path) -> None:
    path = tmp_path / "token.json"

    def put(token: str) -> None:
        path.write_text(json.dumps({"api_key": "key", "access_token": token}))
        path.chmod(0o600)

    put("yesterday")
    dead = frozenset({"yesterday", "wrong"})
    async with SimulatorServer(replace(SILENT, dead_tokens=dead)) as simulator:
        async with running(simulator.url, TokenFile(path)) as rig:
            heard, ledger = rig.heard, simulator.ledger
            await settled(simulator, lambda: ledger.refused == 1)
            await rig.clock.advance(1.9)
            assert heard.events == []  # a token that was just made may be refused once
            await rig.clock.advance(0.2)
            alarm = await heard.event(AuthExpired)
            assert alarm.detail.startswith("HTTP 403")
            opened = await heard.event(GapOpened)
            assert (opened.cause, opened.from_ns) == (GapCause.AUTH_EXPIRED, START_NS)
            assert rig.session.state is SessionState.AUTH_EXPIRED
            await rig.clock.advance(59)
            assert ledger.refused == 2  # no storm
            await rig.clock.advance(2)
            await settled(simulator, lambda: ledger.refused == 3)  # the rare retry
            put("wrong")
            await rig.clock.advance(1)
            await settled(simulator, lambda: ledger.refused == 4)
            path.unlink()
            await rig.clock.advance(5)
            put("today")
            await rig.clock.advance(1)
            await heard.event(GapClosed)
        kinds = [type(event) for event in heard.events]
        assert kinds[:2] == [AuthExpired, GapOpened]
        assert kinds.index(AuthRestored) + 1 == kinds.index(Connected)
        assert kinds.count(AuthExpired) == kinds.count(AuthRestored) == 1
        assert ledger.refused == 4


async def test_a_token_that_is_refused_once_is_no_alarm() -> None:
    script = parse_script("2 403 1")
    async with (
        SimulatorServer(replace(SILENT, ticks=40, script=script)) as simulator,
        running(simulator.url) as rig,
    ):
        await rig.heard.event(Disconnected)
        await rig.clock.advance(FIRST_WAIT_S)
        await settled(simulator, lambda: simulator.ledger.refused == 1)
        await rig.clock.advance(2)
        await rig.heard.event(Connected, 2)
        assert rig.heard.all(AuthExpired) == []


async def test_kites_retry_after_is_obeyed() -> None:
    times: list[float] = []

    def refuse(connection: ServerConnection, _: Request) -> Response:
        times.append(rig.clock.monotonic_s())
        answer = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many connections")
        answer.headers["Retry-After"] = "20"
        return answer

    async with (
        serve(_nothing, "127.0.0.1", 0, process_request=refuse) as server,
        running(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as rig,
    ):
        gone = await rig.heard.event(Disconnected)
        assert gone.reason == "HTTP 429 Too Many Requests: too many connections"
        await rig.clock.advance(19.9)
        assert len(times) == 1
        await rig.clock.advance(0.2)
        async with asyncio.timeout(PATIENCE_S):
            while len(times) < 2:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "location",
    ["ws://127.0.0.1:{other}/", "ws://localhost:{other}/", "//127.0.0.1:{other}/", "/elsewhere"],
)
@pytest.mark.parametrize("status", [HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT])
async def test_no_redirect_is_followed_because_the_address_carries_the_secrets(
    status: HTTPStatus, location: str
) -> None:
    asked: list[str] = []

    def redirect(connection: ServerConnection, request: Request) -> Response:
        asked.append(request.path)
        answer = connection.respond(status, "go there")
        answer.headers["Location"] = location.format(other=other.sockets[0].getsockname()[1])
        return answer

    def leak(connection: ServerConnection, request: Request) -> None:
        asked.append("another server: " + request.path)

    async with (
        serve(_nothing, "127.0.0.1", 0, process_request=leak) as other,
        serve(_nothing, "127.0.0.1", 0, process_request=redirect) as server,
        running(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as rig,
    ):
        gone = await rig.heard.event(Disconnected)
        assert gone.reason == f"HTTP {status} {status.phrase}: go there"
        assert len(asked) == 1
        assert asked[0].startswith("/?")


async def _nothing(_: ServerConnection) -> None:
    """Never called: every handshake is refused."""


async def test_a_token_that_dies_while_connected_is_an_alarm_too() -> None:
    async with (
        SimulatorServer(SILENT) as simulator,
        running(simulator.url, FixedCredentials("dummy", "mortal")) as rig,
    ):
        await rig.heard.until(lambda: len(rig.heard.frames) > CACHED_FRAMES)
        simulator.declare_dead("mortal")
        await rig.heard.event(Disconnected)
        await rig.clock.advance(2)
        await settled(simulator, lambda: simulator.ledger.refused == 1)
        await rig.clock.advance(2)
        await rig.heard.event(AuthExpired)
        causes = [event.cause for event in rig.heard.all(GapOpened)]
        assert causes == [GapCause.DISCONNECTED]  # one gap, not one for each state


async def test_missing_credentials_are_the_same_alarm() -> None:
    class Nothing:
        def load(self) -> None:
            raise CredentialsError("no credentials: set KITE_ACCESS_TOKEN")

    async with running("ws://127.0.0.1:9", Nothing()) as rig:  # type: ignore[arg-type]
        assert (await rig.heard.event(AuthExpired)).detail.endswith("set KITE_ACCESS_TOKEN")
        await rig.clock.advance(300)
        assert len(rig.heard.all(AuthExpired)) == 1


async def test_a_changed_plan_sends_only_the_difference() -> None:
    async with (
        SimulatorServer(replace(SILENT, expected_tokens=1000)) as simulator,
        running(simulator.url) as rig,
    ):
        heard = rig.heard
        await heard.event(Subscribed, 3)
        await heard.until(lambda: len(heard.frames) == CACHED_FRAMES)
        await rig.session.apply({257: TickMode.FULL, 513: TickMode.FULL, 1025: TickMode.LTP})
        told = [(event.mode, event.tokens) for event in heard.all(Subscribed)[3:]]
        assert told == [(TickMode.LTP, (1025,)), (TickMode.FULL, (513,))]
        await settled(simulator, lambda: simulator.subscribed_tokens == 3)
        await rig.session.apply({257: TickMode.FULL, 513: TickMode.FULL, 1025: TickMode.LTP})
        assert len(heard.all(Subscribed)) == 5


async def test_text_messages_surface_and_frames_of_any_bytes_are_delivered() -> None:
    script = parse_script("1 text; 2 garbage; 3 empty; 4 slow 0.05; 5 truncate")
    async with SimulatorServer(replace(SILENT, ticks=24, script=script)) as simulator:
        async with running(simulator.url) as rig:
            await simulator.finished.wait()
            await rig.heard.until(lambda: len(rig.heard.frames) == simulator.ledger.frames)
            texts = [(event.kind, event.text) for event in rig.heard.all(TextMessage)]
        assert texts == [
            ("message", "the market is simulated"),
            ("order", None),
            ("error", "a simulated error"),
        ]
        assert b"" in [payload for _, payload, _ in rig.heard.frames]
        assert rig.heard.all(Disconnected)[0].code == 1000


async def test_heartbeats_are_counted_and_never_delivered() -> None:
    options = replace(SILENT, heartbeat_s=0.01, expected_tokens=1000)
    async with SimulatorServer(options) as simulator, running(simulator.url) as rig:
        await rig.heard.until(lambda: len(rig.heard.frames) == CACHED_FRAMES)
        beats = simulator.ledger.heartbeats
        while simulator.ledger.heartbeats < beats + 5:
            await simulator.send_text("message", "tick")
            await rig.heard.event(TextMessage, len(rig.heard.all(TextMessage)) + 1)
        assert rig.session.heartbeats >= beats
        assert len(rig.heard.frames) == CACHED_FRAMES


async def test_an_unreachable_broker_is_told_once_and_the_gap_starts_with_the_run() -> None:
    class Counting(FixedCredentials):
        attempts = 0

        def load(self):  # type: ignore[no-untyped-def]
            self.attempts += 1
            return super().load()

    source = Counting("dummy", "dummy")
    async with SimulatorServer(SILENT) as simulator:
        url = simulator.url
    async with running(url, source) as rig:
        failed = await rig.heard.event(Disconnected)
        assert failed.code is None
        assert failed.reason.endswith("refuses connections")
        assert (await rig.heard.event(GapOpened)).cause is GapCause.CONNECT_FAILED
        while source.attempts < 4:
            await rig.clock.advance(60)
        assert len(rig.heard.all(Disconnected)) == len(rig.heard.all(GapOpened)) == 1


async def test_a_restart_opens_the_gap_since_the_last_journaled_frame() -> None:
    options = SessionOptions(resume_from_ns=START_NS - 7)
    async with SimulatorServer(SILENT) as simulator:
        async with running(simulator.url, options=options) as rig:
            closed = await rig.heard.event(GapClosed)
        assert (closed.from_ns, closed.cause) == (START_NS - 7, GapCause.RESTART)
        assert isinstance(rig.heard.events[0], GapOpened)


async def test_what_the_listener_raises_ends_the_run() -> None:
    class Full(Recorder):
        def on_frame(self, shard: int, payload: bytes, ts_recv_ns: int) -> None:
            raise OSError("the disk is full")

    async with SimulatorServer(SILENT) as simulator:
        session = KiteSession(0, simulator.url, DUMMY, Full(), feed_sessions=FeedSessions())
        await session.apply(PLAN)
        with pytest.raises(OSError, match="the disk is full"):
            await asyncio.wait_for(session.run(), PATIENCE_S)
        assert session.state is SessionState.STOPPED
        await settled(simulator, lambda: simulator.ledger.connections[0].ended is not None)


async def test_cancelling_the_run_closes_the_connection() -> None:
    async with SimulatorServer(SILENT) as simulator:
        heard = Recorder()
        session = KiteSession(0, simulator.url, DUMMY, heard)
        task = asyncio.create_task(session.run())
        await heard.event(Connected)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await settled(simulator, lambda: simulator.ledger.connections[0].ended is not None)


async def test_stop_before_and_between_connections_returns() -> None:
    async with running("ws://127.0.0.1:9") as rig:
        await rig.heard.event(Disconnected)
    assert rig.session.state is SessionState.STOPPED
