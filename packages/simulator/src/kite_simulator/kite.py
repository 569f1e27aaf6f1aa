"""A whole Kite on this machine: WebSocket and REST of one account and one market."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Self

from kite_broker_zerodha.errors import ListenFailed
from kite_simulator.account import Account
from kite_simulator.recorded import RecordedFrame
from kite_simulator.rest import RestOptions
from kite_simulator.rest_server import RestSimulator
from kite_simulator.server import SimulatorOptions, SimulatorServer


class SimulatedKite:
    """``async with SimulatedKite() as kite``: feed at ``kite.url``, API at ``kite.root``.

    A token minted by the API is what the feed takes; one that dies is refused by both, and the
    connections that used it end. Last prices are the feed's. The seed is that of ``options``. With
    a ``recording`` (see SimulatorServer) the API has no candles, for they would be the seed's.
    Raises ListenFailed when a port is taken; the constructor raises OSError when the master file
    cannot be read.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        rest_options: RestOptions | None = None,
        account: Account | None = None,
        recording: Iterable[Sequence[RecordedFrame]] | None = None,
    ) -> None:
        self.account = account or Account()
        self.feed = SimulatorServer(options, self.account, recording)
        seeded = replace(
            rest_options or RestOptions(), seed=self.feed.options.seed, candles=recording is None
        )
        self.rest = RestSimulator(seeded, self.account, price=self.feed.last_price)

    @property
    def url(self) -> str:
        """The feed's address, as ``KiteTicker(root=...)`` and KiteSession take it."""
        return self.feed.url

    @property
    def root(self) -> str:
        """The API's address, as ``KiteConnect(root=...)`` and KiteRest take it."""
        return self.rest.root

    @property
    def login_page(self) -> str:
        return self.rest.login_page

    async def __aenter__(self) -> Self:
        try:
            await self.feed.__aenter__()
        except OSError as error:
            raise _taken(self.feed.options.port, error) from error
        try:
            self.rest.__enter__()
        except OSError as error:
            await self.feed.__aexit__()
            raise _taken(self.rest.options.port, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.to_thread(self.rest.__exit__)
        finally:
            await self.feed.__aexit__()


def _taken(port: int, error: OSError) -> ListenFailed:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ListenFailed(f"port {port} cannot be opened: {reason}", port)
