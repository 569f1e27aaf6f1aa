"""Kite's REST calls: the official client under a pace, bounded retries and one tree of errors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from kiteconnect import KiteConnect  # type: ignore[import-untyped]
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from kite_broker_zerodha.auth.grant import Grant
from kite_broker_zerodha.auth.token_file import StoredToken
from kite_broker_zerodha.errors import AuthRefused, BadAnswer, CredentialsError, InputRefused
from kite_broker_zerodha.network import Network
from kite_broker_zerodha.packets import Segment, price_scale_of, segment_of
from kite_broker_zerodha.rest.candles import Candles, parse_candles
from kite_broker_zerodha.rest.limits import CallKind, Pace, host_pace
from kite_broker_zerodha.rest.retries import Retries, surely_undone, worth_another_try
from kite_broker_zerodha.rest.transport import KiteHttp, checked_root
from kite_broker_zerodha.settings import KiteApiUser
from kite_broker_zerodha.spans import DAYS_A_CALL
from kite_runtime.clock import IST
from kite_runtime.console import say
from kite_runtime.secrets import Secret, redact

KITE_ROOT: Final = "https://api.kite.trade"
LTP_KEYS_MAX: Final = 1000
"""Instruments in one call of ``ltp``. Source: "Market quotes" in Kite Connect's documentation."""

_COMMODITIES: Final = (Segment.MCX, Segment.MCXSX, Segment.NCO)

Result = TypeVar("Result")

OnRetry = Callable[[Exception, float], None]
"""Called before each wait: what failed, and the seconds until the next attempt."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Whose token it is, and the exchanges that the account may trade on."""

    user_id: str
    user_name: str
    broker: str
    exchanges: tuple[str, ...]


