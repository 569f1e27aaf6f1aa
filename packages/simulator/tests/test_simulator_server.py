"""The simulator as a Kite: its limits, its manners, and a ledger that is exactly what arrived."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.session.events import FeedSessions
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.session import KiteSession
from kite_broker_zerodha.session.testing import PATIENCE_S, Recorder
from kite_broker_zerodha.testing.reference import Row, decode_frame
from kite_broker_zerodha.wire import HEARTBEAT
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import TickMode, Verdict
from kite_simulator import SimulatorOptions, SimulatorServer, parse_script

pytestmark = pytest.mark.asyncio

BOUNDS = tick_bounds()
QUIET = SimulatorOptions(heartbeat_s=3600, settle_s=0.02, rate_per_s=None)
FAST = SessionOptions(
    inbound_silence_s=0.5,
    watch_s=0.05,
    stall_s=3600,
    auth_poll_s=0.05,
    auth_retry_s=0.05,
    backoff_first_s=0.05,
    backoff_cap_s=0.05,
)


def query(key: str = "dummy", token: str = "dummy") -> str:
    return f"?api_key={key}&access_token={token}"


@asynccontextmanager
async def client(
    simulator: SimulatorServer, token: str = "dummy"
) -> AsyncIterator[ClientConnection]:
    async with (
        asyncio.timeout(PATIENCE_S),
        connect(simulator.url + query(token=token), proxy=None, compression=None) as connection,
    ):
        yield connection


async def say(connection: ClientConnection, action: str, value: Any) -> None:
    await connection.send(json.dumps({"a": action, "v": value}))


def rows_of(payload: str | bytes) -> list[Row]:
    assert isinstance(payload, bytes)
    return decode_frame(payload, ts_recv_ns=1, feed_session=0, first_seq=0, bounds=BOUNDS)


async def test_a_subscription_is_answered_with_the_last_packet_in_quote_mode() -> None:
    async with SimulatorServer(replace(QUIET, expected_tokens=9)) as simulator:
        async with client(simulator) as kite:
            await say(kite, "subscribe", [408065, 256265])
            quotes = rows_of(await kite.recv())
            assert [row.mode for row in quotes] == [TickMode.QUOTE, TickMode.QUOTE]
            await say(kite, "mode", ["full", [408065]])
            (full,) = rows_of(await kite.recv())
            assert full.mode == TickMode.FULL
            assert full.values["last_price"] == quotes[0].values["last_price"]
        assert simulator.ledger.packets == {
            PacketKind.QUOTE: 1,
            PacketKind.INDEX_QUOTE: 1,
            PacketKind.FULL: 1,
        }


async def test_more_than_3000_tokens_are_an_error_for_the_rest_and_the_connection_survives() -> (
    None
):
    async with (
        SimulatorServer(replace(QUIET, expected_tokens=9000, frame_packets=4000)) as simulator,
        client(simulator) as kite,
    ):
        await say(kite, "subscribe", [number << 8 | 1 for number in range(1, 3006)])
        assert len(rows_of(await kite.recv())) == 3000
        error = json.loads(await kite.recv())
        assert error["type"] == "error"
        assert "5 instruments refused" in error["data"]
        await say(kite, "unsubscribe", [257])
        await say(kite, "subscribe", [3005 << 8 | 1])
        (row,) = rows_of(await kite.recv())
        assert row.values["instrument_token"] == 3005 << 8 | 1


async def test_string_tokens_deliver_nothing() -> None:
    async with SimulatorServer(QUIET) as simulator, client(simulator) as kite:
        await say(kite, "subscribe", ["408065"])
        await say(kite, "subscribe", [257])
        (row,) = rows_of(await kite.recv())
        assert row.values["instrument_token"] == 257
        assert simulator.subscribed_tokens == 1


@pytest.mark.parametrize(
    "path",
    ["", "?api_key=dummy", "?access_token=dummy", query(token="dead"), "?api_key=&access_token="],
)
async def test_bad_credentials_are_http_403(path: str) -> None:
    async with SimulatorServer(replace(QUIET, dead_tokens=frozenset({"dead"}))) as simulator:
        with pytest.raises(InvalidStatus) as caught:
            await connect(simulator.url + path, proxy=None)
        assert caught.value.response.status_code == 403
        assert simulator.ledger.refused == 1


async def test_any_other_token_is_accepted_up_to_three_connections_a_key() -> None:
    async with SimulatorServer(QUIET) as simulator, AsyncExitStack() as stack:
        for token in ("dummy", "xyz", "abc"):
            await stack.enter_async_context(client(simulator, token))
        with pytest.raises(InvalidStatus) as caught:
            await connect(simulator.url + query(), proxy=None)
        assert caught.value.response.status_code == 429
        async with connect(simulator.url + query(key="another"), proxy=None):
            pass


async def test_heartbeats_come_without_any_subscription() -> None:
    async with (
        SimulatorServer(replace(QUIET, heartbeat_s=0.01)) as simulator,
        client(simulator) as kite,
    ):
        assert [await kite.recv() for _ in range(3)] == [HEARTBEAT] * 3


async def test_after_the_last_tick_only_heartbeats_come() -> None:
    options = replace(QUIET, ticks=7, frame_packets=3, heartbeat_s=0.05)
    async with SimulatorServer(options) as simulator, client(simulator) as kite:
        await say(kite, "subscribe", [257, 513])
        await simulator.finished.wait()
        payloads = [await kite.recv() for _ in range(1 + 4 + 3)]
        frames = [payload for payload in payloads if payload != HEARTBEAT]
        assert sum(len(rows_of(frame)) for frame in frames) == 2 + 7
        assert payloads[-1] == HEARTBEAT
        assert simulator.ledger.ticks == 9
        assert simulator.ledger.cached == 2


async def test_nothing_counts_while_nobody_listens() -> None:
    async with SimulatorServer(replace(QUIET, ticks=5)) as simulator:
        async with client(simulator):
            pass
        await asyncio.sleep(0)
        assert simulator.ledger.frames == 0
        assert not simulator.finished.is_set()


def plans() -> list[dict[int, TickMode]]:
    """Three shards with tokens of every segment, in all modes."""
    tokens = [number << 8 | segment for number in range(1, 13) for segment in (1, 2, 3, 6, 7, 9)]
    return [{t: TickMode(t >> 8 & 1 or t % 3) for t in tokens[i::3]} for i in range(3)]


async def journaled(script: str, seed: int = 1) -> tuple[dict[str, Any], Recorder]:
    """Run three sessions through a whole market; the ledger, and what they received."""
    shards, feed_sessions, heard = plans(), FeedSessions(), Recorder()
    options = replace(
        QUIET,
        seed=seed,
        ticks=4000,
        frame_packets=10,
        heartbeat_s=0.1,
        expected_tokens=sum(map(len, shards)),
        script=parse_script(script),
    )
    source = FixedCredentials("dummy", "dummy")
    async with asyncio.timeout(12 * PATIENCE_S), SimulatorServer(options) as simulator:
        sessions = [
            KiteSession(i, simulator.url, source, heard, options=FAST, feed_sessions=feed_sessions)
            for i in range(3)
        ]
        for session, shard in zip(sessions, shards, strict=True):
            await session.apply(shard)
        tasks = [asyncio.create_task(session.run()) for session in sessions]
        await simulator.finished.wait()
        await heard.until(lambda: len(heard.frames) >= simulator.ledger.frames)
        for session in sessions:
            await session.stop()
        await asyncio.gather(*tasks)
        assert len(heard.frames) == simulator.ledger.frames
        return simulator.ledger.to_dict(), heard


EVERY_FAULT = parse_script("all")
SHORT = "; ".join(
    f"{fault.at_frame} {fault.kind}" + (" 0.2" if fault.kind in ("stall", "slow") else "")
    for fault in EVERY_FAULT
)


@pytest.mark.parametrize("script", ["", SHORT], ids=["calm", "every fault"])
async def test_sent_is_received_row_by_row(script: str) -> None:
    ledger, heard = await journaled(script)
    rows = [row for _, payload, _ in heard.frames for row in rows_of(payload)]
    good = Counter(PacketKind(r.end - r.start).name.lower() for r in rows if r.verdict == 0)
    bad = Counter(
        Verdict(row.verdict).name.lower() if row.verdict < 0 else "out_of_bounds"
        for row in rows
        if row.verdict != 0
    )
    assert (dict(good), dict(bad)) == (ledger["packets"], ledger["bad"])
    assert len(rows) == ledger["rows"]
    assert len(ledger["faults"]) == (len(EVERY_FAULT) if script else 0)
    assert ledger["texts"] == (3 if script else 0)


async def test_the_same_seed_sends_the_same_whatever_fails() -> None:
    (one, first), (two, second) = await journaled(SHORT), await journaled(SHORT)
    for ledger in (one, two):
        ledger.pop("heartbeats")
    assert one == two
    for shard in range(3):
        of_shard = [[p for s, p, _ in heard.frames if s == shard] for heard in (first, second)]
        assert of_shard[0] == of_shard[1]
