"""Where a dump comes from: a file, or Kite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kite_broker_zerodha.errors import AuthRefused
from kite_broker_zerodha.instrument_dump import DUMP_BYTES_MAX
from kite_instruments import kite
from kite_instruments.settings import Settings
from kite_runtime.console import say
from kite_runtime.errors import InputUnusable


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
        with kite.client(settings) as public:
            return public.instruments(exchange)
    except AuthRefused:
        if not kite.has_token(settings):
            raise
    with kite.logged_in(settings) as private:
        return private.instruments(exchange)
