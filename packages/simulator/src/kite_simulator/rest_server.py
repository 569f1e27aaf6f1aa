"""Kite's REST API on this machine: the HTTP edge of the simulator, in threads of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Final, Self

from kite_runtime.clock import IST
from kite_simulator.account import Account
from kite_simulator.rest import LOGIN_PATH, PriceOf, RestOptions, RestRequest, RestService
from kite_simulator.rest_faults import RestAnswer

BODY_BYTES_MAX: Final = 64 * 1024
_IDLE_S: Final = 30.0

Now = Callable[[], datetime]


def system_now() -> datetime:
    """The machine's time, aware."""
    return datetime.now(UTC)


class RestSimulator:
    """``with RestSimulator() as kite``: answers at ``kite.root`` until the block ends.

    Needs no event loop. ``price`` gives last prices; None stands still at the opening. Raises
    OSError when the port is taken or the master file cannot be read.
    """

    def __init__(
        self,
        options: RestOptions | None = None,
        account: Account | None = None,
        *,
        price: PriceOf | None = None,
        now: Now = system_now,
    ) -> None:
        self.options = options or RestOptions()
        self.account = account or Account()
        self.service = RestService(self.options, self.account, now().astimezone(IST).date(), price)
        self._now = now
        self._ended = Event()
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def root(self) -> str:
        """The address, as ``KiteConnect(root=...)`` and KiteRest take it."""
        if self._server is None:
            raise RuntimeError("the simulator is not listening yet")
        return f"http://{self.options.host}:{self._server.server_address[1]}"

    @property
    def login_page(self) -> str:
        return self.root + LOGIN_PATH

    def __enter__(self) -> Self:
        handler = _handler(self.service, self._now, self._ended)
        self._server = _Server((self.options.host, self.options.port), handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None  # set when the block was entered
        assert self._thread is not None
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is its own business; a traceback would quote its token."""


def _handler(service: RestService, now: Now, ended: Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _IDLE_S
        server_version = "kite-simulator"
        sys_version = ""

        def answer(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdigit() or int(length) > BODY_BYTES_MAX:
                self.send_error(413)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = RestRequest(self.command, self.path, headers, self.rfile.read(int(length)))
            self._write(service.answer(request, now()))

        def _write(self, answer: RestAnswer) -> None:
            if answer.delay_s:
                ended.wait(answer.delay_s)
            if answer.drop:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.cut:
                self.close_connection = True
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Nothing: request lines hold tokens."""

    return Handler
