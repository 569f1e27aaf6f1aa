"""Kite's WebSocket service on this machine: the asyncio edge of the simulator."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.subscriptions import SHARD_TOKENS_MAX, SHARDS_MAX
from kite_broker_zerodha.wire import HEARTBEAT, encode_frame
from kite_runtime.secrets import redacting_logger
from kite_simulator.account import Account
from kite_simulator.book import ClientBook, Feed
from kite_simulator.faults import Fault, FaultKind, Outgoing, spoil
from kite_simulator.ledger import ConnectionLedger, Ledger
from kite_simulator.market import START_EPOCH_S, Market, cut
from kite_simulator.recorded import RecordedFrame, RecordedMarket


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What the simulator does.

    ``ticks``            moves of the market in total, then only heartbeats; None never ends
    ``rate_per_s``       moves a second; None is as fast as the clients read
    ``frame_packets``    packets in a frame, at most
    ``expected_tokens``  the market stands still while fewer instruments are subscribed, so that a
                         run with disconnects has the same frames each time; 1 runs with anyone
    ``settle_s``         it also stands still until no client has sent anything for this long
    ``dead_tokens``      without an account: access tokens refused with HTTP 403, all others are
                         accepted
    ``mute_connections`` so many connections, from the first one on, get heartbeats and no tick
    ``speed``            of a recorded day: 10 is ten times as fast as it was; 0 as fast as the
                         clients read. ``seed``, ``ticks``, ``rate_per_s``, ``frame_packets`` and
                         ``start_epoch_s`` are the seeded market's alone
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    ticks: int | None = None
    rate_per_s: float | None = 1000.0
    frame_packets: int = 100
    expected_tokens: int = 1
    settle_s: float = 0.1
    script: tuple[Fault, ...] = ()
    dead_tokens: frozenset[str] = frozenset()
    mute_connections: int = 0
    speed: float = 1.0
    heartbeat_s: float = 1.0
    connections_max: int = SHARDS_MAX
    tokens_max: int = SHARD_TOKENS_MAX
    start_epoch_s: int = START_EPOCH_S
    ssl_context: ssl.SSLContext | None = None


_SLOW_PIECES: Final = 8
_UNPACED_TICKS_A_SECOND: Final = 1000.0
"""How the market's own clock runs when no rate is set."""
_BEHIND_S: Final = 0.5
"""Later than this the schedule starts over instead of catching up in a burst."""


class _Client:
    """One connection and its state here. ``reads`` is False once it can receive no more."""

    def __init__(self, connection: ServerConnection, number: int, tokens_max: int) -> None:
        self.connection = connection
        self.api_key = _query(connection.request)[0]
        self.book = ClientBook(tokens_max)
        self.ledger = ConnectionLedger(number)
        self.reads = True

    @property
    def order(self) -> tuple[int, int]:
        """By smallest token, so that the order of connecting does not matter."""
        return (min(self.book.modes, default=0), self.ledger.number)


