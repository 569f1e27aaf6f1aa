"""A Kite WebSocket server of its own, for tests: made of Kite's documents, with no code of ours.

It speaks HTTP and RFC 6455 on a plain socket, so that it can also speak them wrongly. ``play`` is
called for each connection once it has subscribed; what it does with the ``Peer`` is the test's.
Frames and packets are those of https://kite.trade/docs/connect/v3/websocket/.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
HEARTBEAT_S = 0.2
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BUFFER_BYTES = 1 << 20


def full_packet(token: int, price: int, volume: int, seconds: int) -> bytes:
    """184 bytes of a tradable instrument; prices in paise, times in seconds since the epoch."""
    quote = struct.pack(
        ">11I",
        token,
        price,
        5,
        price,
        volume,
        100,
        200,
        price - 5,
        price + 5,
        price - 10,
        price - 1,
    )
    more = struct.pack(">5I", seconds, 1_000, 1_100, 900, seconds)
    depth = b"".join(
        struct.pack(">IIHxx", 10 + level, price + step * (1 + level), 1 + level)
        for step in (-1, 1)
        for level in range(5)
    )
    return quote + more + depth


def tick_frame(packets: Sequence[bytes]) -> bytes:
    """The binary message that carries these packets."""
    parts = [struct.pack(">H", len(packets))]
    for packet in packets:
        parts += (struct.pack(">H", len(packet)), packet)
    return b"".join(parts)


def wire_frame(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    """A frame as servers send it; ``first`` holds FIN and the reserved bits."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first | opcode, size)
    elif size < 65_536:
        head = struct.pack(">BBH", first | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", first | opcode, 127, size)
    return head + payload


def refusal(status: str, *headers: str, body: str = "") -> bytes:
    """An HTTP answer that opens no WebSocket."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "Connection: close"]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


@dataclass
class Peer:
    """One connection; ``modes`` is what it has subscribed to."""

    number: int
    server: ForeignKite
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    modes: dict[int, str] = field(default_factory=dict)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    async def raw(self, data: bytes) -> None:
        """Bytes as they are. Raises ConnectionError once the client is gone."""
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # ``drain`` does not yield to the test while the client keeps up

    async def send(self, opcode: int, payload: bytes) -> None:
        """A whole message."""
        await self.raw(wire_frame(opcode, payload))

    async def text(self, text: str) -> None:
        """A text message."""
        await self.send(TEXT, text.encode())

    async def ticks(self, count: int, frames: int = 1) -> None:
        """So many good ticks a frame; each has a volume that no other has."""
        for _ in range(frames):
            await self.send(BINARY, self.good_frame(count))

    def good_frame(self, count: int) -> bytes:
        """The next ticks of the instruments in turn, counted as sent."""
        tokens, seconds = list(self.modes), int(time.time())
        first, self.server.sent = self.server.sent, self.server.sent + count
        return tick_frame(
            [
                full_packet(tokens[number % len(tokens)], 100_000 + number % 50, number, seconds)
                for number in range(first, first + count)
            ]
        )

    async def heartbeats(self) -> None:
        """One byte again and again, until the client is gone."""
        with suppress(ConnectionError):
            while not self.writer.is_closing():
                await self.send(BINARY, b"\0")
                await asyncio.sleep(HEARTBEAT_S)

    async def listen(self) -> None:
        """Follow the subscription until the client closes."""
        while True:
            opcode, payload = await self._message()
            if opcode == CLOSE:
                return
            if opcode == TEXT:
                self._asked(json.loads(payload))

    def _asked(self, message: dict[str, Any]) -> None:
        match message:
            case {"a": "subscribe", "v": [*tokens]}:
                self.modes.update(dict.fromkeys(tokens, "quote"))
            case {"a": "mode", "v": [str(mode), [*tokens]]}:
                self.modes.update(dict.fromkeys(tokens, mode))
                self.subscribed.set()
            case {"a": "unsubscribe", "v": [*tokens]}:
                for token in tokens:
                    self.modes.pop(token, None)

    async def _message(self) -> tuple[int, bytes]:
        """The next frame of the client, which masks its payload."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))


Play = Callable[[Peer], Awaitable[None]]


@dataclass
class ForeignKite:
    """The server. ``refusals`` are the answers to the first connections, one each."""

    play: Play
    refusals: Sequence[bytes] = ()
    sent: int = 0
    """Good ticks so far; they are numbered from 0 in their volume."""
    requests: list[str] = field(default_factory=list)
    """The request line of every connection."""
    peers: list[Peer] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    """What went wrong with the play itself."""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> ForeignKite:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            if not peer.writer.is_closing():
                peer.writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """What a client connects to."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.requests.append(lines[0])
        if len(self.requests) <= len(self.refusals):
            writer.write(self.refusals[len(self.requests) - 1])
            await writer.drain()
            return
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        key = next(line for line in lines if line.lower().startswith("sec-websocket-key: "))
        assert headers["upgrade"] == "websocket", lines
        digest = hashlib.sha1(key.split(": ", 1)[1].encode() + _ACCEPT_SALT).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        writer.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        peer = Peer(len(self.peers), self, reader, writer)
        self.peers.append(peer)
        async with asyncio.TaskGroup() as group:
            beats = group.create_task(peer.heartbeats())
            played = group.create_task(self._play(peer))
            with suppress(OSError, asyncio.IncompleteReadError):
                await peer.listen()
            beats.cancel()
            played.cancel()

    async def _play(self, peer: Peer) -> None:
        await peer.subscribed.wait()
        with suppress(ConnectionError):
            await self.play(peer)
