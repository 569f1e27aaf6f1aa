"""One account for feed and API: a token minted here opens the feed, and its death closes it."""

from __future__ import annotations

import asyncio

import pytest

from kite_broker_zerodha.errors import ListenFailed
from kite_broker_zerodha.rest import KiteRest
from kite_broker_zerodha.session.credentials import Credentials
from kite_broker_zerodha.session.events import AuthExpired, AuthRestored, Connected, Disconnected
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.session import KiteSession
from kite_broker_zerodha.session.testing import Recorder
from kite_contracts.tick_batch import TickMode
from kite_simulator import Account, RestOptions, SimulatedKite, SimulatorOptions
from kite_simulator.account import LoginRefused

QUIET = SimulatorOptions(heartbeat_s=3600, settle_s=0.02, rate_per_s=200)
QUICK = SessionOptions(
    inbound_silence_s=3600,
    stall_s=3600,
    auth_poll_s=0.02,
    auth_retry_s=3600,
    auth_again_s=0.02,
    backoff_first_s=0.02,
    backoff_cap_s=0.02,
)


class Desk:
    """Credentials that somebody else replaces."""

    def __init__(self) -> None:
        self.token = "yesterday"

    def load(self) -> Credentials:
        return Credentials("key", self.token)

    def log_in(self, kite: SimulatedKite) -> str:
        with KiteRest("key", root=kite.root) as rest:
            grant = rest.exchange(kite.account.log_in("key"), "secret")
        return grant.access_token.reveal()


@pytest.mark.asyncio()
async def test_the_feed_follows_the_account() -> None:
    heard, desk = Recorder(), Desk()
    async with SimulatedKite(QUIET, account=Account("key", "secret")) as kite:
        session = KiteSession(0, kite.url, desk, heard, options=QUICK)
        await session.apply({256265: TickMode.FULL})
        task = asyncio.create_task(session.run())
        await heard.event(AuthExpired)
        assert kite.feed.ledger.refused == 2  # a first refusal is not believed alone

        desk.token = await asyncio.to_thread(desk.log_in, kite)
        await heard.event(AuthRestored)
        await heard.until(lambda: len(heard.frames) > 2)

        second = await asyncio.to_thread(desk.log_in, kite)  # ends the first token
        await heard.event(Disconnected)
        await heard.event(AuthExpired, 2)
        desk.token = second
        await heard.event(Connected, 2)

        kite.account.expire()
        await heard.event(AuthExpired, 3)
        assert kite.feed.ledger.refused == 6
        await session.stop()
        await task


@pytest.mark.asyncio()
async def test_prices_of_the_api_are_those_of_the_feed() -> None:
    account = Account("key", open_until_login=True)
    heard, desk = Recorder(), Desk()
    async with SimulatedKite(QUIET, account=account) as kite:
        session = KiteSession(0, kite.url, desk, heard, options=QUICK)
        await session.apply({256265: TickMode.FULL})
        task = asyncio.create_task(session.run())
        await heard.until(lambda: len(heard.frames) > 3)
        with KiteRest("key", "any", root=kite.root) as rest:
            prices = await asyncio.to_thread(rest.ltp, ["NSE:NIFTY 50"])
        await session.stop()
        await task
        last = kite.feed.last_price(256265)
        assert last is not None
        assert abs(int(prices["NSE:NIFTY 50"] * 100) - last) < 5000


@pytest.mark.asyncio()
async def test_a_taken_port_is_named_and_leaves_nothing_behind() -> None:
    async with SimulatedKite(QUIET) as kite:
        feed, api = kite.feed.port, int(kite.root.rpartition(":")[2])
        for options, rest_options, port in (
            (SimulatorOptions(port=feed), RestOptions(), feed),
            (SimulatorOptions(), RestOptions(port=api), api),
        ):
            other = SimulatedKite(options, rest_options)
            with pytest.raises(ListenFailed, match=f"port {port} cannot be opened") as caught:
                await other.__aenter__()
            assert caught.value.port == port
            assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(OSError, match="onnect"):  # the second one's feed listens no more
            await asyncio.open_connection("127.0.0.1", other.feed.port)


def test_an_account_open_until_the_first_login() -> None:
    account = Account(None, "secret", open_until_login=True, dead_tokens=["dead"])
    assert account.holds("any", "thing")
    assert not account.holds("any", "dead")
    assert not account.holds("", "thing")
    assert not account.holds("any", "")
    account.expire()
    assert not account.holds("any", "thing")
    account.log_in("whoever")
    with pytest.raises(LoginRefused):
        account.log_in("")
    assert "secret" not in repr(account)
