"""Kite's text messages, both ways, and the address to connect to. Pure.

Client to server: JSON with numeric tokens (string tokens deliver nothing). Server to client:
``{"type": T, "data": ...}`` where T is ``order``, ``error`` or ``message``. They come from outside:
whatever their size, depth or form, a short plain text is all that is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlencode, urlsplit

from kite_broker_zerodha.errors import EndpointError
from kite_broker_zerodha.session.credentials import Credentials
from kite_broker_zerodha.subscriptions import ShardDiff, chunked
from kite_contracts.tick_batch import TickMode

CHUNK_TOKENS: Final = 500
"""Tokens in one message: a message of the largest numbers then stays below 6 kB."""

TEXT_CHARS_MAX: Final = 300
"""Characters kept of a text for people."""

MODE_NAMES: Final = {mode: mode.name.lower() for mode in TickMode}

TextKind = Literal["order", "error", "message"]


class ServerText(NamedTuple):
    """A text message from Kite.

    ``text`` is for people and at most TEXT_CHARS_MAX long. None for an order postback, which holds
    the account's private data, and for whatever is no plain text.
    """

    kind: TextKind
    text: str | None


def subscribe_message(tokens: Sequence[int]) -> str:
    """Ask for these instruments; Kite starts them in quote mode."""
    return _compact({"a": "subscribe", "v": list(tokens)})


def unsubscribe_message(tokens: Sequence[int]) -> str:
    return _compact({"a": "unsubscribe", "v": list(tokens)})


def mode_message(mode: TickMode, tokens: Sequence[int]) -> str:
    return _compact({"a": "mode", "v": [MODE_NAMES[mode], list(tokens)]})


def messages_of(change: ShardDiff, chunk_tokens: int = CHUNK_TOKENS) -> list[str]:
    """The messages of one change, in the order to send them.

    What leaves goes first, so that a full connection never passes Kite's limit on the way.
    """
    messages = [unsubscribe_message(part) for part in chunked(change.unsubscribe, chunk_tokens)]
    messages += [subscribe_message(part) for part in chunked(change.subscribe, chunk_tokens)]
    for mode, tokens in change.modes.items():
        messages += [mode_message(mode, part) for part in chunked(tokens, chunk_tokens)]
    return messages


def parse_text(text: str) -> ServerText:
    """Read a server message; never raises. What has no known type is a ``message``."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        # What was to be JSON may be an order, with somebody's account and tokens in it.
        is_text = not text.lstrip().startswith(("{", "["))
        return ServerText("message", _line(text) if is_text else None)
    found = parsed if isinstance(parsed, dict) else {}
    kind, data = found.get("type"), found.get("data")
    if kind == "order":
        return ServerText("order", None)
    plain = _line(data) if isinstance(data, str) else None
    return ServerText("error" if kind == "error" else "message", plain)


def _line(text: str) -> str:
    """One line without control characters."""
    return "".join(c if c.isprintable() else " " for c in text[:TEXT_CHARS_MAX])


def checked_endpoint(endpoint: str) -> str:
    """The address itself, if it is ``ws://host`` or ``wss://host`` and carries no secrets.

    Raises EndpointError otherwise; the message does not quote the query.
    """
    try:
        parts = urlsplit(endpoint)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise EndpointError("the WebSocket address is no URL: expected wss://host[:port]") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise EndpointError(
            f"the WebSocket address starts with {parts.scheme or 'nothing'!r}: "
            "expected wss://host[:port]"
        )
    if parts.query or parts.fragment or parts.username or parts.password:
        raise EndpointError(
            "the WebSocket address must carry no query and no user: the session adds the key"
        )
    return endpoint


def connect_url(endpoint: str, credentials: Credentials) -> str:
    """The secret address to connect to. Never log it."""
    query = urlencode(
        {"api_key": credentials.api_key, "access_token": credentials.access_token.reveal()}
    )
    return f"{endpoint}?{query}"


def _compact(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
