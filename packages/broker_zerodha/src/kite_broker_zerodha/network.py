"""The way to Kite: which authorities its certificate is checked by, and which proxy lies between.

WebSocket and REST ask here, so that both obey the same variables: ``KITE_CA_FILE`` and
``KITE_PROXY``, else the usual ones (``SSL_CERT_FILE``, ``REQUESTS_CA_BUNDLE``, ``https_proxy``,
``no_proxy``), from the settings files as well as from the environment.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from kite_runtime.errors import ConfigurationError, reason_of

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
"""No proxy lies on the way to this machine."""
NO_PROXY: Final = "none"
CA_REMEDY: Final = "KITE_CA_FILE names authorities of your own"

_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY_VARIABLES: Final = ("https_proxy", "all_proxy")
_WEBSOCKET_VARIABLES: Final = ("wss_proxy", "socks_proxy", *_PROXY_VARIABLES)


@dataclass(frozen=True)
class Network:
    """``ca_file`` and ``proxy`` win over the usual variables in ``env``."""

    ca_file: Path | None = None
    proxy: str = field(default="", repr=False)
    """An address, or ``none`` for no proxy at all; it may hold a password."""
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def authorities(self) -> Path | None:
        """The file of certificates to check Kite by; None for the usual ones.

        Raises ConfigurationError for a file without any.
        """
        name, path = "KITE_CA_FILE", self.ca_file
        if path is None:
            name = next((each for each in _CA_VARIABLES if self.env.get(each)), "")
            path = Path(self.env[name]) if name else None
        if path is None or path.is_dir():
            return path
        try:
            ssl.create_default_context(cafile=str(path))
        except OSError as exc:
            why = "it is no PEM file" if isinstance(exc, ssl.SSLError) else reason_of(exc)
            raise ConfigurationError(f"{name} names {path}, which cannot be used: {why}") from exc
        return path

    def ssl_context(self) -> ssl.SSLContext:
        """For a client. Raises ConfigurationError."""
        path = self.authorities()
        if path is not None and path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=None if path is None else str(path))

    def proxy_for(self, url: str) -> str | None:
        """The proxy on the way to ``url``, None where there is none.

        Raises ConfigurationError, which does not quote the proxy: it may hold a password.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in LOOPBACK:
            return None
        if self.proxy:
            name, proxy = "KITE_PROXY", self.proxy
        elif proxy_bypass_environment(parts.netloc, {"no": self._variable("no_proxy")}):
            return None
        else:
            names = _WEBSOCKET_VARIABLES if parts.scheme == "wss" else _PROXY_VARIABLES
            name = next((each for each in names if self._variable(each)), "")
            proxy = self._variable(name) if name else NO_PROXY
        if proxy == NO_PROXY:
            return None
        _check(name, proxy, host)
        return proxy

    def _variable(self, name: str) -> str:
        """The value of the variable in small letters or, without one, in capitals."""
        return (self.env.get(name) or self.env.get(name.upper()) or "").strip()


def _check(name: str, proxy: str, host: str) -> None:
    try:
        parts = urlsplit(proxy)
        for word in (parts.username, parts.password):
            unquote(word or "", errors="strict")
        scheme = parts.scheme if parts.hostname and parts.port != 0 else ""
    except ValueError:
        scheme = ""
    if scheme in ("http", "https") and parts.path in ("", "/"):
        return
    kind = "a SOCKS proxy" if scheme.startswith("socks") else "no address of a proxy"
    raise ConfigurationError(
        f"{name} is {kind}: write one like http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or "
        f"exempt Kite with no_proxy={host} or KITE_PROXY={NO_PROXY}"
    )
