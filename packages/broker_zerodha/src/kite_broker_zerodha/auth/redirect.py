"""The redirect that ends a login, as the line of an HTTP request or as a person pastes it. Pure."""

from __future__ import annotations

from http import HTTPStatus
from string import ascii_letters, digits
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from kite_broker_zerodha.errors import LoginNotFinished
from kite_runtime.secrets import Secret

REQUEST_CHARS_MAX: Final = 4096
"""A redirect of Kite has some 150 characters."""
_FIELDS_MAX: Final = 20
_TOKEN_CHARACTERS: Final = frozenset(ascii_letters + digits + "-_")


class Reply(NamedTuple):
    """What to answer the browser, and what the request brought.

    ``request_token`` when the login is done, ``refusal`` when it has failed; neither when the
    request was something else and the wait goes on.
    """

    status: HTTPStatus
    text: str
    request_token: Secret | None = None
    refusal: str | None = None


def reply_to(method: str, target: str, *, path: str = "/", state: str | None = None) -> Reply:
    """What one request to the listener means. Never raises.

    ``path`` is the path of the redirect address registered with Kite. With a ``state`` a request
    that does not bring it back belongs to another login, and is turned away.
    """
    if method != "GET":
        return Reply(HTTPStatus.METHOD_NOT_ALLOWED, "Only Kite's redirect is answered here.")
    if len(target) > REQUEST_CHARS_MAX:
        return Reply(HTTPStatus.REQUEST_URI_TOO_LONG, "This address is too long.")
    fields = _fields(target)
    if fields is None or urlsplit(target).path.rstrip("/") != path.rstrip("/"):
        return Reply(HTTPStatus.NOT_FOUND, "Only Kite's redirect is answered here.")
    if "status" not in fields and "request_token" not in fields:
        return Reply(HTTPStatus.NOT_FOUND, "Only Kite's redirect is answered here.")
    if state is not None and fields.get("state") != state:
        return Reply(HTTPStatus.BAD_REQUEST, "This redirect belongs to another login.")
    token = fields.get("request_token", "")
    if fields.get("status") != "success":
        return Reply(HTTPStatus.OK, "The login was not finished.", refusal="Kite did not accept it")
    if not _is_token(token):
        return Reply(HTTPStatus.BAD_REQUEST, "This redirect has no request_token.")
    return Reply(HTTPStatus.OK, "Logged in. This window can be closed.", Secret(token))


def request_token_of(pasted: str) -> str:
    """The request token of what a person pastes: the token itself, the redirect's address, or the
    ``request_token=…`` out of it.

    Raises LoginNotFinished for an address without one; the message does not quote it.
    """
    text = pasted.strip()
    if _is_token(text):
        return text
    fields = _fields(text if "?" in text else f"?{text}") or {}
    token = fields.get("request_token", "")
    if fields.get("status", "success") != "success" or not _is_token(token):
        raise LoginNotFinished(
            "this is neither a request token nor an address with a request_token in it: log in, "
            "and copy the address that the browser ends at"
        )
    return token


def _is_token(text: str) -> bool:
    return 0 < len(text) <= 256 and set(text) <= _TOKEN_CHARACTERS


def _fields(target: str) -> dict[str, str] | None:
    """The query's parameters, the first of each name; None for a target that is no address."""
    try:
        found = parse_qs(urlsplit(target).query, max_num_fields=_FIELDS_MAX)
    except ValueError:
        return None
    return {name: values[0] for name, values in found.items()}
