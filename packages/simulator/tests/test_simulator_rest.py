"""The official client runs unchanged against the REST simulator; its master is like a real one."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteConnect  # type: ignore[import-untyped]
from kiteconnect import exceptions as official

from kite_broker_zerodha.packets import Segment, price_scale_of, segment_of
from kite_simulator import Account, RestFault, RestOptions, RestSimulator, ScriptError
from kite_simulator.market import Market
from kite_simulator.master import COLUMNS, build_master
from kite_simulator.rest import RestRequest
from kite_simulator.rest_faults import RestAnswer, parse_rest_script, spoilt
from kite_simulator.symbols import contract_name, monthlies, weeklies

NOW = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
DAY = date(2026, 1, 5)


@pytest.fixture()
def kite() -> Iterator[RestSimulator]:
    with RestSimulator(RestOptions(day=DAY), Account("key", "secret"), now=lambda: NOW) as kite:
        yield kite


def official_client(kite: RestSimulator) -> KiteConnect:
    client = KiteConnect("key", root=kite.root, timeout=10)
    client.reqsession.trust_env = False  # no proxy between here and here
    return client


def test_the_official_client_logs_in_asks_and_logs_out(kite: RestSimulator) -> None:
    client = official_client(kite)
    session = client.generate_session(kite.account.log_in("key"), "secret")
    assert session["user_id"] == client.profile()["user_id"] == "SIM001"
    assert session["login_time"] == datetime(2026, 1, 5, 8, 30)  # naive, Kite's own clock
    rows = client.instruments("NFO")
    assert {row["exchange"] for row in rows} == {"NFO"}
    assert {type(row["expiry"]) for row in rows} == {date}
    assert len(client.instruments()) > 2000
    prices = client.ltp("NSE:NIFTY 50", "NSE:M&M", "NSE:NOBODY")
    assert set(prices) == {"NSE:NIFTY 50", "NSE:M&M"}
    assert prices["NSE:NIFTY 50"]["instrument_token"] == 256265
    assert client.invalidate_access_token() is True
    with pytest.raises(official.TokenException) as caught:
        client.profile()
    assert caught.value.code == 403


def test_the_official_client_sees_kites_errors(kite: RestSimulator) -> None:
    client = official_client(kite)
    with pytest.raises(official.TokenException, match="invalid or has expired"):
        client.generate_session("never-issued", "secret")
    token = kite.account.log_in("key")
    with pytest.raises(official.TokenException, match="checksum"):
        client.generate_session(token, "wrong")
    client.generate_session(token, "secret")
    with pytest.raises(official.TokenException, match="invalid or has expired"):
        client.generate_session(token, "secret")
    with pytest.raises(official.InputException):
        client.instruments("NOWHERE")
    expected = {
        RestFault.TOO_MANY: (official.NetworkException, "Too many requests"),
        RestFault.GATEWAY: (official.DataException, "Unknown Content-Type"),
        RestFault.NO_TYPE: (TypeError, "attribute name must be string"),
        RestFault.SERVER: (official.GeneralException, "unexpected"),
    }
    for fault, (kind, text) in expected.items():
        kite.service.fail_next(fault)
        with pytest.raises(kind, match=text):
            client.profile()


def test_prices_are_those_of_the_market(kite: RestSimulator) -> None:
    client = official_client(kite)
    client.generate_session(kite.account.log_in("key"), "secret")
    keys = list(kite.service.master.tokens.items())[::100]
    market = Market(1)
    market.add([token for _, token in keys])
    prices = client.ltp([key for key, _ in keys])
    for key, token in keys:
        raw = Decimal(market.last_price(token)).scaleb(-price_scale_of(token))
        assert Decimal(str(prices[key]["last_price"])) == raw


def test_the_master_is_like_a_real_one() -> None:
    rows = build_master(1, DAY)
    assert 2000 < len(rows) < 6000
    assert len({row.instrument_token for row in rows}) == len(rows)
    assert len({(row.exchange, row.tradingsymbol) for row in rows}) == len(rows)
    exchanges = Counter(row.exchange for row in rows)
    assert set(exchanges) == {"NSE", "BSE", "NFO", "BFO", "CDS", "MCX"}
    assert min(exchanges[name] for name in ("NSE", "NFO", "BFO", "CDS", "MCX")) > 100
    for row in rows:
        segment = Segment(segment_of(row.instrument_token))
        assert row.segment.split("-")[0] == segment.name
        assert (row.expiry is not None) == (row.instrument_type != "EQ")
        assert (row.strike > 0) == (row.instrument_type in ("CE", "PE"))
        assert row.expiry is None or row.expiry >= DAY
        assert row.instrument_token < 2**31
    symbols = " ".join(row.tradingsymbol for row in rows)
    assert all(odd in symbols for odd in ("M&M", "BAJAJ-AUTO", "NIFTY 50", "SIM000-BE"))
    assert any(row.strike % 1 for row in rows)
    by_symbol = {row.tradingsymbol: row for row in rows}
    assert by_symbol["NIFTY26JANFUT"].expiry == date(2026, 1, 27)
    assert by_symbol["NIFTY 50"].tick_size == 0


def test_strikes_lie_around_the_price() -> None:
    spot = Decimal(Market(1).last_price(256265)) / 100
    strikes = {row.strike for row in build_master(1, DAY) if row.name == "NIFTY" and row.strike > 0}
    assert len([strike for strike in strikes if strike < spot]) >= 20
    assert len([strike for strike in strikes if strike > spot]) >= 20


@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)), st.integers(0, 6), st.integers(1, 9))
def test_expiries_come_in_order_and_are_named_apart(day: date, weekday: int, count: int) -> None:
    weeks, months = weeklies(day, weekday, count), monthlies(day, weekday, count)
    for found in (weeks, months):
        assert found == sorted(set(found))
        assert len(found) == count
        assert all(each.weekday() == weekday and each >= day for each in found)
    every = {*weeks, *months}
    assert len({contract_name("NIFTY", each, "FUT") for each in every}) == len(every)
    assert len({each.month for each in months[:12]}) == min(count, 12)


def test_names_are_kites() -> None:
    assert contract_name("NIFTY", date(2026, 8, 18), "24350CE") == "NIFTY2681824350CE"
    assert contract_name("NIFTY", date(2026, 8, 25), "24350CE") == "NIFTY26AUG24350CE"
    assert contract_name("SENSEX", date(2026, 10, 8), "80000PE") == "SENSEX26O0880000PE"


def test_the_same_seed_and_day_list_the_same_and_symbols_keep_their_tokens() -> None:
    first, again, later = (build_master(3, day) for day in (DAY, DAY, date(2026, 1, 20)))
    assert first == again
    tokens = {(row.exchange, row.tradingsymbol): row.instrument_token for row in first}
    common = [row for row in later if (row.exchange, row.tradingsymbol) in tokens]
    same = [
        row for row in common if tokens[row.exchange, row.tradingsymbol] == row.instrument_token
    ]
    assert len(common) > 500
    assert len(same) > 0.95 * len(common)
    assert {row.tradingsymbol for row in later} - {row.tradingsymbol for row in first}


def test_a_file_is_served_as_it_is(tmp_path: Path) -> None:
    head = ",".join(COLUMNS) + "\r\n"
    lines = ['257,1,A&B,"A, B",0,,0,0.05,1,EQ,NSE,NSE\r\n', "x,1,BAD\r\n"]
    path = tmp_path / "dump.csv.gz"
    path.write_bytes(gzip.compress((head + "".join(lines)).encode()))
    options = RestOptions(master_file=path)
    with RestSimulator(options, Account("key", open_until_login=True)) as kite:
        assert kite.service.master.csv() == (head + "".join(lines)).encode()
        assert kite.service.master.csv("NSE") == (head + lines[0]).encode()
        client = official_client(kite)
        client.set_access_token("anything")
        assert set(client.ltp("NSE:A&B", "NSE:BAD")) == {"NSE:A&B"}


def test_a_dead_token_is_refused_where_no_token_would_do(kite: RestSimulator) -> None:
    client = official_client(kite)
    assert client.instruments("CDS")
    client.set_access_token("dead")
    with pytest.raises(official.TokenException):
        client.instruments("CDS")


def test_six_in_the_morning_ends_everything(kite: RestSimulator) -> None:
    client = official_client(kite)
    pending = kite.account.log_in("key")
    client.generate_session(kite.account.log_in("key"), "secret")
    kite.account.expire()
    with pytest.raises(official.TokenException):
        client.profile()
    with pytest.raises(official.TokenException):
        client.generate_session(pending, "secret")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/orders"),
        ("PUT", "/session/token"),
        ("GET", "/instruments/NFO/x"),
        ("POST", "/session/token"),
        ("DELETE", "/session/token"),
        ("GET", "/quote/ltp"),
        ("GET", "/connect/login"),
        ("GET", "/user/profile"),
        ("GET", "//[::1"),
    ],
)
def test_a_request_that_makes_no_sense_is_a_kite_error(
    kite: RestSimulator, method: str, target: str
) -> None:
    answer = kite.service.answer(RestRequest(method, target), NOW)
    assert answer.status in (400, 403, 404)
    assert b'"status": "error"' in answer.body


def test_the_script_names_requests_and_how_many() -> None:
    script = parse_rest_script("3 429 2  # twice\n1 slow 0.5; 9 truncate\n")
    assert [(each.at_request, each.kind, each.count) for each in script] == [
        (1, RestFault.SLOW, 1),
        (3, RestFault.TOO_MANY, 2),
        (9, RestFault.TRUNCATE, 1),
    ]
    assert [number for number in range(1, 12) if script[1].hits(number)] == [3, 4]
    with RestSimulator(RestOptions(script=script)) as kite:
        statuses = [
            kite.service.answer(RestRequest("GET", "/instruments/CDS"), NOW).status
            for _ in range(5)
        ]
    assert statuses == [200, 200, 429, 429, 200]


@pytest.mark.parametrize(
    "line", ["x 429", "1", "1 999", "0 429", "1 429 2 3", "1 429 1.5", "1 429 -1", "1 slow 1e9"]
)
def test_a_script_that_cannot_be_read_quotes_the_line(line: str) -> None:
    with pytest.raises(ScriptError, match=line.replace(".", r"\.")):
        parse_rest_script(line)


def test_every_fault_does_something() -> None:
    good = RestAnswer(200, "text/csv", b"a,b\n1,2\n")
    for kind in RestFault:
        assert spoilt(parse_rest_script(f"1 {kind}")[0], good) != good


def test_the_csv_has_kites_columns(kite: RestSimulator) -> None:
    text = kite.service.master.csv().decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        assert int(row["instrument_token"]) >> 8 == int(row["exchange_token"])
        assert row["last_price"] == "0"
    assert '"MAHINDRA & MAHINDRA"' in text
