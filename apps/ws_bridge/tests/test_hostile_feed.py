"""A Kite that attacks: nested texts, a flood of texts, escapes in texts and in a refusal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import live_stage as stage
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.wire import encode_frame, encode_packet
from kite_kafka_io.mock_broker import MockBroker
from kite_live_feed.topics import Topics
from kite_runtime.testing import import_path
from kite_runtime.testing.terminal import ATTACKS, Shown, attack_in, on_terminal

FLOOD: Final = 300_000
LOG_BYTES_MAX: Final = 1_000_000
HOSTILE: Final = "".join(ATTACKS)
TOKEN: Final = 408065


def nested(depth: int) -> list[str]:
    """Texts of so many levels, whole and cut, alone and as the data of a message."""
    lists, objects = "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth
    return [
        *(lists, objects, "[" * depth),
        *(f'{{"type":"error","data":{text}}}' for text in (lists, objects)),
    ]


def page(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address + path, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@asynccontextmanager
async def bridge_at(
    home: Path, broker: MockBroker, server: object
) -> AsyncIterator[stage.BridgeProcess]:
    """The bridge, connected to the server, until the end of the block."""
    [listening, *_] = server.sockets  # type: ignore[attr-defined]
    url = f"ws://127.0.0.1:{listening.getsockname()[1]}"
    bridge = stage.BridgeProcess(home, url, broker.bootstrap)
    try:
        await bridge.start()
        yield bridge
    finally:
        await bridge.kill_if_running()


def at_terminal(home: Path, *words: str) -> Shown:
    env = {**os.environ, "PYTHONPATH": import_path(), "HOME": str(home)}
    return on_terminal([sys.executable, "-m", "kite_ws_bridge.cli", *words], home, env)


async def looked_at(bridge: stage.BridgeProcess, home: Path, broker: MockBroker) -> list[Shown]:
    """What a person sees of the bridge and its events."""
    port = bridge.address.rpartition(":")[2]
    kafka = ("--bootstrap", broker.bootstrap)
    events = (Topics().events, "--from-beginning", "--until-end")
    return [
        await asyncio.to_thread(at_terminal, home, *words)
        for words in (
            ("status", "--port", port),
            ("status", "--port", port, "--json"),
            ("tail", *events, *kafka),
        )
    ]


def test_hostile_texts_end_nothing_and_fill_no_log(mock_broker: MockBroker, tmp_path: Path) -> None:
    texts = [text for depth in (480, 1_000, 100_000) for text in nested(depth)]
    for kind in ("error", "message"):
        texts += [json.dumps({"type": kind, "data": text}) for text in ATTACKS]
    tick = {"instrument_token": TOKEN, "last_price": 1}
    frame = encode_frame([encode_packet(PacketKind.LTP, tick)])
    sent = asyncio.Event()

    async def attack(connection: ServerConnection) -> None:
        for text in texts:
            await connection.send(text)
        for number in range(FLOOD):
            await connection.send(json.dumps({"type": "error", "data": f"{number} {HOSTILE}"}))
        await connection.send(frame)
        sent.set()
        await connection.wait_closed()

    async def play() -> None:
        async with (
            serve(attack, "127.0.0.1", 0) as server,
            bridge_at(tmp_path, mock_broker, server) as bridge,
        ):
            async with asyncio.timeout(2 * stage.DEADLINE_S):
                while not sent.is_set():
                    health = await asyncio.to_thread(page, bridge.address, "/healthz")
                    assert health == (HTTPStatus.OK, "ok\n")
                while (
                    "ws_bridge_frames_received_total 1.0"
                    not in (await asyncio.to_thread(page, bridge.address, "/metrics"))[1]
                ):
                    assert bridge.running
            for shown in await looked_at(bridge, tmp_path, mock_broker):
                assert attack_in(shown.text) is None
                assert "Traceback" not in shown.text
            assert await bridge.end(signal.SIGTERM) == 0
            log = "\n".join(bridge.lines)
            assert len(log) < LOG_BYTES_MAX
            assert "Traceback" not in log
            assert attack_in(log) is None

    asyncio.run(play())


def test_a_refusal_with_escapes_in_it_is_shown_as_text(
    mock_broker: MockBroker, tmp_path: Path
) -> None:
    refused = []

    def refuse(connection: ServerConnection, _: Request) -> Response:
        refused.append(1)
        return connection.respond(HTTPStatus.FORBIDDEN, f"token expired {HOSTILE}")

    async def nothing(_: ServerConnection) -> None:
        """Every handshake is refused."""

    async def play() -> None:
        async with (
            serve(nothing, "127.0.0.1", 0, process_request=refuse) as server,
            bridge_at(tmp_path, mock_broker, server) as bridge,
        ):
            await stage.until(lambda: any("token expired" in line for line in bridge.lines))
            assert len(refused) == 2
            shown = await looked_at(bridge, tmp_path, mock_broker)
            assert await bridge.end(signal.SIGTERM) == 0
            assert attack_in("\n".join(bridge.lines)) is None
        assert any("token expired" in each.text for each in shown)
        for each in shown:
            assert attack_in(each.text) is None
            assert "Traceback" not in each.text

    asyncio.run(play())
