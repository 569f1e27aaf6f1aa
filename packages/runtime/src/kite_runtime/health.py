"""``/metrics``, ``/healthz``, ``/readyz`` and JSON pages on a port of the process's own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kite_runtime.build_info import build_info
from kite_runtime.errors import PortTaken

TIMEOUT_S: Final = 5.0
"""How long a connection may be silent."""
CONNECTIONS_MAX: Final = 32
FROZEN_S: Final = 5.0
"""How long a loop may take for one turn."""

StartResponse = Callable[..., Any]


class BuildInfoCollector(Collector):
    """The gauge ``kite_build_info{program,version,revision}`` of a program; always 1."""

    def __init__(self, program: str) -> None:
        self._program = program

    def collect(self) -> Iterator[Metric]:
        info = build_info()
        family = GaugeMetricFamily(
            "kite_build_info",
            "What the program was built from; always 1.",
            labels=("program", "version", "revision"),
        )
        family.add_metric((self._program, info.version_of(self._program), info.revision), 1)
        yield family


class _Quiet(WSGIRequestHandler):
    timeout = TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes every few seconds would drown the log."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a connection; a new one closes the oldest where there are too many."""

    request_queue_size = 128  # of five, the connections behind them wait for seconds
    daemon_threads = True  # a connection that stays silent does not hold up the end

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= CONNECTIONS_MAX:
                with suppress(OSError):
                    next(iter(self._open)).shutdown(socket.SHUT_RDWR)
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up or says nothing is its own business."""


class Pulse:
    """Whether a loop turns, for ``alive`` of the health server, which asks from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.beat()

    def beat(self, away_s: float = 0.0) -> None:
        """Call this at each turn, and before a call that may take ``away_s`` by its own limit."""
        self._until_s = self._clock() + away_s + FROZEN_S

    def is_felt(self) -> bool:
        """False once the loop has not turned for FROZEN_S."""
        return self._clock() < self._until_s


class HealthServer:
    """Serves the pages from threads of its own, whatever its clients do.

    ``problems`` is asked at each ``/readyz`` and returns what is wrong, empty when ready. ``alive``
    is asked at each ``/healthz``: False means that the process works no more and is to be replaced.
    ``pages`` are further paths, each with a function
    whose answer is served as JSON. ``other_port`` is the setting by which a person
    chooses another port, such as ``WS_BRIDGE_PORT=9465``. Raises PortTaken.
    """

    def __init__(
        self,
        port: int,
        registry: CollectorRegistry,
        problems: Callable[[], list[str]],
        *,
        other_port: str,
        alive: Callable[[], bool] = lambda: True,
        pages: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._problems = problems
        self._alive = alive
        self._pages = pages or {}
        try:
            self._server: WSGIServer = make_server(
                "127.0.0.1", port, self._answer, server_class=_Server, handler_class=_Quiet
            )
        except OSError as error:
            raise PortTaken(port, error, other_port) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        if path == "/healthz":
            if self._alive():
                return _text(start, "200 OK", "ok\n")
            return _text(start, "503 Service Unavailable", "the program does not work any more\n")
        if path == "/readyz":
            found = self._problems()
            status = "503 Service Unavailable" if found else "200 OK"
            return _text(start, status, "\n".join(found or ["ready"]) + "\n")
        if path in self._pages:
            return _text(start, "200 OK", json.dumps(self._pages[path]()), "application/json")
        others = ", ".join([*self._pages, "/metrics", "/healthz"])
        return _text(start, "404 Not Found", f"ask for {others} or /readyz\n")


def _text(
    start: StartResponse, status: str, body: str, kind: str = "text/plain; charset=utf-8"
) -> Iterable[bytes]:
    start(status, [("Content-Type", kind)])
    return [body.encode()]
