"""`dlq_triage serve` as it is started: its address, its token, its end, its exit codes."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from kite_dead_letters.page.server import CONNECTIONS_MAX, listen
from kite_dlq_triage import cli
from kite_runtime.testing import call, import_path

SERVE: Final = [sys.executable, "-m", cli.__name__, "serve"]
OWN_TOKEN: Final = "my-own-token-of-26-letters"
WAIT_S: Final = 60.0
SOON_S: Final = 5.0


@dataclass
class Served:
    """A running page: what it printed first, and how to ask and end it."""

    process: subprocess.Popen[str]
    link: str

    def get(self, path: str, cookie: str = "", host: str | None = None) -> tuple[int, str, str]:
        """Status, body and the cookie that was set."""
        parts = urlsplit(self.link)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=WAIT_S)
        headers = {"Cookie": cookie, "Host": host or parts.netloc}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body, (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send the signal; the exit code and what stderr says in all."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, said


@contextmanager
def serving(folder: Path, *options: str, **env: str) -> Iterator[Served]:
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": import_path()}
    process = subprocess.Popen(
        [*SERVE, "--port", "0", *options],
        cwd=folder,
        env={**base, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        if not link:
            pytest.fail(process.communicate(timeout=WAIT_S)[1])
        yield Served(process, link)
    finally:
        process.kill()
        process.wait()


def test_it_prints_a_link_that_lets_change_and_ends_with_a_sentence(
    tmp_path: Path, migrated_dsn: str
) -> None:
    with serving(tmp_path, POSTGRES_DSN=migrated_dsn) as page:
        match = re.fullmatch(r"(http://127\.0\.0\.1:\d+)(/login\?token=([\w-]{32}))", page.link)
        assert match is not None, page.link
        assert page.get("/healthz")[:2] == (200, "ok\n")
        assert page.get("/readyz")[0] == 200
        assert "Log in to change" in page.get("/")[1]
        _, _, cookie = page.get(match[2])
        assert "Log out" in page.get("/", cookie)[1]
        assert page.get("/", host="evil.example")[0] == 421
        code, said = page.end(signal.SIGINT)
    assert code == 0
    assert "the page ended by Ctrl-C" in said
    assert "Traceback" not in said
    assert match[3] not in said, "neither the start nor the first visit leaves it in the log"


def test_a_token_of_ones_own_is_not_printed(tmp_path: Path, migrated_dsn: str) -> None:
    with serving(tmp_path, POSTGRES_DSN=migrated_dsn, DLQ_TRIAGE_TOKEN=OWN_TOKEN) as page:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", page.link)
        _, _, cookie = page.get(f"/login?token={OWN_TOKEN}")
        assert "Log out" in page.get("/", cookie)[1]
        code, said = page.end(signal.SIGTERM)
    assert code == 0
    assert "SIGTERM" in said
    assert OWN_TOKEN not in said


def test_an_address_for_others_is_told_of_and_asks_readers_for_the_token(
    tmp_path: Path, migrated_dsn: str
) -> None:
    with serving(
        tmp_path, "--host", "0.0.0.0", "--name", "kite.example", POSTGRES_DSN=migrated_dsn
    ) as page:
        assert page.get("/")[0] == 401
        assert page.get("/healthz", host="kite.example")[0] == 200
        assert page.get("/healthz", host="evil.example")[0] == 421
        _, _, cookie = page.get("/login?" + urlsplit(page.link).query)
        assert page.get("/", cookie)[0] == 200
        _, said = page.end(signal.SIGTERM)
    assert "can be reached from other machines" in said


HALVES: Final = (
    b"",
    b"GET / HTTP/1.1\r\nX-Half: ",
    b"POST /decide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\nwho=",
)
"""What a client may say and then fall silent: nothing, half a request, half a form."""


def test_silent_connections_neither_stay_nor_keep_others_out_nor_hold_up_the_end(
    tmp_path: Path, migrated_dsn: str
) -> None:
    with serving(tmp_path, POSTGRES_DSN=migrated_dsn) as page, ExitStack() as opened:
        address = ("127.0.0.1", urlsplit(page.link).port)

        def hold(count: int) -> list[socket.socket]:
            held = []
            for number in range(count):
                held.append(opened.enter_context(socket.create_connection(address, WAIT_S)))
                with suppress(OSError):  # it may have been closed for a newer one
                    held[-1].sendall(HALVES[number % len(HALVES)])
            return held

        held = hold(3 * CONNECTIONS_MAX)
        began_s = time.monotonic()
        assert page.get("/healthz")[:2] == (200, "ok\n")
        assert page.get("/")[0] == 200
        assert time.monotonic() - began_s < SOON_S
        assert [_ended(each) for each in held] == [True] * len(held)
        hold(30)
        assert page.get("/readyz")[0] == 200
        began_s = time.monotonic()
        assert page.end(signal.SIGTERM)[0] == 0
        assert time.monotonic() - began_s < SOON_S


def _ended(connection: socket.socket) -> bool:
    """Whether the page closes it, waited for; an answer may come before."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def _fails(folder: Path, *options: str, port: str = "0", **env: str) -> tuple[int, str]:
    base = {"PYTHONPATH": import_path()}
    done = call([*SERVE, "--port", port, *options], folder, {**base, **env})
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, "one sentence"
    return done.code, done.stderr


def test_what_keeps_it_from_starting_is_a_sentence_and_an_exit_code(
    tmp_path: Path, fresh_dsn: str
) -> None:
    code, said = _fails(tmp_path)
    assert (code, "POSTGRES_DSN is not set" in said) == (78, True)
    code, said = _fails(tmp_path, POSTGRES_DSN="postgresql://kite@127.0.0.1:9/kite")
    assert (code, "cannot be reached" in said) == (75, True)
    code, said = _fails(tmp_path, POSTGRES_DSN=fresh_dsn)
    assert (code, "migrate upgrade" in said) == (78, True)
    code, said = _fails(tmp_path, POSTGRES_DSN=fresh_dsn, DLQ_TRIAGE_TOKEN="tooshort")
    assert (code, "DLQ_TRIAGE_TOKEN has fewer than 20" in said) == (78, True)
    assert "tooshort" not in said


def test_a_port_or_an_address_that_cannot_be_had_is_said(tmp_path: Path, migrated_dsn: str) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        code, said = _fails(tmp_path, port=port, POSTGRES_DSN=migrated_dsn)
    assert (code, f"port {port} cannot be opened" in said) == (78, True)
    code, said = _fails(tmp_path, "--host", "no.such.host.invalid", POSTGRES_DSN=migrated_dsn)
    assert (code, "--host no.such.host.invalid" in said) == (78, True)


def test_it_listens_where_it_was_told() -> None:
    with listen("127.0.0.1", 0) as opened:
        assert opened.getsockname()[0] == "127.0.0.1"
        with socket.create_connection(opened.getsockname()[:2], timeout=5):
            pass
