"""A canary: whatever call fails however, no secret is in an error, a repr or a log of any level."""

from __future__ import annotations

import logging
import ssl
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from certificates import self_signed

from kite_broker_zerodha.errors import BrokerError, KiteUnavailable
from kite_broker_zerodha.rest import KiteRest, Retries
from kite_simulator import Account, RestFault, RestOptions, RestSimulator

KEY, SECRET, TOKEN = "CANARYkey1", "CANARYsecret1", "CANARYtoken1"
WRONG, BAD = "CANARYwrong", "CANARY bad"
LOGGERS = (
    "",
    "urllib3",
    "urllib3.connectionpool",
    "requests",
    "kiteconnect",
    "kiteconnect.connect",
)


class LoudAccount(Account):
    """Its tokens are canaries too."""

    def _new_token(self, kind: str) -> str:
        return f"CANARY{super()._new_token(kind)}"


def client(root: str, token: str | None = TOKEN) -> KiteRest:
    retries = Retries(attempts=2)
    return KiteRest(KEY, token, root=root, retries=retries, timeout_s=0.3, sleep=lambda _: None)


def calls(rest: KiteRest, account: Account) -> list[Callable[[], object]]:
    return [
        rest.profile,
        rest.instruments,
        lambda: rest.ltp(["NSE:INFY"]),
        lambda: rest.exchange(account.log_in(KEY), SECRET),
        lambda: rest.exchange(WRONG, SECRET),
        rest.invalidate,
        lambda: rest.exchange(BAD, SECRET),
    ]


def failures_of(root: str, account: Account) -> list[BrokerError]:
    caught = []
    for number in range(len(calls(client(root), account))):
        rest = client(root)
        try:
            calls(rest, account)[number]()
        except BrokerError as error:
            caught.append(error)
        assert "CANARY" not in repr(rest)
    return caught


def test_no_secret_in_errors_reprs_or_logs(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    account = LoudAccount(KEY, SECRET)
    caught: list[BrokerError] = []
    with RestSimulator(RestOptions(), account) as kite:
        caught += failures_of(kite.root, account)
        for fault in RestFault:
            kite.service.fail_next(fault, 100, seconds=1.0)
            caught += failures_of(kite.root, account)
            kite.service.recover()
        with client(kite.root, token=None) as rest:
            grant = rest.exchange(account.log_in(KEY), SECRET)
            assert grant.access_token.reveal().startswith("CANARY")
            shown = [repr(grant), repr(rest), repr(kite.service.served), repr(account)]
        echo = kite.root
    caught += failures_of(echo, account)  # nobody listens any more
    with echoing() as root:
        caught += failures_of(root, account)
    assert len(caught) > 60
    shown += [caplog.text, *capfd.readouterr()]
    shown += ["".join(traceback.format_exception(error)) for error in caught]
    for text in shown:
        assert "CANARY" not in text
    assert not any("\n" in str(error) for error in caught)


class echoing:  # - reads like a function
    """A Kite whose errors quote all of the request."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                told = f"{self.path} {self.headers.get('Authorization')} {body}".replace('"', "'")
                page = f'{{"status": "error", "error_type": "InputException", "message": "{told}"}}'
                self.send_response(400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page.encode())

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._scheme = "http" if context is None else "https"

    def __enter__(self) -> str:
        self._thread.start()
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_a_certificate_that_is_not_trusted_ends_the_call_at_once(tmp_path: Path) -> None:
    waits: list[float] = []
    with echoing(self_signed(tmp_path)[0]) as root, pytest.raises(KiteUnavailable) as caught:
        KiteRest(KEY, TOKEN, root=root, sleep=waits.append).profile()
    assert str(caught.value).startswith(f"TLS: the certificate of {root[8:]} cannot be verified")
    assert waits == []