class KiteRest:
    """Kite's REST API for one API key. One thread at a time.

    ``root``       ``https://host``; ``http://`` is taken for this machine alone
    ``network``    authorities and proxy; None: as the environment has them
    ``pace``       hands out the slots: `host_pace` for all processes of the key; None: for this
                   client alone
    ``timeout_s``  to connect, and between two bytes of an answer
    ``sleep``      how to wait: ``Event.wait`` makes waits that another thread can end

    Every call raises AuthRefused, InputRefused or KiteUnavailable (RateLimited, BadAnswer). What
    only asks is repeated as ``retries`` says. The constructor raises EndpointError for the address
    and CredentialsError for a key or token that no header can carry.
    """

    def __init__(
        self,
        api_key: str,
        access_token: str | Secret | None = None,
        *,
        root: str = KITE_ROOT,
        network: Network | None = None,
        pace: Pace | None = None,
        retries: Retries | None = None,
        timeout_s: float = 7.0,
        on_retry: OnRetry | None = None,
        sleep: Callable[[float], object] = time.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        token = access_token.reveal() if isinstance(access_token, Secret) else access_token
        self._api_key = _plain("the API key", api_key)
        self._secrets = [api_key]
        self._kite = _Client(api_key, root=checked_root(root), timeout=timeout_s)
        self._kite.reqsession = KiteHttp(root, self._hide, network or Network())
        if token:
            self._remember(_plain("the access token", token))
            self._kite.set_access_token(token)
        self._root = root
        self._pace = pace or Pace()
        self._retries = retries or Retries()
        self._on_retry = on_retry
        self._sleep = sleep
        self._monotonic_s = monotonic_s
        self._chance = chance

    def instruments(self, exchange: str | None = None) -> bytes:
        """The master of an exchange, or of all: CSV as Kite wrote it, unpacked.

        Kite makes it once a day; fetch it after about 08:30 IST.
        """
        if exchange is not None and not (exchange.isascii() and exchange.isalnum()):
            raise InputRefused(f"{exchange!r} is no name of an exchange: NFO, for example")
        data = self._call(CallKind.OTHER, partial(self._kite.instruments, exchange))
        if not isinstance(data, bytes):
            raise BadAnswer("Kite answered with JSON instead of the instruments: try again later")
        return data

    def profile(self) -> Profile:
        """Who is logged in. Raises AuthRefused when the token is dead."""
        data = self._call(CallKind.OTHER, self._kite.profile)
        exchanges = data.get("exchanges") if isinstance(data, dict) else None
        return Profile(
            user_id=_text(data, "user_id"),
            user_name=_text(data, "user_name", required=False),
            broker=_text(data, "broker", required=False),
            exchanges=tuple(map(str, exchanges)) if isinstance(exchanges, list) else (),
        )

    def ltp(self, keys: Iterable[str]) -> dict[str, Decimal]:
        """Last prices in rupees of ``EXCHANGE:TRADINGSYMBOL`` keys; unknown keys are left out."""
        wanted = list(dict.fromkeys(keys))
        prices: dict[str, Decimal] = {}
        for start in range(0, len(wanted), LTP_KEYS_MAX):
            part = wanted[start : start + LTP_KEYS_MAX]
            data = self._call(CallKind.QUOTE, partial(self._kite.ltp, part))
            if not isinstance(data, dict):
                raise BadAnswer("Kite's last prices are no JSON object: try again later")
            prices.update((key, _price(key, data[key])) for key in part if key in data)
        return prices

    def historical(
        self,
        token: int,
        interval: str,
        since: datetime,
        until: datetime,
        *,
        continuous: bool = False,
        oi: bool = True,
        price_scale: int | None = None,
    ) -> Candles:
        """Candles that open in ``[since, until)``, both aware; one call, so ``spans`` cuts first.

        ``interval`` is a key of ``DAYS_A_CALL``. ``until`` should be the end of a candle: of one
        that is cut Kite gives the minutes before the cut. Day candles are stamped at midnight in
        India. ``price_scale`` None is that of the token's segment. What is no candle stands in
        ``refused``. Raises InputRefused for a span that is too long or an unknown token, besides
        what every call raises; ValueError for a time without a zone.
        """
        if since.tzinfo is None or until.tzinfo is None:
            raise ValueError("since and until need a time zone")
        if interval not in DAYS_A_CALL:
            raise InputRefused(f"Kite has no interval {interval!r}: {', '.join(DAYS_A_CALL)}")
        # Kite's own end is included. The official client drops zones, so it gets India's time.
        first, last = (
            f"{each.astimezone(IST):%Y-%m-%d %H:%M:%S}"
            for each in (since, until - timedelta(seconds=1))
        )
        data = self._call(
            CallKind.HISTORICAL,
            partial(self._kite.historical_data, token, first, last, interval, continuous, oi),
        )
        rows = data.get("candles") if isinstance(data, dict) else None
        if not isinstance(rows, list):
            raise BadAnswer("Kite's answer has no candles: try again later", again=False)
        scale = price_scale_of(token) if price_scale is None else price_scale
        return parse_candles(rows, scale, negative_prices=segment_of(token) in _COMMODITIES)

    def exchange(self, request_token: str, api_secret: str | Secret) -> Grant:
        """Exchange the redirect's request token for an access token, which this client then uses.

        A request token works once and for some minutes. So only a refused rate is tried again:
        after any other KiteUnavailable the token may or may not be used up.
        """
        secret = api_secret.reveal() if isinstance(api_secret, Secret) else api_secret
        if not secret:
            raise CredentialsError("the API secret is missing: set KITE_API_SECRET")
        if not request_token:
            raise CredentialsError("the request token is missing: log in again")
        self._remember(_plain("the request token", request_token))
        self._remember(_plain("the API secret", secret))
        data = self._call(
            CallKind.OTHER,
            partial(self._kite.generate_session, request_token, secret),
            surely_undone,
        )
        grant = Grant(
            api_key=self._api_key,
            access_token=Secret(_plain("Kite's access token", _text(data, "access_token"))),
            user_id=_text(data, "user_id"),
            user_name=_text(data, "user_name", required=False),
            login_time=_login_time(data),
        )
        self._remember(grant.access_token.reveal())
        return grant

    def invalidate(self) -> bool:
        """Log out: the token dies at Kite. False when Kite says that it was dead already."""
        if not self._kite.access_token:
            raise CredentialsError("there is no access token to invalidate")
        try:
            self._call(CallKind.OTHER, self._kite.invalidate_access_token)
            alive = True
        except AuthRefused:
            alive = False
        self._kite.set_access_token(None)
        return alive

    def close(self) -> None:
        """Give the connections back."""
        self._kite.reqsession.close()

    def __enter__(self) -> KiteRest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"KiteRest({self._root!r})"

    def _call(
        self,
        kind: CallKind,
        call: Callable[[], Any],
        repeatable: Callable[[BaseException], bool] = worth_another_try,
    ) -> Any:
        attempts = Retrying(
            stop=stop_after_attempt(self._retries.attempts),
            wait=self._wait_s,
            retry=retry_if_exception(repeatable),
            before_sleep=self._tell,
            sleep=self._wait,
            reraise=True,
        )
        return attempts(self._once, kind, call)

    def _once(self, kind: CallKind, call: Callable[[], Any]) -> Any:
        wait_s = self._pace.reserve(kind, self._monotonic_s())
        if wait_s > 0:
            self._wait(wait_s)
        try:
            return call()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The answer passed as Kite's, but the official client did not find in it what it takes.
            raise BadAnswer(
                f"Kite's answer is missing required fields ({type(error).__name__}): "
                "try again later",
                again=False,
            ) from None

    def _wait(self, seconds: float) -> None:
        self._sleep(seconds)

    def _wait_s(self, state: RetryCallState) -> float:
        return self._retries.wait_s(state.attempt_number, _error_of(state), self._chance())

    def _tell(self, state: RetryCallState) -> None:
        error = _error_of(state)
        if self._on_retry is not None and isinstance(error, Exception):
            self._on_retry(error, state.upcoming_sleep)

    def _remember(self, secret: str) -> None:
        if secret not in self._secrets:
            self._secrets.append(secret)

    def _hide(self, text: str) -> str:
        return redact(text, self._secrets)


class _Client(KiteConnect):  # type: ignore[misc]
    """The official client, but the master and candles stay as they came: parsing their rows one by
    one would take many times longer than fetching them, and turns prices into floats."""

    def _parse_instruments(self, data: Any) -> Any:
        return data

    def _format_historical(self, data: Any) -> Any:
        return data


def open_client(
    settings: KiteApiUser,
    token: StoredToken | None = None,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> KiteRest:
    """A client at the pace of all processes of its key, which reports on stderr when it waits.

    Without a token it asks for what is public. Raises EndpointError and CredentialsError.
    """
    key = token.api_key if token is not None else settings.api_key
    return KiteRest(
        key,
        token.access_token if token is not None else None,
        root=settings.api_url,
        network=settings.network,
        pace=host_pace(key, settings.api_url),
        on_retry=lambda error, wait_s: say(f"{error}; again in {wait_s:.1f} s"),
        sleep=sleep,
    )


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _plain(what: str, value: str) -> str:
    """A value that a header can carry. The error does not quote it."""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise CredentialsError(f"{what} has characters that none of Kite's has: copy it again")
    return value


def _text(data: Any, name: str, required: bool = True) -> str:
    value = data.get(name) if isinstance(data, dict) else None
    if isinstance(value, str) and value:
        return value
    if not required:
        return ""
    raise BadAnswer(f"Kite's answer has no {name}: try again later", again=False)


def _price(key: str, quote: Any) -> Decimal:
    """Exact: a price has far fewer digits than a float keeps, and ``str`` gives those back."""
    value = quote.get("last_price") if isinstance(quote, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
        raise BadAnswer(f"Kite's answer has no last price of {key}: try again later", again=False)
    return Decimal(str(value))


def _login_time(data: Any) -> datetime:
    """Kite's clock, ``YYYY-MM-DD HH:MM:SS`` in IST, which the official client parses for us."""
    value = data.get("login_time") if isinstance(data, dict) else None
    if not isinstance(value, datetime):
        raise BadAnswer("Kite's answer has no login_time: log in again", again=False)
    return (value if value.tzinfo else value.replace(tzinfo=IST)).astimezone(UTC)
