"""WebSocket and REST take the same way to Kite: the same authorities, the same proxy."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from certificates import HOST, self_signed
from connect_proxy import ConnectProxy, connect_proxy

from kite_broker_zerodha.errors import KiteUnavailable
from kite_broker_zerodha.network import Network
from kite_broker_zerodha.rest import KiteRest
from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.session.options import SessionOptions
from kite_broker_zerodha.session.transport import open_connection
from kite_broker_zerodha.settings import KiteApiUser
from kite_runtime.clock import SystemClock
from kite_runtime.errors import ConfigurationError
from kite_simulator import SimulatorOptions, SimulatorServer

USER = "CANARYuser:CANARYpass@"
BASIC = "Basic " + base64.b64encode(b"CANARYuser:CANARYpass").decode()


@pytest.fixture()
def proxy() -> Iterator[ConnectProxy]:
    with connect_proxy() as running:
        yield running


@pytest.fixture()
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    return self_signed(tmp_path)


def by_websocket(network: Network, context: ssl.SSLContext) -> None:
    """One connection to a simulator that only the proxy can reach."""

    async def play() -> None:
        async with SimulatorServer(SimulatorOptions(ssl_context=context)) as simulator:
            port = urlsplit(simulator.url).port
            connection = await open_connection(
                f"wss://{HOST}:{port}",
                FixedCredentials("k", "t").load(),
                replace(SessionOptions(), network=network),
                SystemClock(),
            )
            await connection.close()

    asyncio.run(play())


def by_rest(network: Network, context: ssl.SSLContext) -> None:
    """One call of an API that only the proxy can reach."""
    with rest_server(context) as port:
        client = KiteRest("k", "t", root=f"https://{HOST}:{port}", network=network)
        with client:
            assert client.profile().user_id == "AB1234"


@contextmanager
def rest_server(context: ssl.SSLContext) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"status": "success", "data": {"user_id": "AB1234"}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Call = Callable[[Network, ssl.SSLContext], None]
BOTH = pytest.mark.parametrize("call", [by_websocket, by_rest])


@BOTH
@pytest.mark.parametrize(
    ("ca", "way"),
    [
        ("KITE_CA_FILE", "KITE_PROXY"),
        ("SSL_CERT_FILE", "https_proxy"),
        ("REQUESTS_CA_BUNDLE", "HTTPS_PROXY"),
    ],
)
def test_both_obey_the_same_variables_also_of_the_env_file(
    call: Call,
    ca: str,
    way: str,
    proxy: ConnectProxy,
    tls: tuple[ssl.SSLContext, Path],
    tmp_path: Path,
) -> None:
    context, certificate = tls
    (tmp_path / ".env").write_text(f"{ca}={certificate}\n{way}={proxy.url(USER)}\n")
    settings = KiteApiUser.load(tmp_path, {})
    call(settings.network, context)
    assert [target.rpartition(":")[0] for target in proxy.asked] == [HOST]
    assert proxy.authorized == [BASIC]
    assert "CANARY" not in repr(settings)


@BOTH
def test_ours_win_over_the_usual_ones(
    call: Call, proxy: ConnectProxy, tls: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    context, certificate = tls
    usual = {"SSL_CERT_FILE": "/nowhere", "https_proxy": "http://127.0.0.1:9", "no_proxy": "*"}
    ours = {"KITE_CA_FILE": certificate.name, "KITE_PROXY": proxy.url()}
    call(KiteApiUser.load(tmp_path, usual | ours).network, context)  # the file below the root
    assert len(proxy.asked) == 1


@BOTH
def test_an_unknown_authority_names_the_remedy(
    call: Call, proxy: ConnectProxy, tls: tuple[ssl.SSLContext, Path]
) -> None:
    with pytest.raises(KiteUnavailable, match=r"^TLS: the certificate of .*KITE_CA_FILE"):
        call(Network(proxy=proxy.url(USER), env={}), tls[0])


@BOTH
def test_a_proxy_that_refuses_is_a_sentence(
    call: Call, proxy: ConnectProxy, tls: tuple[ssl.SSLContext, Path]
) -> None:
    proxy.refuse = 407
    with pytest.raises(KiteUnavailable, match="proxy") as caught:
        call(Network(tls[1], proxy.url(USER), env={}), tls[0])
    assert "CANARY" not in str(caught.value)
    assert not isinstance(caught.value.__cause__, AttributeError)
    with pytest.raises(KiteUnavailable) as caught:
        call(Network(tls[1], f"http://{USER}127.0.0.1:9", env={}), tls[0])
    assert "CANARY" not in str(caught.value)


@BOTH
@pytest.mark.parametrize(
    "address", ["socks5://CANARYu:CANARYp@p:1080", "CANARYu:CANARYp@p:3128", "http://p:CANARY"]
)
def test_a_proxy_that_cannot_be_used_is_a_wrong_setting(
    call: Call, address: str, tls: tuple[ssl.SSLContext, Path]
) -> None:
    for network in (Network(proxy=address, env={}), Network(env={"all_proxy": address})):
        with pytest.raises(ConfigurationError, match=r"(KITE_PROXY|all_proxy) is ") as caught:
            call(network, tls[0])
        assert "CANARY" not in str(caught.value)


@BOTH
def test_certificates_that_cannot_be_used_are_a_wrong_setting(
    call: Call, tls: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("no certificate")
    for path, why in (("nowhere", "no such file"), ("empty", "no PEM file")):
        with pytest.raises(ConfigurationError, match=f"KITE_CA_FILE names .*{path}.*{why}"):
            call(Network(tmp_path / path, env={}), tls[0])


def test_which_proxy_lies_on_the_way() -> None:
    env = {
        "https_proxy": "http://a:1",
        "wss_proxy": "http://b:2",
        "NO_PROXY": "kite.trade,10.0.0.1",
    }
    network = Network(env=env)
    assert network.proxy_for("https://api.other.trade") == "http://a:1"
    assert network.proxy_for("wss://ws.other.trade") == "http://b:2"
    for url in (
        "wss://ws.kite.trade",
        "https://kite.trade",
        "ws://127.0.0.1:1",
        "http://localhost",
    ):
        assert network.proxy_for(url) is None
    assert Network(proxy="none", env=env).proxy_for("https://api.other.trade") is None
    assert Network(env={}).proxy_for("https://api.other.trade") is None
