"""``auth`` in processes: login, status, logout, the token file; and no secret is shown."""

from __future__ import annotations

import json
import re
import stat
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kite_broker_zerodha.auth.grant import Grant
from kite_broker_zerodha.auth.token_file import write_token
from kite_runtime.secrets import Secret
from kite_runtime.testing import SECRETS, Place, traces
from kite_simulator import RestFault, RestSimulator


@pytest.fixture()
def door(bare: Place, kite: RestSimulator) -> Place:
    """A place with a simulated Kite and no database."""
    bare.env |= {
        "KITE_API_URL": kite.root,
        "KITE_LOGIN_URL": kite.login_page,
        "KITE_API_KEY": "dummy",
        "KITE_API_SECRET": "dummy",
    }
    return bare


def token_file(place: Place, minted: datetime, token: str = "tokentoken") -> Path:
    path = place.folder / "token.json"
    write_token(path, Grant("dummy", Secret(token), "AB1234", "A Trader", minted))
    return path


def test_the_login_in_two_commands(door: Place, kite: RestSimulator) -> None:
    page = door("auth", "url")
    assert page.code == 0
    assert page.stdout == f"{kite.login_page}?v=3&api_key=dummy\n"
    with urllib.request.urlopen(page.stdout.strip()) as answer:
        request_token = answer.read().decode().strip().partition("=")[2]
    done = door("auth", "exchange", request_token)
    assert done.code == 0, done.stderr
    assert done.stdout.startswith("logged in as SIM001 (Simulated Trader), until ")
    path = door.folder / "token.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_text())
    assert kite.account.holds("dummy", content["access_token"])
    assert content["access_token"] not in done.stdout + done.stderr
    alive = door("auth", "status")
    assert re.search(r"user: +SIM001 Simulated Trader\n", alive.stdout)
    assert re.search(r"left: +\d+ h \d\d min\n", alive.stdout)
    assert "state:      alive" in alive.stdout
    twice = door("auth", "exchange", request_token)
    assert twice.code == 1
    assert "log in again" in twice.sentence
    assert json.loads(path.read_text()) == content


@pytest.mark.parametrize("way", ["address", "stdin"])
def test_what_is_pasted_may_be_the_whole_address(
    door: Place, kite: RestSimulator, way: str
) -> None:
    token = kite.account.log_in("dummy")
    address = f"https://127.0.0.1/?action=login&status=success&request_token={token}&type=login"
    done = (
        door("auth", "exchange", address)
        if way == "address"
        else door("auth", "exchange", "-", stdin=f"{address}\n")
    )
    assert done.code == 0, done.stderr


def test_the_login_in_one_command(door: Place, kite: RestSimulator) -> None:
    running = door.start("auth", "login", "--port", "0", "--no-browser")
    running.until(lambda: "waiting for the login at" in running.stderr, "address")
    port = re.search(r"http://127\.0\.0\.1:(\d+)/", running.stderr)
    assert port is not None
    kite.service._redirect_url = port[0]
    with urllib.request.urlopen(running.stdout.strip()) as answer:
        assert b"Logged in" in answer.read()
    done = running.finish()
    assert done.code == 0, done.stderr
    assert "logged in as SIM001" in done.stdout


@pytest.mark.parametrize(
    ("left", "code", "state"),
    [
        (timedelta(hours=5), 0, "alive"),
        (timedelta(minutes=30), 3, "alive"),
        (timedelta(minutes=-1), 1, "dead"),
    ],
)
def test_status_by_the_times(door: Place, left: timedelta, code: int, state: str) -> None:
    path = token_file(door, datetime.now(UTC))
    content = json.loads(path.read_text())
    content["expires_at"] = (datetime.now(UTC) + left).isoformat()
    path.write_text(json.dumps(content))
    done = door("auth", "status", "--offline", "--json")
    assert done.code == code, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["state"], facts["user_id"]) == (state, "AB1234")
    assert abs(facts["left_s"] - left.total_seconds()) < 60


