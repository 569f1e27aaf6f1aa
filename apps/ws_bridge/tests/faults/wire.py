"""A proxy for the WebSocket that spoils the transport, not the data.

It knows as much of the protocol as it needs: the server's frames are not masked, so their borders
can be seen. It remembers a digest of every tick frame that it delivered whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

BINARY, CLOSE = 0x2, 0x8


class Mode(Enum):
    """What happens to the server's frames."""

    PASS = auto()
    BYTES = auto()
    """Each byte is a TCP segment of its own."""
    TOGETHER = auto()
    """Many frames in one write."""
    HALF_OPEN = auto()
    """Nothing passes either way, and nothing is closed."""


@dataclass
class WireProxy:
    """A TCP proxy for one simulator; ``mode`` may be changed at any time."""

    target: int
    mode: Mode = Mode.PASS
    delivered: list[bytes] = field(default_factory=list)
    """Digests of the tick frames that were handed over whole, in order."""
    segments: int = 0
    closes: int = 0
    _close_with: int | None = None
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> WireProxy:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    @property
    def url(self) -> str:
        """What the client connects to."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close_with(self, code: int) -> None:
        """Send a close frame with this code after the next frame."""
        self._close_with = code

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there}
        upstream = asyncio.create_task(self._requests(reader, there))
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._replies(there_reader, writer)
            writer.close()
        finally:
            upstream.cancel()
            there.transport.abort()
            self._writers -= {writer, there}

    async def _requests(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.mode is not Mode.HALF_OPEN:
                    there.write(data)
                    await there.drain()
        there.close()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        held: list[bytes] = []
        mine_half_open = False
        while True:
            head, payload = await _frame(reader)
            mine_half_open = mine_half_open or self.mode is Mode.HALF_OPEN
            if mine_half_open:
                continue  # this connection is dead for ever; a new one passes
            held.append(head + payload)
            if self.mode is not Mode.TOGETHER or len(held) >= 20:
                await self._write(writer, b"".join(held))
                held.clear()
            if head[0] & 0x0F == BINARY and len(payload) > 1:
                self.delivered.append(hashlib.sha256(payload).digest())
            if self._close_with is not None:
                await self._write(writer, b"".join(held))
                code, self._close_with = self._close_with, None
                writer.write(bytes([0x80 | CLOSE, 2]) + code.to_bytes(2, "big"))
                await writer.drain()
                self.closes += 1
                return

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.mode is Mode.BYTES:
            for at in range(len(data)):
                writer.write(data[at : at + 1])  # asyncio sets TCP_NODELAY: a segment each
                self.segments += 1
                await asyncio.sleep(0)
        else:
            writer.write(data)
            self.segments += 1
        await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame of the server: (header, payload)."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    if length >= 126:
        more = await reader.readexactly(2 if length == 126 else 8)
        head, length = head + more, int.from_bytes(more, "big")
    return head, await reader.readexactly(length)
