"""A recorded day is served as it was: packets, order, distances, and no more than is subscribed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from recordings import recorded
from test_simulator_server import client, say
from websockets.asyncio.client import ClientConnection

from kite_broker_zerodha.wire import HEARTBEAT, encode_frame
from kite_contracts.tick_batch import TickMode
from kite_simulator import SimulatedKite, SimulatorOptions, SimulatorServer
from kite_simulator.account import Account
from kite_simulator.market import cut
from kite_simulator.recorded import RecordedFrame, frames_of
from kite_simulator.rest import RestOptions, RestRequest

pytestmark = pytest.mark.asyncio

STOCK, INDEX = 408_065, 256_265
MODES = {STOCK: TickMode.FULL, INDEX: TickMode.FULL, 5_633: TickMode.QUOTE, 2_305: TickMode.LTP}


def served(packets: list[list[bytes]]) -> list[bytes]:
    return [encode_frame(each) for each in packets]


async def subscribe(kite: ClientConnection, modes: dict[int, TickMode]) -> None:
    await say(kite, "subscribe", list(modes))
    for mode in (TickMode.FULL, TickMode.LTP):
        await say(kite, "mode", [mode.name.lower(), [t for t in modes if modes[t] is mode]])


async def heard(kite: ClientConnection, frames: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < frames:
        payload = await kite.recv()
        assert isinstance(payload, bytes)
        if payload != HEARTBEAT:
            found.append(payload)
    return found


async def test_every_frame_comes_as_it_was_recorded() -> None:
    packets, batch = recorded(MODES, 40)
    options = SimulatorOptions(speed=0, expected_tokens=len(MODES))
    async with (
        SimulatorServer(options, recording=frames_of([batch])) as server,
        client(server) as kite,
    ):
        await subscribe(kite, MODES)
        assert await heard(kite, 40) == served(packets)
        await server.finished.wait()
        await say(kite, "unsubscribe", [STOCK])
        await say(kite, "subscribe", [STOCK])
        last = next(each[0] for each in reversed(packets) if len(each) == len(MODES))
        assert await heard(kite, 1) == [encode_frame([cut(last, TickMode.QUOTE)])]


async def test_a_client_gets_no_more_than_it_is_subscribed_to() -> None:
    packets, batch = recorded(MODES, 8)
    options = SimulatorOptions(speed=0, expected_tokens=2)
    async with (
        SimulatorServer(options, recording=frames_of([batch])) as server,
        client(server) as kite,
    ):
        await subscribe(kite, {STOCK: TickMode.LTP, 2_305: TickMode.FULL})
        expected = []
        for number, frame in enumerate(packets):
            own = [cut(frame[0], TickMode.LTP)] if number % len(MODES) == 0 else []
            expected.append(encode_frame([*own, frame[-1]]))
        assert await heard(kite, 8) == expected


async def test_distances_are_those_of_the_day_by_the_speed() -> None:
    _, batch = recorded(MODES, 11, every_ns=1_000_000_000)
    options = SimulatorOptions(speed=20, expected_tokens=1)
    async with (
        SimulatorServer(options, recording=frames_of([batch])) as server,
        client(server) as kite,
    ):
        await subscribe(kite, MODES)
        await heard(kite, 1)
        began_s = time.monotonic()
        await heard(kite, 10)
        assert time.monotonic() - began_s > 0.4, "ten seconds at twenty times the speed"


async def test_a_recording_that_cannot_be_read_ends_the_service_with_its_error() -> None:
    _, batch = recorded(MODES, 3)

    def broken() -> Iterator[list[RecordedFrame]]:
        yield from frames_of([batch])
        raise OSError("the disk is gone")

    async def listen() -> None:
        options = SimulatorOptions(speed=0, expected_tokens=1)
        async with SimulatorServer(options, recording=broken()) as server, client(server) as kite:
            await subscribe(kite, MODES)
            await heard(kite, 3)
            await server.finished.wait()

    with pytest.raises(OSError, match="the disk is gone"):
        await listen()


async def test_rest_gives_the_last_price_served_and_no_candles() -> None:
    _, batch = recorded(MODES, 4)
    recording = frames_of([batch])
    account = Account(None, open_until_login=True)
    options = SimulatorOptions(speed=0, expected_tokens=1)
    kite = SimulatedKite(options, RestOptions(), account, recording)
    async with kite, client(kite.feed) as feed:
        tokens = kite.rest.service.master.tokens
        key = next(name for name in tokens if tokens[name] == INDEX)
        assert ask(kite, f"/quote/ltp?i={key}")["data"] == {}
        await subscribe(feed, MODES)
        await kite.feed.finished.wait()
        price = kite.feed.last_price(INDEX)
        assert price is not None
        assert ask(kite, f"/quote/ltp?i={key}") == {
            key: {"instrument_token": INDEX, "last_price": price / 100}
        }
        path = f"/instruments/historical/{INDEX}/minute?from=2026-01-05&to=2026-01-05"
        assert "the feed is a recording" in str(ask(kite, path))


def ask(kite: SimulatedKite, target: str) -> Any:
    request = RestRequest("GET", target, {"authorization": "token dummy:dummy"})
    answer = json.loads(kite.rest.service.answer(request, datetime.now(UTC)).body)
    return answer["data"] or answer
