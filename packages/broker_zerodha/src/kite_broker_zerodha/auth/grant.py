"""What a login gives, how long it holds, and where the next one begins. Pure: time is an argument.

login_url ──browser──► redirect with a request_token ──exchange──► Grant ──► token file
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from kite_broker_zerodha.errors import CredentialsError
from kite_runtime.clock import IST
from kite_runtime.secrets import Secret

KITE_LOGIN: Final = "https://kite.zerodha.com/connect/login"
KITE_VERSION: Final = "3"

EXPIRY_IST: Final = time(6, 0)
"""Source: Kite Connect's documentation of the session: a token dies at 6 AM the next day."""

CERTAIN_IST: Final = time(7, 35)
"""Source: staff in Kite's forum, who mention a clean-up between 07:00 and 07:30. Which of the two
holds cannot be seen from outside; a token minted from now on satisfies both."""


def login_url(api_key: str, *, state: str | None = None, base: str = KITE_LOGIN) -> str:
    """The page where a person logs in, which then redirects to the address registered with Kite.

    ``state`` comes back in the redirect, so that a listener knows its own login from another's.
    ``base`` is another page, the simulator's for example. Raises CredentialsError without a key.
    """
    if not api_key:
        raise CredentialsError("the API key is missing: set KITE_API_KEY")
    query = {"v": KITE_VERSION, "api_key": api_key}
    if state is not None:
        query["redirect_params"] = urlencode({"state": state})
    return f"{base}?{urlencode(query)}"


def expires_at(login_time: datetime) -> datetime:
    """When a token minted then dies: the next 06:00 IST after it. Both are aware; UTC comes back.

    Kite's answer carries no expiry, so this is the documented rule (``EXPIRY_IST``). A later login
    ends a token earlier. Raises ValueError for a naive time.
    """
    local = _ist(login_time)
    death = datetime.combine(local.date(), EXPIRY_IST, IST)
    if death <= local:
        death += timedelta(days=1)
    return death.astimezone(UTC)


def may_die_early(login_time: datetime) -> bool:
    """Whether a token minted then might die the same morning (see ``CERTAIN_IST``)."""
    return EXPIRY_IST <= _ist(login_time).time() < CERTAIN_IST


def _ist(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the login time must be aware of its zone")
    return moment.astimezone(IST)


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a login. ``login_time`` is aware, UTC; ``repr`` shows no secret."""

    api_key: str = field(repr=False)
    access_token: Secret
    user_id: str
    user_name: str
    login_time: datetime

    @property
    def expires_at(self) -> datetime:
        """Aware, UTC."""
        return expires_at(self.login_time)
