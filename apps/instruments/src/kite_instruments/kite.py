"""Kite's API as this app uses it: one client, told about on stderr while it waits.

The official client takes a second to load, so only those commands load it that call Kite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kite_broker_zerodha.auth import StoredToken, read_token
from kite_broker_zerodha.errors import CredentialsError
from kite_instruments.errors import LoginDead
from kite_instruments.settings import Settings
from kite_runtime.console import say
from kite_runtime.secrets import Secret

if TYPE_CHECKING:
    from kite_broker_zerodha.rest import KiteRest


def client(settings: Settings, token: Secret | None = None) -> KiteRest:
    """A client; without a token it asks for what is public. Raises EndpointError."""
    from kite_broker_zerodha.rest import KiteRest

    return KiteRest(settings.api_key, token, root=settings.api_url, on_retry=_tell)


def stored_token(settings: Settings) -> StoredToken:
    """The token of the day: the file, else ``KITE_ACCESS_TOKEN``.

    Raises LoginDead when there is none, CredentialsError for a file that cannot be used.
    """
    if settings.token_file.exists():
        return read_token(settings.token_file, settings.api_key or None)
    if not settings.access_token.reveal():
        raise LoginDead(
            f"nobody is logged in: there is no {settings.token_file.name} and no "
            "KITE_ACCESS_TOKEN; run `instruments auth url`, log in, then `auth exchange`"
        )
    return StoredToken(settings.require_api_key(), settings.access_token, "", "", None, None)


def logged_in(settings: Settings) -> KiteRest:
    """A client with the token of the day. Raises LoginDead, CredentialsError, EndpointError."""
    from kite_broker_zerodha.rest import KiteRest

    token = stored_token(settings)
    return KiteRest(token.api_key, token.access_token, root=settings.api_url, on_retry=_tell)


def has_token(settings: Settings) -> bool:
    """Whether a token can be read; what is wrong with it `auth status` says."""
    try:
        stored_token(settings)
    except (LoginDead, CredentialsError):
        return False
    return True


def _tell(error: Exception, wait_s: float) -> None:
    say(f"{error}; again in {wait_s:.1f} s")
