"""Serves the page until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from kite_dead_letters.page.guard import Guard
from kite_runtime.errors import ConfigurationError, PortTaken

GRACE_S: Final = 10
CONNECTIONS_MAX: Final = 100
"""More than these, and the one that has been waited for the longest is closed for the new one."""
WAIT_S: Final = 10.0
"""How long a connection may take to send a request, form included, or to take the answer."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to `serve`."""
        yield


# uvicorn has no limit for a client that never asks: timeout_keep_alive begins after the first
# answer, and with limit_concurrency a hundred silent connections are a 503 for everybody else.
class _Connection(H11Protocol):
    """uvicorn's connection, ended when its client is waited for too long."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > CONNECTIONS_MAX:
            others = [each for each in self.connections if isinstance(each, _Connection)]
            min(others, key=_Connection.ends_s).end()

    def ends_s(self) -> float:
        """When its client is waited for no longer, by the loop's clock."""
        return self._deadline.when() if self._deadline is not None else math.inf

    def end(self) -> None:
        """Close it at once; what was not sent is not sent any more."""
        self._wait_no_longer()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._wait_no_longer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering():
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_answering():
            self._wait_no_longer()

    def shutdown(self) -> None:
        """Called at the end: only answers on their way are waited for."""
        if self._deadline is None:
            super().shutdown()
        else:
            self.end()

    def _is_answering(self) -> bool:
        """Whether a request is here whole, and the next step is ours."""
        cycle = self.cycle
        return cycle is not None and not cycle.more_body and not cycle.response_complete

    def _wait(self) -> None:
        self._wait_no_longer()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(WAIT_S, self.end)

    def _wait_no_longer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def listen(host: str, port: int) -> socket.socket:
    """A socket of this address. Raises PortTaken, and ConfigurationError for a wrong address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigurationError(f"--host {host} is no address of this machine") from error
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(CONNECTIONS_MAX)
    except OSError as error:
        opened.close()
        raise PortTaken(port, error, "--port 9481") from error
    return opened


def serve(
    app: Guard, opened: socket.socket, ready: Callable[[], None], ending: threading.Event
) -> signal.Signals:
    """Answer requests until Ctrl-C or SIGTERM; returns which. ``ready`` is called when it does.

    ``ending`` is set at once, so that a redrive on its way ends after the record it is at.
    """
    return asyncio.run(_serve(app, opened, ready, ending))


async def _serve(
    app: Guard, opened: socket.socket, ready: Callable[[], None], ending: threading.Event
) -> signal.Signals:
    config = uvicorn.Config(
        app,
        log_config=None,
        # Addresses may hold the token of the first visit.
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        http=_Connection,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    received: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        received.append(number)
        ending.set()
        server.force_exit = len(received) > 1
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, end, number)
    # The socket listens already: who connects now is answered as soon as the loop gets to it.
    ready()
    await server.serve(sockets=[opened])
    return received[0] if received else signal.SIGTERM
