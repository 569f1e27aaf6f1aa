"""The official client runs unchanged against the simulator and receives the same ticks as we do.

It lives in a process of its own, because Twisted's reactor cannot be started twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kiteconnect  # type: ignore[import-untyped]
import pytest
from recordings import recorded

from kite_broker_zerodha.packets import is_tradable
from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.session.events import Connected
from kite_broker_zerodha.session.session import KiteSession
from kite_broker_zerodha.session.testing import Recorder
from kite_broker_zerodha.testing.reference import Row, decode_frame
from kite_broker_zerodha.wire import encode_frame
from kite_contracts.tick_batch import ABSENT, TickMode
from kite_simulator import SimulatorOptions, SimulatorServer, parse_script
from kite_simulator.recorded import frames_of

pytestmark = pytest.mark.asyncio

LIMIT_S = 60.0
"""Real time for the whole conversation; Twisted alone takes seconds to import on a busy machine."""

TICKER = """
import datetime, json, sys
from kiteconnect import KiteTicker

root, plan, wanted = json.loads(sys.argv[1])
ticker = KiteTicker("dummy", "dummy", root=root)
ticks, texts, connects = [], [], []

def on_connect(ws, response):
    connects.append(1)
    if len(connects) == 1:  # it subscribes again by itself
        for mode, tokens in plan.items():
            ws.subscribe(tokens)
            if mode != "quote":
                ws.set_mode(mode, tokens)

def on_ticks(ws, found):
    ticks.extend(found)
    if len(ticks) >= wanted:
        ws.stop()

ticker.on_connect = on_connect
ticker.on_ticks = on_ticks
ticker.on_error = lambda ws, code, reason: texts.append([code, str(reason)])
ticker.on_order_update = lambda ws, data: texts.append(["order", data])
ticker.connect()
json.dump([ticks, texts, len(connects)], sys.stdout, default=datetime.datetime.isoformat)
"""

TOKENS = [number << 8 | segment for number in (1, 2, 3) for segment in (1, 2, 3, 4, 5, 6, 7, 9, 12)]
SHARED = {token: TickMode((place + place // 9) % 3) for place, token in enumerate(TOKENS)}
OURS = {**SHARED, 99 << 8 | 1: TickMode.LTP}
"""One more token each, so that the market opens only when both have subscribed."""
THEIRS = {**SHARED, 98 << 8 | 1: TickMode.LTP}


async def ticker(
    root: str, plan: Mapping[int, TickMode], wanted: int
) -> tuple[list[dict[str, Any]], list[list[Any]], int]:
    """Run KiteTicker until it has that many ticks: its ticks, texts and number of connections."""
    modes: dict[str, list[int]] = {}
    for token, mode in plan.items():
        modes.setdefault(mode.name.lower(), []).append(token)
    installed = str(Path(kiteconnect.__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        TICKER,
        json.dumps([root, modes, wanted]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Its times are naive and local: in UTC they are what they say.
        env={**os.environ, "TZ": "UTC", "PYTHONPATH": os.pathsep.join([installed, *sys.path])},
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    ticks, texts, connects = json.loads(out)
    return ticks, texts, connects


def rows_of(heard: Recorder) -> list[Row]:
    return [
        row
        for _, payload, ts_ns in heard.frames
        for row in decode_frame(payload, ts_recv_ns=ts_ns, feed_session=0, first_seq=0)
    ]


def as_kite(row: Row) -> dict[str, Any]:
    """Our row as the dict that the official client makes of the same packet."""
    values, mode = row.values, TickMode(row.mode)
    divisor = 10.0 ** values["price_scale"]
    tradable = is_tradable(values["instrument_token"])
    tick: dict[str, Any] = {
        "tradable": tradable,
        "mode": mode.name.lower(),
        "instrument_token": values["instrument_token"],
        "last_price": values["last_price"] / divisor,
    }
    if mode is not TickMode.LTP:
        tick["ohlc"] = {n: values[n] / divisor for n in ("open", "high", "low", "close")}
    if mode is not TickMode.LTP and tradable:
        tick["last_traded_quantity"] = values["last_quantity"]
        tick["average_traded_price"] = values["average_price"] / divisor
        tick["volume_traded"] = values["volume_day"]
        for name in ("total_buy_quantity", "total_sell_quantity"):
            tick[name] = values[name]
    if mode is TickMode.FULL:
        tick["exchange_timestamp"] = iso(values["ts_event_ns"])
    if mode is TickMode.FULL and tradable:
        tick["last_trade_time"] = iso(values["last_trade_time_ns"])
        for name in ("oi", "oi_day_high", "oi_day_low"):
            tick[name] = values[name]
        tick["depth"] = {
            side: [
                {
                    "price": values[f"{ours}_{level}_price"] / divisor,
                    "quantity": values[f"{ours}_{level}_quantity"],
                    "orders": values[f"{ours}_{level}_orders"],
                }
                for level in range(5)
            ]
            for side, ours in (("buy", "bid"), ("sell", "ask"))
        }
    return tick


def iso(time_ns: int) -> str:
    assert time_ns != ABSENT
    return datetime.fromtimestamp(time_ns // 10**9, UTC).replace(tzinfo=None).isoformat()


def shared(ticks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ticks of the instruments that both have; ``change`` is the client's own arithmetic."""
    return [
        {name: value for name, value in tick.items() if name != "change"}
        for tick in ticks
        if tick["instrument_token"] in SHARED
    ]


