"""TLS is verified, and no failure shows the api_key or the token to anyone."""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import self_signed

from kite_broker_zerodha.errors import AuthRefused
from kite_broker_zerodha.network import Network
from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.session.events import AuthExpired, Connected, Disconnected, TextMessage
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.session import KiteSession
from kite_broker_zerodha.session.testing import PATIENCE_S, ManualClock, Recorder
from kite_broker_zerodha.session.transport import ConnectFailed, open_connection
from kite_contracts.tick_batch import TickMode
from kite_runtime.errors import ConfigurationError
from kite_simulator import SimulatorOptions, SimulatorServer

pytestmark = pytest.mark.asyncio

KEY, TOKEN = "CANARYkey1", "CANARYtoken/+=2"
SECRETS = FixedCredentials(KEY, TOKEN)
QUIET = SimulatorOptions(heartbeat_s=3600, settle_s=0.02)


class CountingCredentials(FixedCredentials):
    """Counts attempts, so that a test can wait for the next one."""

    attempts = 0

    def load(self):  # type: ignore[no-untyped-def]
        self.attempts += 1
        return super().load()


async def test_a_certificate_that_is_not_trusted_is_one_clear_event(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    async with SimulatorServer(replace(QUIET, ssl_context=context)) as simulator:
        assert simulator.url.startswith("wss://")
        heard, clock, source = Recorder(), ManualClock(), CountingCredentials(KEY, TOKEN)
        session = KiteSession(0, simulator.url, source, heard, clock)
        task = asyncio.create_task(session.run())
        failed = await heard.event(Disconnected)
        async with asyncio.timeout(PATIENCE_S):
            while source.attempts < 3:
                await clock.advance(60)
        await session.stop()
        await task
        assert failed.code is None
        assert failed.reason == (
            f"TLS: the certificate of {simulator.url[6:]} is not trusted: self-signed certificate "
            "(KITE_CA_FILE names authorities of your own)"
        )
        assert heard.events == [failed]
        assert simulator.ledger.connections == []

        trusting = SessionOptions(network=Network(certificate, env={}))
        heard = Recorder()
        session = KiteSession(0, simulator.url, source, heard, clock, trusting)
        await session.apply({257: TickMode.FULL})
        task = asyncio.create_task(session.run())
        await heard.until(lambda: len(heard.frames) > 3)
        await session.stop()
        await task


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("CANARYuser:CANARYpass@proxy.example:3128", "is no address"),
        ("CANARYuser@proxy.example:3128", "is no address"),
        ("http://CANARYuser:CANARYpass@proxy.example:CANARYport", "is no address"),
        ("http://CANARYuser:%ff@proxy.example", "is no address"),
        ("socks5h://CANARYuser:CANARYpass@proxy.example:1080", "is a SOCKS proxy"),
    ],
)
async def test_a_proxy_that_cannot_be_used_ends_the_session_unquoted(
    proxy: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "wss_proxy", "socks_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    session = KiteSession(0, "wss://ws.kite.trade", SECRETS, Recorder(), ManualClock())
    with pytest.raises(ConfigurationError, match=said) as refused:
        await session.run()
    assert "CANARY" not in str(refused.value)
    assert refused.value.__cause__ is None
    monkeypatch.setenv("no_proxy", "ws.kite.trade")
    assert Network().proxy_for("wss://ws.kite.trade") is None


async def every_failure(heard: Recorder) -> list[Exception]:
    """Run into every kind of failure with the canary as credentials."""
    caught: list[Exception] = []
    async with SimulatorServer(QUIET) as simulator:
        clock = ManualClock()
        session = KiteSession(0, simulator.url, SECRETS, heard, clock)
        await session.apply({257: TickMode.FULL})
        task = asyncio.create_task(session.run())
        await heard.event(Connected)
        await simulator.send_text("error", f"no such key {KEY} for {TOKEN}")
        await heard.event(TextMessage)
        simulator.declare_dead(TOKEN)
        await heard.event(Disconnected)
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(event, AuthExpired) for event in heard.events):
                await clock.advance(2)  # the wait before the next attempt, and the second try
        await session.stop()
        await task
        caught += await attempt(simulator.url)
    caught += await attempt(simulator.url)  # refused: nobody listens any more
    for answer in (
        b"HTTP/1.1 500 No\r\n\r\n" + TOKEN.encode(),
        b"HTTP/1.1 302 Found\r\nLocation: http://h/?access_token=" + TOKEN.encode() + b"\r\n\r\n",
        b"CANARYkey1 is no HTTP\r\n\r\n",
        b"",
    ):
        caught += await attempt(await answering(answer))
    assert [type(error) for error in caught] == [AuthRefused] + [ConnectFailed] * 5
    return caught


async def attempt(url: str) -> list[Exception]:
    try:
        await open_connection(url, SECRETS.load(), SessionOptions(), ManualClock())
    except (AuthRefused, ConnectFailed) as error:
        return [error]
    return []


async def answering(answer: bytes) -> str:
    """The address of a server that says one thing to anyone and hangs up."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_no_secret_in_events_errors_reprs_or_logs_of_any_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loggers = ("", "websockets", "broker_zerodha.websocket", "kite_simulator", "asyncio")
    for name in loggers:
        caplog.set_level(logging.DEBUG, name)
    heard = Recorder()
    caught = await every_failure(heard)
    shown = [repr(heard.events), repr(SECRETS.load()), caplog.text]
    shown += ["".join(traceback.format_exception(error)) for error in caught]
    assert "HTTP response sent (403 Forbidden)" in caplog.text  # the library did log
    assert len(heard.all(TextMessage)) == 1
    for text in shown:
        assert "CANARY" not in text
