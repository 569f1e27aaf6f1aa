from __future__ import annotations

import pytest

from kite_runtime.hosts import is_local


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("192.0.2.7", False), ("kite1", False)),
    ],
)
def test_which_addresses_others_can_reach(host: str, local: bool) -> None:
    assert is_local(host) is local