class SimulatorServer:
    """``async with SimulatorServer(options) as simulator``: listens, and trades on its own.

    ``finished`` is set when ``ticks`` moves were delivered. ``ledger`` counts what was sent. With
    an ``account`` only the tokens that it holds are accepted, as long as it holds them. Raises
    OSError when the port is taken.

    ``recording`` takes the seeded market's place: frames in the order in which they are served, at
    the distances of their times by ``speed``, in lists that are fetched in a thread, one ahead. It
    stands still while nobody is subscribed, and each client gets what it is subscribed to.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        account: Account | None = None,
        recording: Iterable[Sequence[RecordedFrame]] | None = None,
    ) -> None:
        self.options = options or SimulatorOptions()
        self._account = account or Account(
            None, open_until_login=True, dead_tokens=self.options.dead_tokens
        )
        self.ledger = Ledger()
        self.finished = asyncio.Event()
        seeded = Market(self.options.seed, self.options.start_epoch_s)
        self._feed = Feed(seeded)
        self._recording = recording
        self._market: Market | RecordedMarket = seeded if recording is None else RecordedMarket()
        self._noise = np.random.Generator(np.random.PCG64((self.options.seed, 2)))
        self._script = deque(self.options.script)
        self._forbidden = 0
        self._clients: list[_Client] = []
        self._traders: list[_Client] = []
        self._changed = asyncio.Event()
        self._changed_s = 0.0
        self._news = asyncio.Event()
        self._frame = 0
        self._ticks = 0
        self._due_s = 0.0
        self._played_ns: int | None = None
        self._server: Server | None = None
        self._port: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._market_task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that was given or found. Raises RuntimeError before the simulator listens."""
        if self._port is None:
            raise RuntimeError("the simulator is not listening yet")
        return self._port

    @property
    def url(self) -> str:
        """The address without query, as ``KiteTicker(root=...)`` and KiteSession take it."""
        scheme = "ws" if self.options.ssl_context is None else "wss"
        return f"{scheme}://{self.options.host}:{self.port}"

    @property
    def subscribed_tokens(self) -> int:
        """How many different instruments the clients that read have subscribed."""
        return len(set().union(*(client.book.modes for client in self._served())))

    def declare_dead(self, access_token: str) -> None:
        self._account.declare_dead(access_token)

    def last_price(self, token: int) -> int | None:
        """The market's last price, a raw integer of the wire. Any thread may ask."""
        return self._market.last_price(token)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until this is true; looked at after each handshake, refusal, message and end."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def until_finished(self) -> None:
        """Wait for ``finished``; what reading the recording raises, this raises."""
        assert self._market_task is not None  # set when the block was entered
        await asyncio.shield(self._market_task)

    async def send_text(self, kind: str, data: object) -> None:
        for client in self._readers():
            await self._text(client, kind, data)

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            self.options.host,
            self.options.port,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            close_timeout=0.5,
            ssl=self.options.ssl_context,
            logger=redacting_logger("kite_simulator"),
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        trade = self._trade() if self._recording is None else self._play(self._recording)
        self._market_task = asyncio.create_task(trade)
        self._loop = asyncio.get_running_loop()
        self._account.watch(self._account_changed)
        return self

    async def __aexit__(self, *_: object) -> None:
        server, market = self._server, self._market_task
        assert server is not None  # set when the block was entered
        assert market is not None
        self._account.unwatch(self._account_changed)
        market.cancel()
        for client in self._clients:
            if not client.reads:
                client.connection.transport.abort()
        server.close()
        await server.wait_closed()
        with suppress(asyncio.CancelledError):
            await market

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer the handshake: None accepts it."""
        api_key, access_token = _query(request)
        refusal: tuple[HTTPStatus, str] | None = None
        if not self._account.holds(api_key, access_token):
            refusal = (HTTPStatus.FORBIDDEN, "Forbidden")
        elif self._forbidden > 0:
            self._forbidden -= 1
            refusal = (HTTPStatus.FORBIDDEN, "Forbidden")
        elif self._connections_of(api_key) >= self.options.connections_max:
            refusal = (HTTPStatus.TOO_MANY_REQUESTS, "Too many connections for this api_key")
        if refusal is None:
            return None
        self.ledger.refused += 1
        self._news.set()
        return connection.respond(*refusal)

    def _account_changed(self) -> None:
        """Called from any thread."""
        assert self._loop is not None  # set before the account is watched
        with suppress(RuntimeError):  # the loop has ended, and its connections with it
            self._loop.call_soon_threadsafe(self._drop_refused)

    def _drop_refused(self) -> None:
        for client in self._readers():
            if not self._account.holds(*_query(client.connection.request)):
                self._drop(client, "token died")

    def _connections_of(self, api_key: str) -> int:
        return sum(client.api_key == api_key for client in self._readers())

    def _readers(self) -> list[_Client]:
        return [client for client in self._clients if client.reads]

    def _served(self) -> list[_Client]:
        """Those who get ticks."""
        return [client for client in self._readers() if not self._is_mute(client)]

    async def _serve(self, connection: ServerConnection) -> None:
        client = _Client(connection, len(self.ledger.connections), self.options.tokens_max)
        self.ledger.connections.append(client.ledger)
        self._clients.append(client)
        self._news.set()
        heart = asyncio.create_task(self._beat(client))
        try:
            async for message in connection:
                await self._obey(client, message)
        except ConnectionClosed as closed:
            client.ledger.ended = client.ledger.ended or str(closed)
        finally:
            client.ledger.ended = client.ledger.ended or "closed by the client"
            client.reads = False
            self._clients.remove(client)
            self._subscriptions_changed()
            heart.cancel()

    async def _obey(self, client: _Client, message: str | bytes) -> None:
        reply = client.book.handle(message)
        self._market.add(reply.tokens)
        self._subscriptions_changed()
        modes, size = client.book.modes, self.options.frame_packets
        tokens = () if self._is_mute(client) else reply.tokens
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            cached = [self._market.packet(token, modes[token]) for token in part]
            if packets := [packet for packet in cached if packet is not None]:
                await self._send(client, _plain(packets), cached=True)
        for error in reply.errors:
            await self._text(client, "error", error)

    def _is_mute(self, client: _Client) -> bool:
        return client.ledger.number < self.options.mute_connections

    async def _beat(self, client: _Client) -> None:
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self.options.heartbeat_s)
                if not client.reads:
                    return
                await client.connection.send(HEARTBEAT)
                self.ledger.heartbeats += 1

    def _subscriptions_changed(self) -> None:
        self._changed_s = asyncio.get_running_loop().time()
        self._traders = []
        self._changed.set()
        self._news.set()

    async def _trade(self) -> None:
        """Move the market, one frame at a time, until ``ticks`` moves were delivered."""
        options, loop = self.options, asyncio.get_running_loop()
        while options.ticks is None or self._ticks < options.ticks:
            if not self._traders:
                await self._open_market()
            left = options.frame_packets if options.ticks is None else options.ticks - self._ticks
            now_s = self._ticks / (options.rate_per_s or _UNPACED_TICKS_A_SECOND)
            updates = self._feed.next_updates(min(options.frame_packets, left), now_s)
            await self._pace(loop, len(updates.tokens))
            traders = self._traders
            if not traders:
                continue  # a client came or went meanwhile: these moves reach no one
            self._ticks += len(updates.tokens)
            for place in updates.clients:
                await self._deliver(traders[place], updates.tokens, updates.packets)
        self.finished.set()

    async def _play(self, recording: Iterable[Sequence[RecordedFrame]]) -> None:
        """Serve the recorded frames, each at its time; what reading them raises, this raises."""
        parts = iter(recording)
        following = asyncio.create_task(asyncio.to_thread(next, parts, None))
        try:
            while (part := await following) is not None:
                following = asyncio.create_task(asyncio.to_thread(next, parts, None))
                for frame in part:
                    await self._play_frame(frame)
        finally:
            following.cancel()
            self.finished.set()

    async def _play_frame(self, frame: RecordedFrame) -> None:
        assert isinstance(self._market, RecordedMarket)  # the constructor made it
        loop, before_ns = asyncio.get_running_loop(), self._played_ns
        while not self._traders:
            await self._open_market()
        if before_ns is not None and self.options.speed:
            self._due_s += max(0, frame.received_ns - before_ns) / 1e9 / self.options.speed
        self._played_ns = frame.received_ns
        await self._wait(loop)
        self._market.served(frame)
        for client in self._traders:
            await self._deliver(client, frame.tokens, frame.packets)

    async def _open_market(self) -> None:
        """Wait until enough is subscribed and no client is about to change it."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            settled_s = self._changed_s + self.options.settle_s - loop.time()
            if self.subscribed_tokens < max(1, self.options.expected_tokens):
                await self._changed.wait()
            elif settled_s > 0:
                # Not wait_for: in Python 3.11 it can swallow a cancellation.
                with suppress(TimeoutError):
                    async with asyncio.timeout(settled_s):
                        await self._changed.wait()
            else:
                break
        self._traders = sorted(self._served(), key=lambda client: client.order)
        self._feed.regroup([client.book.modes for client in self._traders])
        self._due_s = loop.time()

    async def _pace(self, loop: asyncio.AbstractEventLoop, moves: int) -> None:
        rate = self.options.rate_per_s
        if rate is None:
            await asyncio.sleep(0)
            return
        await self._wait(loop)
        self._due_s += moves / rate

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        if now_s - self._due_s > _BEHIND_S:
            self._due_s = now_s
        await asyncio.sleep(max(0.0, self._due_s - now_s))

    async def _deliver(
        self, client: _Client, tokens: Sequence[int], packets_of_all: Sequence[bytes]
    ) -> None:
        """Send one frame of the market, with whatever the script has for it."""
        modes = client.book.modes
        packets = [
            cut(packet, modes[token])
            for token, packet in zip(tokens, packets_of_all, strict=True)
            if token in modes
        ]
        if not packets or not client.reads:
            return
        self._frame += 1
        fault = self._script[0] if self._script else None
        if fault is None or fault.at_frame > self._frame:
            await self._send(client, _plain(packets))
            return
        self._script.popleft()
        self.ledger.faults.append(fault)
        slow_s = fault.number if fault.kind is FaultKind.SLOW else 0.0
        for frame in spoil(fault.kind, packets, self._noise):
            await self._send(client, frame, slow_s=slow_s)
        await self._afterwards(client, fault)

    async def _afterwards(self, client: _Client, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.DROP:
                self._drop(client, "fault: drop")
            case FaultKind.FORBID:
                self._forbidden += int(fault.number)
                self._drop(client, "fault: 403")
            case FaultKind.HALF_OPEN:
                client.reads = False
                client.ledger.ended = "fault: half-open"
                client.connection.transport.pause_reading()
                self._subscriptions_changed()
            case FaultKind.STALL:
                await asyncio.sleep(fault.number)
            case FaultKind.TEXT:
                await self._text(client, "message", "the market is simulated")
                await self._text(client, "order", {"order_id": "1", "status": "COMPLETE"})
                await self._text(client, "error", "a simulated error")

    def _drop(self, client: _Client, reason: str) -> None:
        """End the stream after what was sent: no close frame, and nothing sent is lost."""
        client.reads = False
        client.ledger.ended = reason
        transport = client.connection.transport
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        self._subscriptions_changed()

    async def _send(
        self, client: _Client, frame: Outgoing, *, cached: bool = False, slow_s: float = 0.0
    ) -> None:
        if not client.reads:
            return
        payload = frame.payload
        with suppress(ConnectionClosed):  # the client left; ``_serve`` notes it
            await client.connection.send(_pieces(payload, slow_s) if slow_s else payload)
            self.ledger.sent(frame, client.ledger, cached)

    async def _text(self, client: _Client, kind: str, data: object) -> None:
        if client.reads:
            with suppress(ConnectionClosed):
                await client.connection.send(json.dumps({"type": kind, "data": data}))
                self.ledger.texts += 1


def _plain(packets: Iterable[bytes]) -> Outgoing:
    packets = list(packets)
    lengths = Counter(map(len, packets))
    kinds = Counter({PacketKind(length): count for length, count in lengths.items()})
    return Outgoing(encode_frame(packets), kinds)


async def _pieces(payload: bytes, seconds: float) -> AsyncIterator[bytes]:
    size = max(1, -(-len(payload) // _SLOW_PIECES))
    for start in range(0, len(payload), size):
        yield payload[start : start + size]
        await asyncio.sleep(seconds / _SLOW_PIECES)


def _query(request: Request | None) -> tuple[str, str]:
    """(api_key, access_token) of a handshake; empty where missing."""
    values = parse_qs(urlsplit(request.path).query) if request is not None else {}
    return values.get("api_key", [""])[0], values.get("access_token", [""])[0]
