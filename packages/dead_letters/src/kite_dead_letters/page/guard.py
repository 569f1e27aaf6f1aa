"""What stands before every page: the names it answers to, the forms it takes, its security headers.

A foreign page in the same browser can send requests here, and can point a name of its own at this
address (DNS rebinding). So the name asked for must be one of ours, and a form must come from a page
of that very name and port.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kite_runtime.hosts import is_address, is_local

BODY_BYTES_MAX: Final = 64 * 1024
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # 'no-referrer' would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_READING: Final = frozenset({"GET", "HEAD"})


# Starlette's TrustedHostMiddleware cannot admit every address, and answers 400 with no remedy.
@dataclass(frozen=True, slots=True)
class Names:
    """The names that the page answers to. ``any_address`` adds every IP address written as one,
    which no foreign name can be."""

    names: frozenset[str] = field(default=LOCAL_NAMES)
    any_address: bool = False

    def has(self, host: str) -> bool:
        """Whether a Host header names us, whatever its port is."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        return name in self.names or (self.any_address and is_address(name))


def names_of(host: str, more: Iterable[str] = ()) -> Names:
    """The names for a server that listens at ``host``, ``more`` being those that a person adds."""
    added = {each.lower().rstrip(".") for each in more}
    if is_local(host):
        return Names(LOCAL_NAMES | added)
    return Names(LOCAL_NAMES | added | {host.lower()}, any_address=True)


def same_origin(origin: str | None, host: str) -> bool:
    """Whether a form comes from a page of the host and port that it is sent to."""
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


class Guard:
    """Wraps the application (ASGI). Answers what is refused by itself, one sentence each."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(message)
            await send(message)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        answer: ASGIApp = self._app
        if refused is not None:
            answer = PlainTextResponse(refused[1] + "\n", refused[0])
        await answer(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._names.has(host):
            return 421, (
                "this page does not answer to that name; "
                "start it with --name NAME for each name that it is reached by"
            )
        if method in _READING:
            return None
        if not same_origin(headers.get("origin"), host):
            return 403, "a form of another page is not taken"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:19]) > BODY_BYTES_MAX:
            return 413, f"a form may have {BODY_BYTES_MAX} bytes at most"
        return None


def add_headers(message: MutableMapping[str, Any]) -> None:
    """Add the headers of every answer, where it has none of its own."""
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
