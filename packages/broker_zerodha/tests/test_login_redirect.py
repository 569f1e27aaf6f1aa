"""The redirect of a login: what counts as one, and a listener that answers it once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from threading import Thread
from time import monotonic
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.auth.grant import login_url
from kite_broker_zerodha.auth.listener import RedirectListener, wait_for_redirect
from kite_broker_zerodha.auth.redirect import Reply, reply_to, request_token_of
from kite_broker_zerodha.errors import CredentialsError, ListenFailed, LoginNotFinished
from kite_simulator import Account, RestOptions, RestSimulator

GOOD = "/?action=login&type=login&status=success&request_token=CANARYtoken"


def test_the_login_page_has_the_key_and_what_must_come_back() -> None:
    assert login_url("k&y") == "https://kite.zerodha.com/connect/login?v=3&api_key=k%26y"
    query = parse_qs(urlsplit(login_url("k", state="a/b")).query)
    assert query["redirect_params"] == ["state=a%2Fb"]
    with pytest.raises(CredentialsError, match="KITE_API_KEY"):
        login_url("")


def test_the_redirect_brings_the_token() -> None:
    reply = reply_to("GET", GOOD)
    assert reply.request_token is not None
    assert reply.request_token.reveal() == "CANARYtoken"
    assert reply.status == HTTPStatus.OK
    assert "CANARY" not in repr(reply)
    assert reply_to("GET", "/kite" + GOOD[1:], path="/kite").request_token is not None
    assert reply_to("GET", GOOD + "&state=s", state="s").request_token is not None


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/other" + GOOD[1:], 404),
        ("GET", "/../" + GOOD[1:], 404),
        ("GET", "http://[", 404),
        ("POST", GOOD, 405),
        ("GET", "/?status=success", 400),
        ("GET", "/?status=success&request_token=", 400),
        ("GET", "/?status=success&request_token=<script>", 400),
        ("GET", "/?status=success&request_token=" + "x" * 300, 400),
        ("GET", "/?status=success&request_token=" + "x" * 5000, 414),
        ("GET", "/?" + "&".join(f"a{i}=1" for i in range(50)) + "&request_token=x", 404),
    ],
)
def test_anything_else_is_turned_away_and_the_wait_goes_on(
    method: str, target: str, status: int
) -> None:
    reply = reply_to(method, target)
    assert (reply.status, reply.request_token, reply.refusal) == (status, None, None)


def test_the_redirect_of_another_login_is_turned_away() -> None:
    for target in (GOOD, GOOD + "&state=other"):
        assert reply_to("GET", target, state="mine").status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("target", ["/?status=error", "/?request_token=x", "/?status=cancelled"])
def test_a_login_that_was_not_accepted_ends_the_wait(target: str) -> None:
    assert reply_to("GET", target).refusal is not None


@given(st.text(), st.text())
def test_no_request_crashes_the_listener(method: str, target: str) -> None:
    assert isinstance(reply_to(method, target), Reply)


@pytest.mark.parametrize(
    "pasted",
    [
        "abc123",
        " abc123\n",
        "http://127.0.0.1:8080/?status=success&request_token=abc123&action=login",
        "https://example.com/kite?request_token=abc123",
        "request_token=abc123",
    ],
)
def test_a_person_may_paste_the_token_or_the_whole_address(pasted: str) -> None:
    found = request_token_of(pasted)
    assert found == "abc123"


@pytest.mark.parametrize(
    "pasted", ["", "http://x/?status=error&request_token=CANARY", "CANARY key", "http://x/CANARY"]
)
def test_what_holds_no_token_is_one_sentence_that_does_not_quote_it(pasted: str) -> None:
    with pytest.raises(LoginNotFinished, match="copy the address") as caught:
        request_token_of(pasted)
    assert "CANARY" not in str(caught.value)


@pytest.fixture()
def listener() -> Iterator[RedirectListener]:
    with RedirectListener(0, state="s") as listener:
        yield listener


def get(address: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_the_listener_waits_for_the_one_redirect_that_counts(
    listener: RedirectListener, capfd: pytest.CaptureFixture[str]
) -> None:
    site = f"http://127.0.0.1:{listener.port}"
    silent = socket.create_connection(("127.0.0.1", listener.port))  # a browser opens some ahead
    assert get(site + "/favicon.ico")[0] == 404
    assert get(site + GOOD)[0] == 400
    status, page = get(site + GOOD + "&state=s")
    assert status == 200
    assert "CANARY" not in page
    assert listener.wait(10) == "CANARYtoken"
    silent.close()
    assert capfd.readouterr() == ("", "")


def test_a_refused_login_and_silence_are_said(listener: RedirectListener) -> None:
    with pytest.raises(LoginNotFinished, match="within 0.05 s"):
        listener.wait(0.05)
    get(f"http://127.0.0.1:{listener.port}/?status=error&state=s")
    with pytest.raises(LoginNotFinished, match="was not finished"):
        listener.wait(10)


def test_the_port_is_free_afterwards_and_a_taken_one_is_named() -> None:
    with RedirectListener(0) as listener:
        port = listener.port
        with pytest.raises(ListenFailed, match=f"127.0.0.1:{port}.*another port"):
            RedirectListener(port)
    with RedirectListener(port):
        pass
    with pytest.raises(ListenFailed, match="no such port"):
        RedirectListener(70_000)


def test_a_browser_finds_its_way_from_the_login_page_to_the_listener() -> None:
    account = Account("CANARYkey")
    with RedirectListener(0, path="/kite", state="s") as listener:
        options = RestOptions(redirect_url=f"http://127.0.0.1:{listener.port}/kite")
        with RestSimulator(options, account) as kite:
            page = login_url("CANARYkey", state="s", base=kite.login_page)
            browser = Thread(target=get, args=(page,))
            browser.start()
            token = listener.wait(10)
            browser.join()
            assert get(login_url("other", base=kite.login_page))[0] == 400
    assert len(token) == 32


def test_without_a_redirect_the_page_shows_the_token() -> None:
    with RestSimulator(account=Account("k")) as kite:
        status, page = get(login_url("k", base=kite.login_page))
    assert (status, request_token_of(page.strip())) == (200, page.strip()[14:])


def test_ctrl_c_ends_the_wait() -> None:
    code = (
        "from kite_broker_zerodha.auth.listener import RedirectListener\n"
        "with RedirectListener(0) as listener:\n"
        "    print('listening', flush=True)\n"
        "    listener.wait(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    begun = monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode != 0
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert monotonic() - begun < 20


def test_one_call_listens_and_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LoginNotFinished):
        wait_for_redirect(port, 0.05)
