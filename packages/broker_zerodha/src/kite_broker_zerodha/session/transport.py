"""The one module that touches the WebSocket library: connect, and say in a sentence what failed.

The library's own errors and log lines may quote the address, which carries the secrets. So they
stop here: an error becomes a sentence, a log line passes a filter.
"""

from __future__ import annotations

import socket
import ssl
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    WebSocketException,
)

from kite_broker_zerodha.errors import AuthRefused, KiteUnavailable
from kite_broker_zerodha.network import CA_REMEDY
from kite_broker_zerodha.retry_after import retry_after_seconds
from kite_broker_zerodha.session.credentials import Credentials
from kite_broker_zerodha.session.messages import connect_url
from kite_broker_zerodha.session.options import SessionOptions
from kite_runtime.clock import Clock
from kite_runtime.secrets import redact, redacting_logger

ABNORMAL_CLOSURE: Final = 1006
"""RFC 6455: the connection ended without a closing handshake."""

_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}
_AUTH_STATUSES: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ConnectFailed(KiteUnavailable):
    """No connection: try again later, ``retry_after_s`` at the earliest. Safe to show."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


_LOGGER: Final = redacting_logger("broker_zerodha.websocket")


class KiteConnection(ClientConnection):
    """A client connection that knows when it last read any byte, heartbeats and parts included."""

    def __init__(self, *args: Any, clock: Clock, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock
        self.heard_s = clock.monotonic_s()

    def data_received(self, data: bytes) -> None:
        self.heard_s = self._clock.monotonic_s()
        super().data_received(data)

    def abort(self) -> None:
        """End the connection without waiting for a peer that may not be there any more."""
        self.transport.abort()


class _Connect(connect):
    """Follows no redirect: the address carries the secrets."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def open_connection(
    endpoint: str, credentials: Credentials, options: SessionOptions, clock: Clock
) -> KiteConnection:
    """Connect once. Raises AuthRefused on HTTP 401 and 403, ConnectFailed on anything else, and
    ConfigurationError for a proxy or certificates that cannot be used."""
    secure: dict[str, Any] = {}
    if urlsplit(endpoint).scheme == "wss":
        secure["ssl"] = options.network.ssl_context()
    proxy = options.network.proxy_for(endpoint)
    factory = partial(KiteConnection, clock=clock)
    try:
        connection = await _Connect(
            connect_url(endpoint, credentials),
            additional_headers=options.headers,
            compression=None,  # Kite's frames are dense, and inflating costs more than reading
            proxy=proxy,
            open_timeout=options.open_timeout_s,
            close_timeout=options.close_timeout_s,
            ping_interval=None,  # Kite sends heartbeats; the watchdog counts every byte
            max_size=options.frame_bytes_max,
            max_queue=options.queue_frames,
            logger=_LOGGER,
            create_connection=cast(type[ClientConnection], factory),
            **secure,
        )
    except InvalidStatus as error:
        sentence = _status_sentence(error, credentials)
        if error.response.status_code in _AUTH_STATUSES:
            raise AuthRefused(sentence) from None
        asked = map(retry_after_seconds, error.response.headers.get_all("Retry-After"))
        raise ConnectFailed(sentence, max(asked, default=0.0)) from None
    except (OSError, WebSocketException, EOFError) as error:
        # Not chained: the library's errors may quote the address with its secrets.
        raise ConnectFailed(failure_sentence(error, endpoint, options, credentials)) from None
    return cast(KiteConnection, connection)


def failure_sentence(
    error: Exception, endpoint: str, options: SessionOptions, credentials: Credentials
) -> str:
    """What went wrong, in one sentence without secrets."""
    host = urlsplit(endpoint).netloc
    match error:
        case ssl.SSLCertVerificationError():
            said = f"TLS: the certificate of {host} is not trusted: {error.verify_message}"
            return f"{said} ({CA_REMEDY})"
        case ssl.SSLError():
            return f"TLS with {host} failed: {error.reason or 'unknown reason'}"
        case TimeoutError():
            return f"{host} gave no answer within {options.open_timeout_s:g} s"
        case socket.gaierror():
            return f"the address of {host} cannot be found: {error.strerror}"
        case ConnectionRefusedError():
            return f"{host} refuses connections"
        case OSError():
            return f"{host}: {redact(error.strerror or str(error), credentials.secrets)}"
        case _:
            detail = redact(str(error), credentials.secrets)
            return f"the WebSocket handshake with {host} failed: {detail or type(error).__name__}"


def closed_as(error: ConnectionClosed, credentials: Credentials) -> tuple[int, str]:
    """Close code and reason, as the peer said them, or 1006 and what happened to the socket."""
    if error.rcvd is not None:
        return error.rcvd.code, redact(error.rcvd.reason, credentials.secrets)
    cause = error.__cause__
    detail = "the connection ended without a closing handshake"
    if error.sent is not None and error.sent.reason:
        detail = error.sent.reason
    elif isinstance(cause, OSError) and cause.strerror:
        detail = cause.strerror
    return ABNORMAL_CLOSURE, redact(detail, credentials.secrets)


def _status_sentence(error: InvalidStatus, credentials: Credentials) -> str:
    status = error.response.status_code
    name = _PHRASES.get(status, "")
    body = (error.response.body or b"")[:200].decode("utf-8", "replace").strip()
    detail = f": {redact(body, credentials.secrets)}" if body else ""
    return f"HTTP {status} {name}{detail}"
