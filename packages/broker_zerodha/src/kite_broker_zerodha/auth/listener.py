"""One login's redirect, received on this machine: a server that answers once and is gone."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Final, Self

from kite_broker_zerodha.auth.redirect import Reply, reply_to
from kite_broker_zerodha.errors import ListenFailed, LoginNotFinished

HOST: Final = "127.0.0.1"
_REQUEST_S: Final = 5.0
"""A browser that opens a connection in advance and says nothing is cut off after this long."""

_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Kite login</title>'
    "<p>{text}</p></html>\n"
)


class RedirectListener:
    """``with RedirectListener(port) as listener``: listens on 127.0.0.1 from then on.

    ``path`` and ``state`` are those of ``redirect.reply_to``; port 0 takes any free one. Raises
    ListenFailed when the port is taken. Nothing that it receives is logged.
    """

    def __init__(self, port: int, *, path: str = "/", state: str | None = None) -> None:
        self._replies: SimpleQueue[Reply] = SimpleQueue()

        def reply(method: str, target: str) -> Reply:
            return reply_to(method, target, path=path, state=state)

        try:
            self._server = _Server((HOST, port), _handler(reply, self._replies.put))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such port"
            raise ListenFailed(
                f"the login cannot be waited for on {HOST}:{port} ({reason}): take another port, "
                "and register its address with Kite",
                port,
            ) from error
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, timeout_s: float) -> str:
        """The request token of the first login that finishes. Ctrl-C ends the wait.

        Raises LoginNotFinished when the login is refused, or not finished within ``timeout_s``.
        """
        try:
            reply = self._replies.get(timeout=timeout_s)
        except Empty:
            raise LoginNotFinished(
                f"the login was not finished within {timeout_s:g} s: start it again"
            ) from None
        if reply.request_token is None:
            raise LoginNotFinished(f"the login was not finished ({reply.refusal}): start it again")
        return reply.request_token.reveal()


def wait_for_redirect(
    port: int, timeout_s: float, *, path: str = "/", state: str | None = None
) -> str:
    """Listen, wait for one login and stop listening: the request token.

    Open the browser before, or use ``RedirectListener``, which listens before it waits. Raises
    ListenFailed and LoginNotFinished.
    """
    with RedirectListener(port, path=path, state=state) as listener:
        return listener.wait(timeout_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is harmless, and a traceback would quote its request."""


def _handler(
    reply: Callable[[str, str], Reply], finished: Callable[[Reply], None]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_S
        server_version = "kite-login"
        sys_version = ""

        def answer(self) -> None:
            found = reply(self.command, self.path)
            page = _PAGE.format(text=escape(found.text)).encode()
            try:
                self.send_response(found.status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(page)
            finally:
                if found.request_token is not None or found.refusal is not None:
                    finished(found)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Nothing: the request line holds the token."""

    return Handler
