"""Serves the page until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from kite_dead_letters.page.guard import Guard
from kite_runtime.errors import ConfigurationError, PortTaken

GRACE_S: Final = 10
CONCURRENCY_MAX: Final = 100
"""Connections; more get a 503 at once."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to `serve`."""
        yield


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
        opened.listen(CONCURRENCY_MAX)
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
        limit_concurrency=CONCURRENCY_MAX,
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
