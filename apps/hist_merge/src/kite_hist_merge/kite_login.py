"""Kite's API with the token of the day."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kite_broker_zerodha.auth import read_token
from kite_broker_zerodha.errors import CredentialsError
from kite_hist_merge.settings import Settings
from kite_runtime.console import say

if TYPE_CHECKING:
    from kite_broker_zerodha.rest import KiteRest, Pace


def logged_in(
    settings: Settings,
    *,
    pace: Pace | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> KiteRest:
    """A client with the token of the file, or else of ``KITE_ACCESS_TOKEN``; a context manager.

    Several clients share one ``pace``; ``sleep`` is how each waits. It says on stderr when it waits
    to try again. Raises CredentialsError when there is no token, ConfigurationError when there is
    no API key with it, and EndpointError.
    """
    from kite_broker_zerodha.rest import KiteRest

    if settings.token_file.exists():
        stored = read_token(settings.token_file, settings.api_key or None)
        key, token = stored.api_key, stored.access_token
    elif settings.access_token.reveal():
        key, token = settings.require_api_key(), settings.access_token
    else:
        raise CredentialsError(
            f"nobody is logged in at Kite: there is no {settings.token_file.name} and no "
            "KITE_ACCESS_TOKEN; run `instruments auth url`, log in, then `instruments auth "
            "exchange`"
        )
    return KiteRest(key, token, root=settings.api_url, pace=pace, on_retry=_tell, sleep=sleep)


def _tell(error: Exception, wait_s: float) -> None:
    say(f"{error}; again in {wait_s:.1f} s")
