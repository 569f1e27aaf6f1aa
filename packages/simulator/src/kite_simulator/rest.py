"""Kite's REST API as a function: a request and a time in, an answer out. Pure but for a lock.

It knows the login page, the session, the profile, the instruments, last prices and candles. Access
tokens are the account's, so what is minted here is what the WebSocket side takes. Prices are the
market's.
"""

from __future__ import annotations

import errno
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from gzip import BadGzipFile
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from kite_broker_zerodha.packets import price_scale_of
from kite_runtime.clock import IST
from kite_simulator.account import Account, LoginRefused
from kite_simulator.candles import candle_answer
from kite_simulator.history import UNCHANGED, History, HistoryChanges
from kite_simulator.market import origin_of
from kite_simulator.master import Master
from kite_simulator.rest_faults import (
    RestAnswer,
    RestFault,
    ScriptedFault,
    error_answer,
    json_answer,
    spoilt,
)

LOGIN_PATH: Final = "/connect/login"
LTP_KEYS_MAX: Final = 1000
_BODY_FIELDS_MAX: Final = 32

PriceOf = Callable[[int], int | None]
"""Instrument token to last price, a raw integer of the wire; None where there is none yet."""


@dataclass(frozen=True, slots=True)
class RestOptions:
    """What the REST side serves.

    ``seed``          of instruments and prices; the WebSocket side's, where there is one
    ``day``           whose instruments are listed; None is today in India
    ``master_file``   a CSV with Kite's columns, packed or not, instead of the seeded master
    ``master``        such a CSV itself; it goes before the file
    ``script``        faults, see ``rest_faults``
    ``history``       how its candles differ from those of the seed, see ``parse_history_script``
    ``redirect_url``  where the login page sends the browser; None shows the request token
    ``candles``       False refuses them: what the feed serves has none
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    day: date | None = None
    master_file: Path | None = None
    master: bytes | None = None
    script: tuple[ScriptedFault, ...] = ()
    history: HistoryChanges = UNCHANGED
    redirect_url: str | None = None
    candles: bool = True


class RestRequest(NamedTuple):
    """``target`` is path and query; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


class Served(NamedTuple):
    """One line of the service's ledger; no query, no secrets."""

    method: str
    path: str
    status: int


