"""What an HTTP answer of Kite means: nothing to object to, or one error in one sentence. Pure.

Kite's own errors are JSON: ``{"status": "error", "message": ..., "error_type": ...}``. What comes
from a gateway before it is HTML, or empty; the official client answers that with a DataException
"Unknown Content-Type" whatever the status, and a missing ``error_type`` with a TypeError. So the
answer is judged here before that client sees it, by its status first.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from kite_broker_zerodha.errors import (
    AuthRefused,
    BadAnswer,
    BrokerError,
    InputRefused,
    KiteUnavailable,
    RateLimited,
)
from kite_broker_zerodha.retry_after import retry_after_seconds

MESSAGE_CHARS_MAX: Final = 200
_GZIP: Final = b"\x1f\x8b"
_ANY_GZIP: Final = 16 + zlib.MAX_WBITS

Hide = Callable[[str], str]
"""Takes the secrets out of a text."""


class Answer(NamedTuple):
    """An answer whose body was read whole and unpacked."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""


def error_of(answer: Answer, hide: Hide) -> BrokerError | None:
    """What is wrong with the answer; None for one that can be taken."""
    kind = answer.content_type.partition(";")[0].strip().lower()
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(
            f"Kite takes no more calls now ({_cause(answer, _object(answer), hide)}): "
            "try again later",
            retry_after_seconds(answer.retry_after),
        )
    if "json" in kind:
        return _error_of_json(answer, hide)
    server_side = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if "csv" not in kind or answer.status != HTTPStatus.OK:
        return BadAnswer(
            f"Kite's address answered with HTTP {answer.status} and "
            f"{_short(kind, hide) or 'no content type'}, which is no answer of Kite's: "
            "try again later",
            again=server_side,
        )
    if not answer.body.strip():
        return BadAnswer("Kite answered with an empty file: try again later")
    return None


def _error_of_json(answer: Answer, hide: Hide) -> BrokerError | None:
    found = _object(answer)
    good = answer.status == HTTPStatus.OK
    if found is None or (good and "data" not in found and not _says_error(found)):
        again = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or not answer.body.strip()
        what = "JSON that cannot be read" if answer.body.strip() else "nothing"
        return BadAnswer(
            f"Kite answered HTTP {answer.status} with {what}: try again later", again=again
        )
    if good and not _says_error(found):
        return None
    return _kite_error(answer, found, hide)


def _kite_error(answer: Answer, found: dict[str, Any], hide: Hide) -> BrokerError:
    status, kind, cause = answer.status, found.get("error_type"), _cause(answer, found, hide)
    refused = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    if kind == "TokenException" or (refused and kind != "PermissionException"):
        return AuthRefused(f"Kite refuses the login or its token ({cause}): log in again")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return KiteUnavailable(f"Kite is not available ({cause}): try again later")
    if status < HTTPStatus.BAD_REQUEST and not isinstance(kind, str):
        return BadAnswer(f"Kite answered with an error of no kind ({cause}): try again later")
    if status < HTTPStatus.BAD_REQUEST and kind in ("NetworkException", "DataException"):
        return KiteUnavailable(f"Kite is not available ({cause}): try again later")
    return InputRefused(f"Kite refuses the call ({cause}): correct what is asked for")


def _object(answer: Answer) -> dict[str, Any] | None:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _says_error(found: dict[str, Any]) -> bool:
    return found.get("status") == "error" or bool(found.get("error_type"))


def _cause(answer: Answer, found: dict[str, Any] | None, hide: Hide) -> str:
    message = found.get("message") if found else None
    text = _short(message, hide) if isinstance(message, str) else ""
    return f"HTTP {answer.status}: {text}" if text else f"HTTP {answer.status}"


def _short(text: str, hide: Hide) -> str:
    """One line of it, without secrets and trailing stop."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return hide(line)[:MESSAGE_CHARS_MAX].rstrip(". ")


def unpacked(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """The body without its gzip layer, wherever it was announced. Raises BadAnswer.

    A stream that ends early is an error here; urllib3 hands over what there is of it.
    """
    if encoding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
        raise BadAnswer("Kite's answer is packed in a way that was not asked for", again=False)
    if not body.startswith(_GZIP):
        return body
    stream = zlib.decompressobj(_ANY_GZIP)
    try:
        plain = stream.decompress(body, bytes_max + 1)
    except zlib.error:
        raise BadAnswer("Kite's packed answer is damaged: try again later") from None
    if len(plain) > bytes_max:
        raise too_large(bytes_max)
    if not stream.eof:
        raise BadAnswer("Kite's answer ends in the middle: try again later")
    return plain


def too_large(bytes_max: int) -> BadAnswer:
    return BadAnswer(
        f"Kite's answer is larger than {bytes_max >> 20} MiB, which no answer of Kite's is",
        again=False,
    )
