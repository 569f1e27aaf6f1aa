"""What goes wrong on the REST side, on purpose: a script, and what it does to an answer. Pure.

The script is text, one fault a line or between semicolons: ``REQUEST KIND [NUMBER]``; ``#`` starts
a comment. Requests to the API are counted from 1 as they come. NUMBER is how many requests in a row
it hits, 1 if left out; for ``slow`` it is the seconds of waiting.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from kite_simulator.faults import ScriptError, fault_lines

_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\r\n"
_COUNT_MAX: Final = 10_000
_SLOW_S: Final = 1.0


class RestFault(StrEnum):
    """What can go wrong with an answer."""

    REFUSE = "403"
    """Kite refuses the token."""
    TOO_MANY = "429"
    """Kite's NetworkException "Too many requests"."""
    INPUT = "400"
    """Kite refuses the parameters."""
    SERVER = "500"
    """Kite's GeneralException."""
    GATEWAY = "502"
    """The page of a gateway, HTML."""
    AWAY = "503"
    """Kite's NetworkException: its order system is away."""
    NO_TYPE = "no-error-type"
    """An error whose JSON has no ``error_type``."""
    HTML = "html"
    """A page with status 200 where data was asked for."""
    EMPTY = "empty"
    """The right content type and no content."""
    TRUNCATE = "truncate"
    """The connection ends in the middle of the body."""
    CUT_GZIP = "cut-gzip"
    """A packed body that ends early, and a Content-Length that agrees with it."""
    DROP = "drop"
    """The connection ends without an answer."""
    SLOW = "slow"
    """The answer comes late. [seconds]"""


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """One answer of the service; ``cut`` sends half of the body, ``drop`` sends nothing."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    drop: bool = False


@dataclass(frozen=True, slots=True)
class ScriptedFault:
    """One line of a script: from ``at_request`` on, ``count`` requests; ``seconds`` of ``slow``."""

    at_request: int
    kind: RestFault
    count: int = 1
    seconds: float = 0.0

    def hits(self, request: int) -> bool:
        return self.at_request <= request < self.at_request + self.count


_ERRORS: Final[Mapping[RestFault, tuple[str, str]]] = MappingProxyType(
    {
        RestFault.REFUSE: ("Incorrect `api_key` or `access_token`.", "TokenException"),
        RestFault.TOO_MANY: ("Too many requests", "NetworkException"),
        RestFault.INPUT: ("Invalid `exchange`.", "InputException"),
        RestFault.SERVER: ("Something unexpected happened.", "GeneralException"),
        RestFault.AWAY: ("Gateway timed out.", "NetworkException"),
    }
)
"""Message and type of those faults whose value is a status."""


def error_answer(status: int, message: str, error_type: str) -> RestAnswer:
    """Kite's form of an error."""
    content = {"status": "error", "message": message, "data": None, "error_type": error_type}
    return json_answer(content, status)


def json_answer(content: Mapping[str, Any], status: int = HTTPStatus.OK) -> RestAnswer:
    return RestAnswer(int(status), "application/json", json.dumps(content).encode())


def spoilt(fault: ScriptedFault, answer: RestAnswer) -> RestAnswer:
    """What the fault makes of the answer that was due."""
    if fault.kind in _ERRORS:
        return error_answer(int(fault.kind), *_ERRORS[fault.kind])
    match fault.kind:
        case RestFault.GATEWAY:
            return RestAnswer(int(HTTPStatus.BAD_GATEWAY), "text/html", _HTML)
        case RestFault.HTML:
            return RestAnswer(int(HTTPStatus.OK), "text/html; charset=utf-8", _HTML)
        case RestFault.NO_TYPE:
            content = {"status": "error", "message": "Unknown", "data": None}
            return json_answer(content, HTTPStatus.INTERNAL_SERVER_ERROR)
        case RestFault.EMPTY:
            return replace(answer, body=b"", headers={})
        case RestFault.TRUNCATE:
            return replace(answer, cut=True)
        case RestFault.CUT_GZIP:
            packed = answer.headers.get("Content-Encoding") == "gzip"
            body = answer.body if packed else gzip.compress(answer.body, mtime=0)
            headers = {**answer.headers, "Content-Encoding": "gzip"}
            return replace(answer, body=body[: len(body) // 2], headers=headers)
        case RestFault.DROP:
            return replace(answer, drop=True)
        case _:
            return replace(answer, delay_s=fault.seconds)


def parse_rest_script(text: str) -> tuple[ScriptedFault, ...]:
    """Read a script, in the order of its requests. Raises ScriptError."""
    what, faults = "REST fault script", []
    for line, request, kind, number in fault_lines(text, what, "request", RestFault, _COUNT_MAX):
        if number == 0:
            raise ScriptError(f"{what}: {line!r}: the number is above 0")
        if kind is RestFault.SLOW:
            faults.append(
                ScriptedFault(request, kind, seconds=_SLOW_S if number is None else number)
            )
        elif number is None or number.is_integer():
            faults.append(ScriptedFault(request, kind, int(number or 1)))
        else:
            raise ScriptError(f"{what}: {line!r}: the number of requests is a whole one")
    return tuple(faults)
