"""The package's public interface."""

from __future__ import annotations

import pytest

from kite_broker_zerodha.settings import is_kite
from kite_runtime.testing import heavy_interface


def test_the_package_loads_nothing_heavy_and_has_the_names_of_its_interface() -> None:
    assert heavy_interface("kite_broker_zerodha") == set()


@pytest.mark.parametrize(
    ("url", "kites"),
    [
        *(("wss://ws.kite.trade", True), ("https://api.kite.trade/", True)),
        *(("wss://WS.Kite.Trade:443", True), ("ws://127.0.0.1:9470", False)),
        *(("wss://ws.kite.trade.example", False), ("wss://akite.trade", False)),
    ],
)
def test_which_addresses_are_kites(url: str, kites: bool) -> None:
    assert is_kite(url) is kites
