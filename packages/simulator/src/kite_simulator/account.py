"""The one account of the simulator: request tokens, access tokens and what ends them.

Pure but for a lock: the REST side answers in threads, the WebSocket side in an event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from threading import RLock
from typing import Final

TOKEN_CHARS: Final = 32


class LoginRefused(Exception):
    """Why there is no access token, in Kite's words."""


@dataclass(repr=False, eq=False)
class Account:
    """A trader who logs in. At most one access token is alive; a new login ends the one before.

    ``api_key`` None takes any key. ``open_until_login`` takes any access token until the first
    login, which is how the WebSocket side behaves without an account.
    """

    api_key: str | None = "dummy"
    api_secret: str = "dummy"
    _: KW_ONLY
    user_id: str = "SIM001"
    user_name: str = "Simulated Trader"
    seed: int = 1
    open_until_login: bool = False
    dead_tokens: Iterable[str] = ()

    def __post_init__(self) -> None:
        self._open = self.open_until_login
        self._dead = set(self.dead_tokens)
        self._requests: set[str] = set()
        self._access_token: str | None = None
        self._count = 0
        self._lock = RLock()
        self._watchers: list[Callable[[], None]] = []

    def log_in(self, api_key: str) -> str:
        """What the login page does after the password: a new request token.

        Raises LoginRefused for another application's key.
        """
        with self._lock:
            if not self._takes(api_key):
                raise LoginRefused("Invalid `api_key`.")
            token = self._new_token("request")
            self._requests.add(token)
            return token

    def exchange(self, api_key: str, request_token: str, checksum: str) -> str:
        """A new access token; the request token is used up by a call that is right.

        Raises LoginRefused.
        """
        right = hashlib.sha256(f"{api_key}{request_token}{self.api_secret}".encode()).hexdigest()
        with self._lock:
            if not self._takes(api_key):
                raise LoginRefused("Invalid `api_key`.")
            if checksum != right:
                raise LoginRefused("Invalid `checksum`.")
            if request_token not in self._requests:
                raise LoginRefused("Token is invalid or has expired.")
            self._requests.remove(request_token)
            self._access_token = self._new_token("access")
            self._open = False
            minted = self._access_token
        self._tell()
        return minted

    def holds(self, api_key: str, access_token: str) -> bool:
        with self._lock:
            if not access_token or not self._takes(api_key) or access_token in self._dead:
                return False
            return self._open or access_token == self._access_token

    def invalidate(self, api_key: str, access_token: str) -> bool:
        with self._lock:
            if not self.holds(api_key, access_token):
                return False
            self.declare_dead(access_token)
        return True

    def declare_dead(self, access_token: str) -> None:
        with self._lock:
            self._dead.add(access_token)
        self._tell()

    def expire(self) -> None:
        """06:00: whatever token was alive is dead, and only another login helps."""
        with self._lock:
            self._open = False
            self._access_token = None
            self._requests.clear()
        self._tell()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call this, from any thread, whenever a token may have died."""
        with self._lock:
            self._watchers.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        with self._lock:
            self._watchers.remove(changed)

    def _tell(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for changed in watchers:
            changed()

    def _takes(self, api_key: str) -> bool:
        return bool(api_key) and self.api_key in (None, api_key)

    def _new_token(self, kind: str) -> str:
        self._count += 1
        text = f"{self.seed}/{self.user_id}/{kind}/{self._count}"
        return hashlib.sha256(text.encode()).hexdigest()[:TOKEN_CHARS]

    def __repr__(self) -> str:
        return f"Account(user_id={self.user_id!r})"
