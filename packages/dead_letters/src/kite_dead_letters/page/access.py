"""Who may change something: a token that the command printed, and the sessions opened with it.

Sessions live in memory and end with the process. Times are seconds of any monotonic clock.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass, field
from typing import Final

TOKEN_BYTES: Final = 24
TOKEN_LENGTH_MIN: Final = 20
SESSION_S: Final = 12 * 3600.0
SESSIONS_MAX: Final = 64


def make_token() -> str:
    """A new token, to be used in an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def cookie_name(port: int) -> str:
    """The cookie's name: browsers tell cookies of two ports of one machine apart by name only."""
    return f"dlq_triage_{port}"


@dataclass(slots=True)
class Session:
    """One browser that has shown the token.

    ``csrf`` stands in each of its forms. ``message`` is shown on the next page, once. ``who`` is
    the name given with the last decision.
    """

    key: str = field(repr=False)
    csrf: str = field(repr=False)
    ends_s: float
    who: str
    message: str = ""

    def wrote(self, csrf: str) -> bool:
        """Whether a form with this value was made for this session."""
        return _same(self.csrf, csrf)

    def take_message(self) -> str:
        """The message, which is gone then."""
        message, self.message = self.message, ""
        return message


# Starlette's SessionMiddleware keeps sessions in the cookie, where logging out cannot end them.
class Access:
    """The token and its sessions. Thread-safe; the oldest session makes room for the 65th."""

    def __init__(self, token: str, who: str) -> None:
        self._token = token
        self._who = who
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def log_in(self, token: str, now_s: float) -> Session | None:
        """A new session, or None for a wrong token."""
        if not _same(self._token, token):
            return None
        session = Session(make_token(), make_token(), now_s + SESSION_S, self._who)
        with self._lock:
            while len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[session.key] = session
        return session

    def find(self, key: str, now_s: float) -> Session | None:
        """The session of a cookie, None when it is unknown or has ended."""
        with self._lock:
            session = self._sessions.get(key)
            if session is not None and session.ends_s <= now_s:
                del self._sessions[key]
                return None
            return session

    def log_out(self, key: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(key, None)


def _same(right: str, given: str) -> bool:
    """Whether they are equal; the time does not depend on where they differ."""
    both = (hashlib.sha256(each.encode(errors="replace")).digest() for each in (right, given))
    return hmac.compare_digest(*both)
