"""The client against the simulator: every call, every fault, how often and how long it waits."""

from __future__ import annotations

import csv
import io
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Thread

import pytest

from kite_broker_zerodha.errors import (
    AuthRefused,
    BadAnswer,
    BrokerError,
    CredentialsError,
    EndpointError,
    InputRefused,
    KiteUnavailable,
    RateLimited,
)
from kite_broker_zerodha.rest import KiteRest, Retries
from kite_broker_zerodha.rest import transport as rest_transport
from kite_simulator import Account, RestFault, RestOptions, RestSimulator

NOW = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
DAY = date(2026, 1, 5)
KEY, SECRET = "CANARYkey1", "CANARYsecret1"


@pytest.fixture()
def kite() -> Iterator[RestSimulator]:
    account = Account(KEY, SECRET)
    with RestSimulator(RestOptions(day=DAY), account, now=lambda: NOW) as simulator:
        yield simulator


class FakeTime:
    """A clock that only waits move."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds

    def monotonic_s(self) -> float:
        return self.now_s


def client(
    root: str, token: str | None = None, time: FakeTime | None = None, timeout_s: float = 5.0
) -> KiteRest:
    clock = time or FakeTime()
    return KiteRest(
        KEY,
        token,
        root=root,
        retries=Retries(attempts=4, first_s=1.0, cap_s=4.0),
        timeout_s=timeout_s,
        sleep=clock.sleep,
        monotonic_s=clock.monotonic_s,
        chance=lambda: 1.0,
    )


def logged_in(kite: RestSimulator, time: FakeTime | None = None) -> KiteRest:
    rest = client(kite.root, time=time)
    rest.exchange(kite.account.log_in(KEY), SECRET)
    return rest


def test_a_login_from_request_token_to_logout(kite: RestSimulator) -> None:
    rest = client(kite.root)
    request_token = kite.account.log_in(KEY)
    grant = rest.exchange(request_token, SECRET)
    assert kite.account.holds(KEY, grant.access_token.reveal())
    assert (grant.api_key, grant.user_id, grant.user_name) == (KEY, "SIM001", "Simulated Trader")
    assert grant.login_time == NOW
    assert grant.expires_at == datetime(2026, 1, 6, 0, 30, tzinfo=UTC)
    assert rest.profile().user_id == "SIM001"
    assert "NFO" in rest.profile().exchanges
    with pytest.raises(AuthRefused, match="Token is invalid"):
        rest.exchange(request_token, SECRET)
    assert rest.invalidate()
    with pytest.raises(CredentialsError):
        rest.invalidate()
    again = client(kite.root, grant.access_token.reveal())
    with pytest.raises(AuthRefused, match="log in again"):
        again.profile()
    assert not again.invalidate()


def test_a_new_login_ends_the_one_before(kite: RestSimulator) -> None:
    first, second = logged_in(kite), logged_in(kite)
    assert second.profile().user_id == "SIM001"
    with pytest.raises(AuthRefused):
        first.profile()


def test_a_wrong_secret_is_refused_and_the_request_token_stays_good(kite: RestSimulator) -> None:
    request_token, rest = kite.account.log_in(KEY), client(kite.root)
    with pytest.raises(AuthRefused, match="checksum"):
        rest.exchange(request_token, "CANARYwrong")
    assert rest.exchange(request_token, SECRET).user_id == "SIM001"


def test_instruments_are_the_bytes_that_kite_wrote(kite: RestSimulator) -> None:
    rest = client(kite.root)  # no token: the dump is public
    everything = rest.instruments()
    assert everything == kite.service.master.csv()
    rows = list(csv.DictReader(io.StringIO(rest.instruments("NFO").decode())))
    assert len(rows) > 1000
    assert {row["exchange"] for row in rows} == {"NFO"}
    with pytest.raises(InputRefused, match="Invalid `exchange`"):
        rest.instruments("NOWHERE")
    for wrong in ("", "../session", "N F", "NFO?x=1"):
        with pytest.raises(InputRefused, match="no name of an exchange"):
            rest.instruments(wrong)


def test_last_prices_are_exact_and_unknown_keys_are_left_out(kite: RestSimulator) -> None:
    rest = logged_in(kite)
    master = kite.service.master
    cds = next(key for key in master.tokens if key.startswith("CDS:"))
    found = rest.ltp(["NSE:M&M", "NSE:NIFTY 50", cds, "NSE:NOBODY", "NSE:M&M"])
    assert set(found) == {"NSE:M&M", "NSE:NIFTY 50", cds}
    assert found["NSE:NIFTY 50"] % Decimal("0.05") == 0
    assert found[cds] % Decimal("0.0025") == 0
    assert all(isinstance(price, Decimal) for price in found.values())


def test_many_keys_are_asked_for_in_parts_one_a_second(kite: RestSimulator) -> None:
    time = FakeTime()
    rest = logged_in(kite, time)
    keys = list(kite.service.master.tokens)[:2500]
    before = len(time.waits)
    assert set(rest.ltp(keys)) == set(keys)
    assert [row.path for row in kite.service.served].count("/quote/ltp") == 3
    assert time.waits[before:] == [1.0, 1.0]
    assert rest.ltp([]) == {}


TRANSIENT: list[tuple[RestFault, type[BrokerError]]] = [
    (RestFault.TOO_MANY, RateLimited),
    (RestFault.SERVER, KiteUnavailable),
    (RestFault.AWAY, KiteUnavailable),
    (RestFault.NO_TYPE, KiteUnavailable),
    (RestFault.GATEWAY, BadAnswer),
    (RestFault.EMPTY, BadAnswer),
    (RestFault.TRUNCATE, BadAnswer),
    (RestFault.CUT_GZIP, BadAnswer),
    (RestFault.DROP, KiteUnavailable),
]
LASTING: list[tuple[RestFault, type[BrokerError]]] = [
    (RestFault.REFUSE, AuthRefused),
    (RestFault.INPUT, InputRefused),
    (RestFault.HTML, BadAnswer),
]


@pytest.mark.parametrize(("fault", "kind"), TRANSIENT)
def test_what_may_pass_is_tried_again_and_then_said(
    kite: RestSimulator, fault: RestFault, kind: type[BrokerError]
) -> None:
    time = FakeTime()
    rest = client(kite.root, time=time)
    kite.service.fail_next(fault, 3)
    assert rest.instruments("CDS") == kite.service.master.csv("CDS")
    assert time.waits == [1.0, 2.0, 4.0]
    time.now_s, time.waits = 100.0, []
    kite.service.fail_next(fault, 4)
    with pytest.raises(kind, match="try again later") as caught:
        rest.instruments("CDS")
    assert type(caught.value) is kind
    assert time.waits == [1.0, 2.0, 4.0]
    assert len(kite.service.served) == 8


@pytest.mark.parametrize(("fault", "kind"), LASTING)
def test_a_refusal_and_a_foreign_page_are_said_at_once(
    kite: RestSimulator, fault: RestFault, kind: type[BrokerError]
) -> None:
    time = FakeTime()
    kite.service.fail_next(fault)
    with pytest.raises(kind):
        client(kite.root, time=time).instruments("CDS")
    assert time.waits == []
    assert len(kite.service.served) == 1


def test_every_fault_is_tried() -> None:
    assert {fault for fault, _ in [*TRANSIENT, *LASTING]} | {RestFault.SLOW} == set(RestFault)


def test_an_answer_that_does_not_come_is_a_timeout(kite: RestSimulator) -> None:
    kite.service.fail_next(RestFault.SLOW, 4, seconds=30.0)
    with pytest.raises(KiteUnavailable, match="gave no answer in time"):
        client(kite.root, timeout_s=0.05).instruments("CDS")
    assert len(kite.service.served) == 4


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [(RestFault.TOO_MANY, 4), (RestFault.AWAY, 1), (RestFault.DROP, 1), (RestFault.GATEWAY, 1)],
)
def test_a_login_is_repeated_only_when_kite_has_surely_not_taken_it(
    kite: RestSimulator, fault: RestFault, attempts: int
) -> None:
    kite.service.fail_next(fault, 4)
    with pytest.raises(KiteUnavailable):
        client(kite.root).exchange(kite.account.log_in(KEY), SECRET)
    assert len(kite.service.served) == attempts


def test_waits_are_told_before_they_begin(kite: RestSimulator) -> None:
    told: list[tuple[str, float]] = []
    rest = KiteRest(
        KEY,
        root=kite.root,
        retries=Retries(attempts=3, first_s=1.0),
        on_retry=lambda error, seconds: told.append((type(error).__name__, seconds)),
        sleep=lambda _: None,
        chance=lambda: 1.0,
    )
    kite.service.fail_next(RestFault.TOO_MANY, 2)
    rest.instruments("CDS")
    assert told == [("RateLimited", 1.0), ("RateLimited", 2.0)]


@contextmanager
def answering(answer: bytes | Callable[[str], bytes]) -> Iterator[str]:
    """A server that says one thing to anyone and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = self.rfile.readline().decode()
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer(request) if callable(answer) else answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def http(body: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b"7",
        b'{"user_id": 7}',
        b'{"NSE:INFY": {}}',
        b'{"NSE:INFY": {"last_price": "1"}}',
        b'{"NSE:INFY": {"last_price": NaN}}',
        b'{"NSE:INFY": {"last_price": 1e999}}',
        b'{"NSE:INFY": {"last_price": true}}',
        b'{"access_token": "t", "login_time": 7}',
        b'{"access_token": "t", "user_id": "u", "login_time": "soon"}',
        b'{"access_token": "t t", "user_id": "u", "login_time": "2026-01-05 08:00:00"}',
        b'{"user_id": "u", "login_time": "2026-01-05 08:00:00"}',
    ],
)
def test_data_of_another_shape_is_one_clear_error(data: bytes) -> None:
    with answering(http(b'{"status": "success", "data": ' + data + b"}")) as root:
        calls: list[Callable[[], object]] = [
            client(root, "token").profile,
            lambda: client(root, "token").instruments(),
            lambda: client(root).exchange("request", "secret"),
        ]
        if b"NSE" in data or not data.startswith(b"{"):
            calls.append(lambda: client(root, "token").ltp(["NSE:INFY"]))
        for call in calls:
            try:
                call()
            except (BadAnswer, CredentialsError):
                continue
            assert b'"user_id": "u"' in data, "a profile needs no more than this"