class RestService:
    """The API of one account.

    ``history`` takes changes: minutes that are missing, stretches that are restated. ``served``
    lists what was answered. Raises OSError when the master file cannot be read.
    """

    def __init__(
        self, options: RestOptions, account: Account, today: date, price: PriceOf | None = None
    ) -> None:
        """``price`` gives last prices; None stands still at the opening."""
        self.account = account
        self.master = _master(options, today)
        self.history = History(options.seed)
        self.history.change(lost=options.history.lost, restated=options.history.restated)
        self.served: list[Served] = []
        self._listed = frozenset(self.master.tokens.values())
        self._price = price or (lambda token: origin_of(options.seed, token).opening)
        self._redirect_url = options.redirect_url
        self._has_candles = options.candles
        self._script = list(options.script)
        self._requests = 0
        self._lock = Lock()

    def fail_next(self, kind: RestFault, count: int = 1, seconds: float = 0.0) -> None:
        with self._lock:
            self._script.append(ScriptedFault(self._requests + 1, kind, count, seconds))

    def recover(self) -> None:
        with self._lock:
            self._script.clear()

    def answer(self, request: RestRequest, now: datetime) -> RestAnswer:
        """Never raises; ``now`` is aware."""
        if request.path == LOGIN_PATH:
            answer = self._login(request)
        else:
            with self._lock:
                self._requests += 1
                number = self._requests
                fault = next((each for each in self._script if each.hits(number)), None)
            # A call that fails for certain must not have an effect: its request token stays good.
            effect = fault is None or fault.kind in _AFTER_THE_EFFECT
            answer = self._route(request, now) if effect else _NOTHING
            answer = answer if fault is None else spoilt(fault, answer)
        with self._lock:
            self.served.append(Served(request.method, request.path, answer.status))
        return answer

    def _route(self, request: RestRequest, now: datetime) -> RestAnswer:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["session", "token"]:
                return self._exchange(request, now)
            case "DELETE", ["session", "token"]:
                return self._invalidate(request)
            case "GET", ["user", "profile"]:
                return self._authorized(request) or _success(self._profile())
            case "GET", ["instruments", *exchange] if len(exchange) < 2:
                return self._instruments(request, exchange[0] if exchange else None)
            case "GET", ["instruments", "historical", token, interval]:
                return self._authorized(request) or self._historical(request, token, interval, now)
            case "GET", ["quote", "ltp"]:
                return self._authorized(request) or self._ltp(request)
        return error_answer(HTTPStatus.NOT_FOUND, "Route not found", "GeneralException")

    def _login(self, request: RestRequest) -> RestAnswer:
        query = _query(request)
        try:
            token = self.account.log_in(query.get("api_key", ""))
        except LoginRefused as refusal:
            return _wrong(str(refusal))
        result = {"action": "login", "type": "login", "status": "success", "request_token": token}
        result |= dict(parse_qsl(query.get("redirect_params", "")))
        if self._redirect_url is None:
            page = f"request_token={token}\n".encode()
            return RestAnswer(int(HTTPStatus.OK), "text/plain", page)
        joint = "&" if urlsplit(self._redirect_url).query else "?"
        place = f"{self._redirect_url}{joint}{urlencode(result)}"
        return RestAnswer(int(HTTPStatus.FOUND), "text/plain", b"", {"Location": place})

    def _exchange(self, request: RestRequest, now: datetime) -> RestAnswer:
        form = _first(request.body.decode("utf-8", "replace"))
        missing = [name for name in ("api_key", "request_token", "checksum") if not form.get(name)]
        if missing:
            return _wrong(f"Missing `{missing[0]}`.")
        try:
            token = self.account.exchange(form["api_key"], form["request_token"], form["checksum"])
        except LoginRefused as refusal:
            return error_answer(HTTPStatus.FORBIDDEN, str(refusal), "TokenException")
        return _success(
            {
                **self._profile(),
                "api_key": form["api_key"],
                "access_token": token,
                "public_token": "",
                "refresh_token": "",
                "login_time": f"{now.astimezone(IST):%Y-%m-%d %H:%M:%S}",
            }
        )

    def _invalidate(self, request: RestRequest) -> RestAnswer:
        query = _query(request)
        if self.account.invalidate(query.get("api_key", ""), query.get("access_token", "")):
            return _success(True)
        return _refused()

    def _profile(self) -> dict[str, Any]:
        return {
            "user_id": self.account.user_id,
            "user_type": "individual",
            "user_name": self.account.user_name,
            "user_shortname": self.account.user_name.split()[0],
            "email": "",
            "broker": "ZERODHA",
            "exchanges": list(self.master.exchanges),
            "products": ["CNC", "NRML", "MIS"],
            "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
            "avatar_url": None,
            "meta": {"demat_consent": "physical"},
        }

    def _instruments(self, request: RestRequest, exchange: str | None) -> RestAnswer:
        """Kite's dump is public; a dead token with it is refused all the same."""
        if "authorization" in request.headers and (refusal := self._authorized(request)):
            return refusal
        kind = "text/csv"
        try:
            if "gzip" in request.headers.get("accept-encoding", ""):
                packed = self.master.packed(exchange)
                return RestAnswer(int(HTTPStatus.OK), kind, packed, {"Content-Encoding": "gzip"})
            return RestAnswer(int(HTTPStatus.OK), kind, self.master.csv(exchange))
        except KeyError:
            return _wrong("Invalid `exchange`.")

    def _historical(
        self, request: RestRequest, token: str, interval: str, now: datetime
    ) -> RestAnswer:
        if not (token.isascii() and token.isdigit() and int(token[:20]) in self._listed):
            return _wrong("invalid token")
        if not self._has_candles:
            return _wrong("no candles: the feed is a recording")
        return candle_answer(self.history, int(token), interval, _query(request), now)

    def _ltp(self, request: RestRequest) -> RestAnswer:
        keys = parse_qs(request.query).get("i", [])
        if not keys or len(keys) > LTP_KEYS_MAX:
            return _wrong(f"1 to {LTP_KEYS_MAX} instruments")
        found = {key: self.master.tokens[key] for key in keys if key in self.master.tokens}
        return _success(
            {
                key: {"instrument_token": token, "last_price": _rupees(price, token)}
                for key, token in found.items()
                if (price := self._price(token)) is not None
            }
        )

    def _authorized(self, request: RestRequest) -> RestAnswer | None:
        """None for a pair that the account holds, else the refusal."""
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        api_key, _, token = pair.partition(":")
        good = scheme == "token" and self.account.holds(api_key, token)
        return None if good else _refused()


def _rupees(price: int, token: int) -> float:
    return float(Decimal(price).scaleb(-price_scale_of(token)))


def _master(options: RestOptions, today: date) -> Master:
    path = options.master_file
    if options.master is not None:
        return Master(options.master)
    if path is None:
        return Master.seeded(options.seed, options.day or today)
    try:
        return Master(path.read_bytes())
    except (EOFError, zlib.error, BadGzipFile) as error:
        raise OSError(errno.EINVAL, "not a whole gzip file", str(path)) from error


_NOTHING: Final = RestAnswer(int(HTTPStatus.OK), "application/json", json.dumps({}).encode())
_AFTER_THE_EFFECT: Final = frozenset(
    {RestFault.EMPTY, RestFault.TRUNCATE, RestFault.CUT_GZIP, RestFault.DROP, RestFault.SLOW}
)


def _success(data: object) -> RestAnswer:
    return json_answer({"status": "success", "data": data})


def _wrong(problem: str) -> RestAnswer:
    return error_answer(HTTPStatus.BAD_REQUEST, problem, "InputException")


def _refused() -> RestAnswer:
    return error_answer(
        HTTPStatus.FORBIDDEN, "Incorrect `api_key` or `access_token`.", "TokenException"
    )


def _query(request: RestRequest) -> dict[str, str]:
    return _first(request.query)


def _first(text: str) -> dict[str, str]:
    """The first value of each parameter; empty for what is no form."""
    try:
        found = parse_qs(text, max_num_fields=_BODY_FIELDS_MAX)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}
