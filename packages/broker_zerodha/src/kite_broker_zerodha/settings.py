"""The variables of whoever logs in at Kite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kite_broker_zerodha.auth.token_file import StoredToken, read_token
from kite_broker_zerodha.errors import CredentialsError, NotLoggedIn
from kite_broker_zerodha.network import Network
from kite_runtime.secrets import Secret
from kite_runtime.settings import Settings, optional, require, variable

KITE_HOST: Final = "kite.trade"

_APP = "of your app at developers.kite.trade"
_PUT = f"{_APP} into .env or the environment"


def is_kite(url: str) -> bool:
    """Whether the address is one of Kite's own hosts: any other has a market of its own making."""
    host = urlsplit(url).hostname or ""
    return host == KITE_HOST or host.endswith(f".{KITE_HOST}")


@dataclass(frozen=True, kw_only=True)
class KiteUser(Settings):
    """Settings of a program that connects to Kite."""

    api_key: str = variable(
        "KITE_API_KEY",
        str,
        "",
        f"the key {_APP}",
        unset=f"is not set: put the key {_PUT}",
        secret=True,
    )
    access_token: Secret = variable(
        "KITE_ACCESS_TOKEN", Secret, "", "a token of the day; the token file wins over it"
    )
    token_file: Path = variable(
        "KITE_TOKEN_FILE",
        Path,
        "token.json",
        'keeps the token: `{"access_token": "…"}`, mode 0600, read again at each connection',
    )

    ca_file: Path | None = variable(
        "KITE_CA_FILE",
        optional(Path),
        "",
        "certificates to check Kite by, a PEM file, for WebSocket and REST; else those of "
        "`REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`, else the system's",
    )
    proxy: str = variable(
        "KITE_PROXY",
        str,
        "",
        "the proxy on the way to Kite, `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`, for "
        "WebSocket and REST; `none`: no proxy; else that of `https_proxy`, unless `no_proxy` names "
        "Kite",
        example="http://proxy.example.com:3128",
        secret=True,
    )

    @property
    def network(self) -> Network:
        """The way to Kite."""
        return Network(self.ca_file, self.proxy, self.env)

    def require_api_key(self) -> str:
        """The API key. Raises ConfigurationError."""
        return str(require(self, "api_key"))

    def token_of_day(self) -> StoredToken:
        """The token of the file where there is one, else of the environment; read at each call.

        Raises NotLoggedIn where there is neither, CredentialsError for a file that cannot be used
        and for a token without an API key.
        """
        if self.token_file.exists():
            return read_token(self.token_file, self.api_key or None)
        if not self.access_token.reveal():
            raise NotLoggedIn(
                f"not logged in at Kite: there is no {self.token_file.name} and no "
                "KITE_ACCESS_TOKEN; run `instruments auth url`, log in, then `instruments auth "
                "exchange`"
            )
        if not self.api_key:
            raise CredentialsError(f"KITE_API_KEY is not set: put the key {_PUT}")
        return StoredToken(self.api_key, self.access_token)


@dataclass(frozen=True, kw_only=True)
class KiteApiUser(KiteUser):
    """Settings of a program that calls Kite's REST API."""

    api_url: str = variable(
        "KITE_API_URL", str, "https://api.kite.trade", "Kite's REST API, or the simulator's"
    )
