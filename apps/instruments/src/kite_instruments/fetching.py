"""Kite's API as this app uses it, and where a dump comes from: a file, or Kite.

The official client takes a second to load, so only those commands load it that call Kite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kite_broker_zerodha.auth.token_file import StoredToken
from kite_broker_zerodha.errors import AuthRefused, CredentialsError, NotLoggedIn
from kite_instruments.errors import LoginDead
from kite_instruments.settings import Settings
from kite_runtime.console import say
from kite_runtime.errors import InputUnusable

if TYPE_CHECKING:
    from kite_broker_zerodha.rest import KiteRest


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes that should be a dump. ``file_name`` is None for a download.

    ``exchanges`` are those that it was asked for; empty when whatever it holds is meant.
    """

    label: str
    data: bytes
    file_name: str | None = None
    exchanges: tuple[str, ...] = ()


def read_file(path: Path, exchanges: Sequence[str] = ()) -> Fetched:
    """The bytes of a file, up to the size of any dump. Raises InputUnusable."""
    from kite_broker_zerodha.instrument_dump import DUMP_BYTES_MAX

    try:
        with path.open("rb") as file:
            data = file.read(DUMP_BYTES_MAX + 1)
    except OSError as error:
        raise InputUnusable(path, error) from error
    return Fetched(path.name, data, path.name, tuple(exchanges))


def fetch(settings: Settings, exchanges: Sequence[str]) -> Iterator[Fetched]:
    """One download for each exchange; a single one for everything when there is none.

    Raises KiteUnavailable, InputRefused, AuthRefused and EndpointError.
    """
    for exchange in exchanges or (None,):
        what = exchange or "all exchanges"
        say(f"fetching {what} from {settings.api_url}")
        asked = () if exchange is None else (exchange,)
        yield Fetched(f"Kite's dump of {what}", _download(settings, exchange), None, asked)


def _download(settings: Settings, exchange: str | None) -> bytes:
    """The master is public, and a dead token with the call would be refused. So it goes without
    one, and takes the token only when Kite asks for it."""
    try:
        with client(settings) as public:
            return public.instruments(exchange)
    except AuthRefused:
        if not has_token(settings):
            raise
    with logged_in(settings) as private:
        return private.instruments(exchange)


def client(settings: Settings, token: StoredToken | None = None) -> KiteRest:
    """A client; without a token it asks for what is public. Raises EndpointError."""
    from kite_broker_zerodha.rest import open_client

    return open_client(settings, token)


def stored_token(settings: Settings) -> StoredToken:
    """The token of the day. Raises LoginDead when there is none, and CredentialsError."""
    try:
        return settings.token_of_day()
    except NotLoggedIn as error:
        raise LoginDead(str(error)) from error


def logged_in(settings: Settings) -> KiteRest:
    """A client with the token of the day. Raises LoginDead, CredentialsError, EndpointError."""
    return client(settings, stored_token(settings))


def has_token(settings: Settings) -> bool:
    """Whether a token can be read; what is wrong with it `auth status` shows."""
    try:
        stored_token(settings)
    except (LoginDead, CredentialsError):
        return False
    return True