def test_an_answer_is_read_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_transport, "CSV_BYTES_MAX", 1 << 20)
    with (
        answering(http(b"x" * (2 << 20), "text/csv")) as root,
        pytest.raises(BadAnswer, match="larger than 1 MiB"),
    ):
        client(root).instruments()


def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    def answer(request: str) -> bytes:
        seen.append(request)
        return b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    with answering(answer) as root, pytest.raises(BadAnswer, match="HTTP 302"):
        client(root, "token").profile()
    assert len(seen) == 1


@pytest.mark.parametrize(
    "root",
    [
        "http://api.kite.trade",
        "ftp://127.0.0.1",
        "api.kite.trade",
        "https://user:pass@api.kite.trade",
        "https://api.kite.trade/v3",
        "https://api.kite.trade?x=CANARY",
        "https://[::1",
        "http://127.0.0.1:99999",
        "",
    ],
)
def test_an_address_that_would_leak_or_miss_is_refused(root: str) -> None:
    with pytest.raises(EndpointError) as caught:
        KiteRest(KEY, root=root)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("bad", ["a b", "a\nb", "é", "\udcff"])
def test_what_no_header_can_carry_is_refused_without_being_quoted(bad: str) -> None:
    for make in (
        lambda: KiteRest("CANARY" + bad),
        lambda: KiteRest(KEY, "CANARY" + bad),
        lambda: KiteRest(KEY).exchange("CANARY" + bad, SECRET),
        lambda: KiteRest(KEY).exchange("token", "CANARY" + bad),
    ):
        with pytest.raises(CredentialsError, match="copy it again") as caught:
            make()
        assert "CANARY" not in str(caught.value)
    with pytest.raises(CredentialsError, match="KITE_API_SECRET"):
        KiteRest(KEY).exchange("token", "")
