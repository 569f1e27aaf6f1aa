"""Fault 4: Kafka has appended a batch, and its acknowledgement never arrives.

A TCP proxy of the play's own stands before the broker, which advertises the proxy's address. For a
moment the proxy carries requests and drops the replies, then it cuts the connections: the producer
cannot know what was appended, sends it again, and the broker must recognise the repeat.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field, replace

from faults.broker import NOTHING
from faults.kafka import BRIDGE
from faults.outcome import Fault, Outcome
from faults.scene import Scene, rows_above, until, watched

DROP_S = 0.1


@dataclass
class ReplyDropper:
    """A TCP proxy; ``drop`` makes it swallow replies for a moment and then cut all connections."""

    dropped_bytes: int = 0
    port: int = 0
    _target: int = 0
    _dropping: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Take a free port; connections wait until there is a target."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def point_at(self, port: int) -> None:
        """Where the connections go."""
        self._target = port

    async def drop(self) -> bool:
        """Swallow replies until there were some, then cut; whether there were."""
        before, self._dropping = self.dropped_bytes, True
        with suppress(TimeoutError):
            await until(lambda: self.dropped_bytes > before, 5.0)
        await asyncio.sleep(DROP_S)
        for writer in list(self._writers):
            writer.transport.abort()
        self._dropping = False
        return self.dropped_bytes > before

    async def close(self) -> None:
        """Cut everything."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there}
        try:
            await asyncio.gather(
                self._pump(reader, there, replies=False),
                self._pump(there_reader, writer, replies=True),
            )
        finally:
            self._writers -= {writer, there}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if replies and self._dropping:
                    self.dropped_bytes += len(data)
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()


def lose_replies(scene: Scene) -> Outcome:
    """The replies of running produce requests vanish, ten times in the long form."""
    times = 10 if scene.full else 3
    return asyncio.run(_play(scene, times))


async def _play(scene: Scene, times: int) -> Outcome:
    proxy, outcome = ReplyDropper(), Outcome()
    await proxy.listen()
    server = type(scene.broker)(scene.home / "kafka", proxy.port)
    try:
        await asyncio.to_thread(server.__enter__)  # with its lease; without one it ends
        proxy.point_at(int(server.settings(BRIDGE).bootstrap.rpartition(":")[2]))
        await asyncio.to_thread(server.prepare)
        behind = replace(scene, broker=server)
        mark = await asyncio.to_thread(behind.mark)
        sent, losses, restarts = await _stream(behind, proxy, times)
        proof = await asyncio.to_thread(behind.prove, mark)
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
        await proxy.close()
    outcome.note("packets sent", sent)
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    outcome.demand("times that replies were dropped", losses, times)
    outcome.note("bytes of replies dropped", proxy.dropped_bytes)
    proof.demand_nothing_lost(outcome)
    # The broker's own work: not one repeat even reaches the log, as long as the producer lives.
    if not restarts:
        outcome.demand("repeats in the log", proof.back.repeats_dropped, 0)
    outcome.note("producer restarts", restarts)
    return outcome


async def _stream(scene: Scene, proxy: ReplyDropper, times: int) -> tuple[int, int, int]:
    losses, ticks = 0, 6_000 * times
    async with scene.market(ticks) as kite:
        bridge = scene.bridge(kite.url)
        async with watched(bridge) as watcher:
            await bridge.start()
            for number in range(1, times + 1):
                share = number / (times + 1)
                await until(rows_above(kite, ticks * share), 300)
                losses += await proxy.drop()
            await asyncio.wait_for(kite.finished.wait(), 300)
            await until(lambda: watcher.newest["journal_backlog_bytes"] == 0, 60)
            restarts = watcher.newest["producer_restarts"]
            assert await bridge.end(signal.SIGTERM) == 0, bridge.lines
        return kite.ledger.rows, losses, restarts


FAULTS = [
    Fault(
        4,
        "replies-lost",
        "Acknowledgements are lost after the append",
        f"{NOTHING}; not one repeat in the log",
        lose_replies,
    )
]
