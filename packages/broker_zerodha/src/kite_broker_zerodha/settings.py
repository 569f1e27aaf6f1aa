"""The variables of whoever logs in at Kite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kite_runtime.secrets import Secret
from kite_runtime.settings import Settings, require, variable

_APP = "of your app at developers.kite.trade"
_PUT = f"{_APP} into .env or the environment"


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

    def require_api_key(self) -> str:
        """The API key. Raises ConfigurationError."""
        return str(require(self, "api_key"))


@dataclass(frozen=True, kw_only=True)
class KiteApiUser(KiteUser):
    """Settings of a program that calls Kite's REST API."""

    api_url: str = variable(
        "KITE_API_URL", str, "https://api.kite.trade", "Kite's REST API, or the simulator's"
    )
