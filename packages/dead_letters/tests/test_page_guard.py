"""What stands before the page: names, origins, sizes, headers, tokens."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_stage import ADDRESS, COOKIE, TOKEN, app_of, browser, make_site
from starlette.testclient import TestClient

from kite_dead_letters.page.access import SESSION_S, SESSIONS_MAX, Access, cookie_name, make_token
from kite_dead_letters.page.guard import BODY_BYTES_MAX, Names, names_of, same_origin

NOWHERE = "postgresql://kite@127.0.0.1:9/kite"
"""Nothing here needs the database."""


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:9480", True),
        ("127.0.0.1", True),
        ("localhost:1", True),
        ("LOCALHOST.:9480", True),
        ("[::1]:9480", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:9480", False),
        ("127.0.0.1@evil.example", False),
        ("evil.example#localhost", False),
        ("127.0.0.1:9480:9480", False),
        ("127.0.0.1:", False),
        ("192.0.2.7:9480", False),
        ("", False),
        ("localhost\tevil", False),
    ],
)
def test_a_local_page_answers_to_local_names_alone(host: str, known: bool) -> None:
    assert names_of("127.0.0.1").has(host) is known
    client = TestClient(app_of(make_site(NOWHERE)), base_url=ADDRESS)
    answer = client.get("/healthz", headers={"Host": host})
    assert answer.status_code == (200 if known else 421)


def test_a_page_for_others_answers_to_addresses_and_to_the_names_given() -> None:
    names = names_of("0.0.0.0", ["Triage.Example.com"])
    for host in ("192.0.2.7:9480", "[2001:db8::1]:9480", "triage.example.com", "localhost:9480"):
        assert names.has(host), host
    assert not names.has("evil.example")
    assert names_of("127.0.0.1", ["triage.example.com"]).has("triage.example.com")


NAMES = ["localhost", "127.0.0.1", "[::1]", "evil.example"]
PIECES = [*NAMES, ":", "9480", "@", ".", "/", "#", "%", "x"]


@given(st.lists(st.sampled_from(PIECES), max_size=5).map("".join))
def test_what_gets_through_is_a_local_name_or_an_address_for_a_url_parser_too(host: str) -> None:
    if Names(any_address=True).has(host):
        name = (urlsplit(f"http://{host}").hostname or "").rstrip(".")
        assert name == "localhost" or ip_address(name)


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("http://127.0.0.1:9480", True),
        ("https://127.0.0.1:9480", True),
        ("http://127.0.0.1:9481", False),
        ("http://127.0.0.1", False),
        ("http://localhost:9480", False),
        ("http://evil.example", False),
        ("http://127.0.0.1:9480@evil.example", False),
        ("null", False),
        ("file://", False),
        ("http://[", False),
        ("", False),
        (None, False),
    ],
)
def test_forms_come_from_the_very_same_place(origin: str | None, same: bool) -> None:
    assert same_origin(origin, "127.0.0.1:9480") is same
    client = browser(make_site(NOWHERE)).log_in().client
    headers = {} if origin is None else {"Origin": origin}
    answer = client.post("/logout", data={"csrf": "wrong"}, headers=headers)
    assert answer.status_code == 403
    assert ("another page" in answer.text) is not same


def test_every_answer_tells_browsers_what_they_may_do() -> None:
    page = browser(make_site(NOWHERE))
    for path in ("/login", "/reasons", "/", "/nothing", "/healthz", "/assets/nothing"):
        headers = page.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
    for asset in make_site(NOWHERE).pages.assets.values():
        answer = page.client.get(asset.address)
        assert answer.content == asset.content
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_comes_from_elsewhere() -> None:
    """No page or asset names another machine."""
    site = make_site(NOWHERE)
    texts = [asset.content.decode() for asset in site.pages.assets.values()]
    texts += [browser(site).get("/login"), browser(site).get("/reasons")]
    for text in texts:
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
        assert " style=" not in text
        assert " onclick=" not in text


def test_forms_are_bounded() -> None:
    page = browser(make_site(NOWHERE)).log_in()
    shown = page.post("/decide", 413, note="x" * BODY_BYTES_MAX)
    assert str(BODY_BYTES_MAX) in shown

    pieces = iter([b"x" * 1000] * 100)
    chunked = page.client.post("/decide", content=pieces, headers={"Origin": ADDRESS})
    assert chunked.status_code == 413
    many = "&".join(f"a{number}=1" for number in range(100))
    for body in (many.encode(), b"a=%ff", b"\xff\xfe"):
        answer = page.client.post("/decide", content=body, headers={"Origin": ADDRESS})
        assert answer.status_code == 400


def test_the_token_opens_a_session_and_stands_nowhere_after() -> None:
    page = browser(make_site(NOWHERE))
    answer = page.client.get(f"/login?token={TOKEN}")
    assert answer.status_code == 200
    assert TOKEN not in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert TOKEN not in cookie
    for flag in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
        assert flag in cookie
    assert "Secure" not in cookie, "over plain HTTP the browser would not keep it"
    assert TOKEN not in page.get("/reasons")
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "\0", "é"):
        refused = browser(make_site(NOWHERE)).client.get("/login", params={"token": wrong})
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers


def test_the_token_may_be_typed() -> None:
    page = browser(make_site(NOWHERE))
    headers = {"Origin": ADDRESS}
    wrong = page.client.post("/login", data={"token": "wrong"}, headers=headers)
    assert wrong.status_code == 403
    assert page.client.post("/login", data={"token": TOKEN}).status_code == 403, "no origin"
    right = page.client.post("/login", data={"token": TOKEN}, headers=headers)
    assert right.status_code == 200
    assert "Log out" in page.get("/reasons")


def test_behind_tls_the_cookie_is_for_tls_alone() -> None:
    client = TestClient(app_of(make_site(NOWHERE)), base_url="https://127.0.0.1:9480")
    assert "Secure" in client.get(f"/login?token={TOKEN}").headers["set-cookie"]


def test_sessions_end() -> None:
    access = Access(TOKEN, "asha")
    first = access.log_in(TOKEN, 0.0)
    assert first is not None
    assert access.find(first.key, SESSION_S - 1) is first
    assert access.find(first.key, SESSION_S) is None
    assert access.find(first.key, 0.0) is None, "ended for good"
    assert access.log_in("", 0.0) is None
    second = access.log_in(TOKEN, 0.0)
    assert second is not None
    assert second.key != first.key
    access.log_out(second.key)
    assert access.find(second.key, 0.0) is None
    oldest = access.log_in(TOKEN, 0.0)
    assert oldest is not None
    others = [access.log_in(TOKEN, 0.0) for _ in range(SESSIONS_MAX)]
    assert access.find(oldest.key, 0.0) is None
    assert all(each is not None and access.find(each.key, 0.0) is each for each in others)
    assert first.key not in repr(first)


def test_tokens_cannot_be_guessed_and_cookies_are_apart_by_port() -> None:
    tokens = {make_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32
    assert cookie_name(9480) != cookie_name(9481)
