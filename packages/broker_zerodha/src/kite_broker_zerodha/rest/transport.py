"""The one module that touches ``requests``: a session for the official client, bounded and judged.

The official client takes whatever comes, of any size, and knows only timeouts between two bytes.
This session reads within limits of size and time, follows no redirect (it would carry the token
elsewhere), verifies TLS, and raises this package's errors before that client parses anything.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests import exceptions as failures

from kite_broker_zerodha.errors import BadAnswer, EndpointError, KiteUnavailable
from kite_broker_zerodha.network import CA_REMEDY, LOOPBACK, Network
from kite_broker_zerodha.rest.answers import Answer, Hide, error_of, too_large, unpacked
from kite_runtime.secrets import redacting_logger

CSV_BYTES_MAX: Final = 64 << 20
"""Unpacked; the master of all exchanges is 10 to 12 MB."""
JSON_BYTES_MAX: Final = 8 << 20
ANSWER_MAX_S: Final = 120.0
"""From the first byte of an answer to its last."""

_CHUNK_BYTES: Final = 1 << 16

redacting_logger("urllib3.connectionpool")  # at DEBUG it writes each address with its query


def checked_root(root: str) -> str:
    """The address of the API itself, if it is ``https://host``, or ``http://`` on this machine.

    Raises EndpointError otherwise; the message does not quote it beyond the host.
    """
    try:
        parts = urlsplit(root)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError("the address of Kite's API is no URL: expected https://host[:port]")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise EndpointError(
            f"the address of Kite's API would send the token to {parts.hostname} in clear: "
            "expected https://"
        )
    if parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"):
        raise EndpointError(
            "the address of Kite's API must be https://host[:port] alone: no path, user or query"
        )
    return root


class KiteHttp(requests.Session):
    """A ``requests`` session that hands on complete good answers alone.

    Raises ConfigurationError for a proxy or certificates that cannot be used. ``send`` raises
    AuthRefused, KiteUnavailable (RateLimited, BadAnswer) or InputRefused.
    """

    def __init__(self, root: str, hide: Hide, network: Network) -> None:
        super().__init__()
        self._host = urlsplit(root).netloc
        self._hide = hide
        self.trust_env = False  # the network says it
        authorities, proxy = network.authorities(), network.proxy_for(root)
        self._way = {
            "verify": True if authorities is None else str(authorities),
            "proxies": {} if proxy is None else {"http": proxy, "https": proxy},
        }
        self.headers["Accept-Encoding"] = "gzip"
        self.auth = _as_it_is  # else a ~/.netrc would replace the token

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs |= {"stream": True, "allow_redirects": False, **self._way}
        try:
            response = super().send(request, **kwargs)
            try:
                body = self._read(response)
            finally:
                response.close()
        except failures.RequestException as error:
            # Not chained: the library's errors quote the address with its query.
            raise self._failure(error) from None
        answer = Answer(
            response.status_code,
            response.headers.get("content-type", ""),
            body,
            response.headers.get("retry-after", "").strip(),
        )
        fault = error_of(answer, self._hide)
        if fault is not None:
            raise fault
        response._content = body
        return response

    def _read(self, response: requests.Response) -> bytes:
        """The body, within limits. urllib3 is kept from unpacking: it knows neither a limit of the
        unpacked size nor a stream that ends early."""
        encoding = response.raw.headers.pop("content-encoding", "")
        is_csv = "csv" in response.headers.get("content-type", "")
        limit = CSV_BYTES_MAX if is_csv else JSON_BYTES_MAX
        until_s = time.monotonic() + ANSWER_MAX_S
        body = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > limit:
                raise too_large(limit)
            if time.monotonic() > until_s:
                raise KiteUnavailable(
                    f"{self._host} did not finish its answer within {ANSWER_MAX_S:g} s: "
                    "try again later"
                )
        return unpacked(bytes(body), encoding, limit)

    def _failure(self, error: failures.RequestException) -> KiteUnavailable:
        cause = _os_error(error)
        match error, cause:
            case failures.SSLError(), _:
                return KiteUnavailable(
                    f"TLS: the certificate of {self._host} cannot be verified ({CA_REMEDY})",
                    again=False,
                )
            case failures.ProxyError(), _:
                return KiteUnavailable(f"the proxy on the way to {self._host} does not let through")
            case failures.Timeout(), _:
                return KiteUnavailable(f"{self._host} gave no answer in time: try again later")
            case failures.ChunkedEncodingError(), _:
                return BadAnswer(f"the answer of {self._host} ends in the middle: try again later")
            case _, socket.gaierror():
                return KiteUnavailable(f"the address of {self._host} cannot be found")
            case _, ConnectionRefusedError():
                return KiteUnavailable(f"{self._host} refuses connections: try again later")
            case _, ConnectionError():
                return KiteUnavailable(f"{self._host} ended the connection: try again later")
            case failures.ConnectionError(), OSError(strerror=str(reason)):
                return KiteUnavailable(f"{self._host}: {reason}: try again later")
        return KiteUnavailable(
            f"the call to {self._host} failed ({type(error).__name__}): try again later"
        )


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _os_error(error: BaseException) -> OSError | None:
    """The operating system's error at the bottom of the library's."""
    seen: BaseException | None = error
    found: OSError | None = None
    for _ in range(16):
        if seen is None:
            break
        if isinstance(seen, ConnectionError) or (isinstance(seen, OSError) and seen.errno):
            found = seen
        seen = seen.__cause__ or seen.__context__
    return found