def test_status_asks_kite(door: Place, kite: RestSimulator) -> None:
    token_file(door, datetime.now(UTC))
    dead = door("auth", "status")
    assert dead.code == 1
    assert "state:      dead" in dead.stdout
    assert dead.sentence.startswith("Kite refuses the token: log in again")
    kite.service.fail_next(RestFault.AWAY, 9)
    away = door("auth", "status")
    assert away.code == 75
    assert "--offline judges by the times" in away.sentence
    assert "state:      unknown" in away.stdout
    assert door("auth", "status", "--offline").code in (0, 3)


def test_status_of_the_variable(door: Place, kite: RestSimulator) -> None:
    token = kite.account.log_in("dummy")
    door("auth", "exchange", token)
    minted = json.loads(door.read("token.json"))["access_token"]
    (door.folder / "token.json").unlink()
    done = door("auth", "status", KITE_ACCESS_TOKEN=minted)
    assert done.code == 0
    assert "token from: KITE_ACCESS_TOKEN" in done.stdout
    assert "expires:    not known" in done.stdout


def test_logout_ends_the_token_and_the_file(door: Place, kite: RestSimulator) -> None:
    door("auth", "exchange", kite.account.log_in("dummy"))
    minted = json.loads(door.read("token.json"))["access_token"]
    done = door("auth", "logout")
    assert done.code == 0
    assert not kite.account.holds("dummy", minted)
    assert not (door.folder / "token.json").exists()
    nobody = door("auth", "logout")
    assert nobody.code == 1
    assert nobody.sentence.startswith("not logged in")


BAD = [
    (("auth", "url"), {"KITE_API_KEY": ""}, 78, "KITE_API_KEY is not set"),
    (("auth", "exchange", "abc"), {"KITE_API_SECRET": ""}, 78, "KITE_API_SECRET is not set"),
    (("auth", "login"), {"KITE_API_SECRET": ""}, 78, "KITE_API_SECRET is not set"),
    (("auth", "exchange", "not a token"), {}, 2, "neither a request token nor an address"),
    (("auth", "exchange", "-"), {}, 2, "neither a request token nor an address"),
    (("auth", "exchange", "abc"), {}, 1, "log in again"),
    (
        ("auth", "exchange", "abc"),
        {"KITE_API_URL": "http://127.0.0.1:9"},
        75,
        "refuses connections",
    ),
    (("auth", "exchange", "abc"), {"KITE_API_URL": "http://example.com"}, 78, "in clear"),
    (
        ("auth", "url"),
        {"KITE_LOGIN_URL": "http://example.com"},
        78,
        "KITE_LOGIN_URL would send the API key",
    ),
    (("auth", "status"), {}, 1, "not logged in"),
    (("auth", "exchange"), {}, 2, "Missing argument"),
    (("auth", "login", "--port", "70000"), {}, 2, "'--port'"),
    (("auth", "login", "--no-browser", "--port", "0", "--wait", "1"), {}, 1, "within 1 s"),
]


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"), BAD, ids=[f"{each[0][1]} {each[3]}" for each in BAD]
)
def test_bad_input(
    door: Place, arguments: tuple[str, ...], env: dict[str, str], code: int, says: str
) -> None:
    done = door(*arguments, **env)
    assert done.code == code, done.stderr
    assert says in done.sentence
    assert not (door.folder / "token.json").exists()


def test_a_token_file_that_others_can_read_is_refused(door: Place) -> None:
    token_file(door, datetime.now(UTC)).chmod(0o644)
    done = door("auth", "status", "--offline")
    assert done.code == 78
    assert "is open to others (mode 0644): chmod 600" in done.sentence


def test_no_secret_is_shown(door: Place) -> None:
    token_file(door, datetime.now(UTC), SECRETS["KITE_ACCESS_TOKEN"])
    for command in (("status",), ("status", "--json"), ("exchange", "abc"), ("logout",)):
        done = door("auth", *command, "--debug", **SECRETS)
        assert traces(done.stdout + done.stderr) == []
