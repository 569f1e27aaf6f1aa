"""An HTTP proxy of the tests' own: CONNECT alone, every host is this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ConnectProxy:
    """``asked`` are the targets, ``authorized`` the headers that came with them."""

    port: int = 0
    refuse: int = 0
    """Answers this status instead of connecting."""
    asked: list[str] = field(default_factory=list)
    authorized: list[str | None] = field(default_factory=list)

    def url(self, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}"


@contextmanager
def connect_proxy() -> Iterator[ConnectProxy]:
    """It listens until the end."""
    proxy = ConnectProxy()

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            proxy.asked.append(self.path)
            proxy.authorized.append(self.headers["Proxy-Authorization"])
            if proxy.refuse:
                self.send_error(proxy.refuse)
                return
            port = int(self.path.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as target:
                self.send_response(200, "Connection established")
                self.end_headers()
                back = threading.Thread(target=_carry, args=(target, self.connection), daemon=True)
                back.start()
                _carry(self.connection, target)
                back.join()
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    proxy.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