async def test_the_official_client_receives_the_same_ticks_as_we_do() -> None:
    moves = 2000
    options = SimulatorOptions(
        seed=11,
        ticks=moves,
        rate_per_s=None,
        frame_packets=9,
        expected_tokens=len(SHARED) + 2,
        script=parse_script("60 duplicate; 120 unknown-length; 180 text"),
    )
    heard = Recorder()
    async with asyncio.timeout(LIMIT_S), SimulatorServer(options) as simulator:
        session = KiteSession(0, simulator.url, FixedCredentials("k", "dummy"), heard)
        await session.apply(OURS)
        running = asyncio.create_task(session.run())
        await heard.event(Connected)
        theirs, _, connects = await ticker(simulator.url, THEIRS, moves * 9 // 10)
        await heard.until(lambda: len(heard.frames) == simulator.ledger.connections[0].frames)
        await session.stop()
        await running
    ours = shared([as_kite(row) for row in rows_of(heard) if row.verdict == 0])
    compared = shared(theirs)
    assert connects == 1
    assert len(compared) > moves // 2
    by_token = per_token(ours)
    for token, ticks in per_token(compared).items():
        expected = without_repeats(by_token[token])
        assert without_repeats(ticks) == expected[: len(without_repeats(ticks))]
    seen = {(tick["mode"], tick["tradable"]) for tick in compared}
    assert seen == {(mode, tradable) for mode in ("ltp", "quote", "full") for tradable in (0, 1)}


async def test_the_official_client_receives_a_recorded_day_as_it_was() -> None:
    modes = {**SHARED, 98 << 8 | 1: TickMode.LTP}
    packets, batch = recorded(modes, 60)
    options = SimulatorOptions(speed=0, expected_tokens=len(modes), settle_s=0.5)
    async with (
        asyncio.timeout(LIMIT_S),
        SimulatorServer(options, recording=frames_of([batch])) as kite,
    ):
        theirs, _, _ = await ticker(kite.url, modes, len(batch))
    rows = decode_frame(
        encode_frame([packet for frame in packets for packet in frame]),
        ts_recv_ns=1,
        feed_session=0,
        first_seq=0,
    )
    assert shared(theirs) == shared([as_kite(row) for row in rows])


def per_token(ticks: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for tick in ticks:
        found.setdefault(tick["instrument_token"], []).append(tick)
    return found


def without_repeats(ticks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The market never sends the same twice in a row; the duplicate fault hits one client only."""
    return [tick for place, tick in enumerate(ticks) if not place or tick != ticks[place - 1]]


async def test_the_official_client_comes_back_after_a_drop_and_sees_errors_and_orders() -> None:
    options = SimulatorOptions(
        ticks=400,
        rate_per_s=None,
        frame_packets=9,
        expected_tokens=len(SHARED),
        script=parse_script("5 text; 10 drop"),
    )
    async with asyncio.timeout(LIMIT_S), SimulatorServer(options) as simulator:
        ticks, texts, connects = await ticker(simulator.url, SHARED, 400)
    assert connects == 2
    assert len(ticks) >= 400
    assert [0, "a simulated error"] in texts
    assert ["order", {"order_id": "1", "status": "COMPLETE"}] in texts
