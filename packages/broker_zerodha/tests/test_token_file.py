"""The token file: whole, private, read back as written; and when a token dies."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.auth.grant import Grant, expires_at, may_die_early
from kite_broker_zerodha.auth.token_file import (
    is_private,
    read_token,
    remove_token,
    write_token,
)
from kite_broker_zerodha.errors import CredentialsError
from kite_broker_zerodha.session.credentials import Credentials, TokenFile
from kite_runtime.clock import IST
from kite_runtime.secrets import Secret

MINTED = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
TOKENS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def grant(token: str = "CANARYtoken", minted: datetime = MINTED) -> Grant:
    return Grant("CANARYkey", Secret(token), "AB1234", "Asha Rao", minted)


@given(TOKENS, TOKENS, st.text(), st.text(), INSTANTS)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    key: str,
    token: str,
    user: str,
    name: str,
    minted: datetime,
) -> None:
    path = tmp_path_factory.mktemp("t") / "token.json"
    written = Grant(key, Secret(token), user, name, minted)
    write_token(path, written)
    found = read_token(path)
    assert (found.api_key, found.access_token.reveal()) == (key, token)
    assert (found.user_id, found.user_name) == (user, name)
    assert (found.minted_at, found.expires_at) == (minted, written.expires_at)
    assert TokenFile(path).load() == Credentials(key, token)


def test_nobody_else_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "new" / "token.json"
        write_token(path, grant())
        write_token(path, grant("second"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["token.json"]
    assert read_token(path).access_token.reveal() == "second"


def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text("{}")
    path.chmod(0o644)
    write_token(path, grant())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "token.json"
    other.write_text("mine")
    path.symlink_to(other)
    write_token(path, grant())
    assert other.read_text() == "mine"
    assert not path.is_symlink()


def test_the_api_secret_has_no_place_in_it(tmp_path: Path) -> None:
    write_token(tmp_path / "t", grant())
    assert set(json.loads((tmp_path / "t").read_text())) == {
        *("access_token", "api_key", "user_id", "user_name", "login_time", "expires_at")
    }


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, stop = tmp_path / "t", Event()
    names = {"a" * 10, "b" * 40_000}
    write_token(path, grant("a" * 10))

    def write() -> None:
        while not stop.is_set():
            for name in names:
                write_token(path, grant(name))

    thread = Thread(target=write)
    thread.start()
    try:
        seen = {read_token(path).access_token.reveal() for _ in range(500)}
    finally:
        stop.set()
        thread.join()
    assert seen <= names


def test_what_cannot_be_written_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "taken", tmp_path / "file" / "token.json"):
        with pytest.raises(CredentialsError, match="cannot be written: ") as caught:
            write_token(place, grant())
        assert "CANARY" not in str(caught.value)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CredentialsError, match="No space left"):
        write_token(tmp_path / "token.json", grant())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "taken"]


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "private"),
    [
        (0o600, 1000, 1000, True),
        (0o400, 1000, 1000, True),
        (0o440, 0, 2000, True),  # a secret that Kubernetes mounts for the group 2000
        (0o440, 0, 3000, False),
        (0o440, 1000, 2000, False),
        (0o460, 0, 2000, False),
        (0o640, 0, 2000, False),
        (0o444, 0, 2000, False),
        (0o604, 0, 2000, False),
    ],
)
def test_who_may_read_it(mode: int, uid: int, gid: int, private: bool) -> None:
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, uid, gid, 9, 0, 0, 0))
    assert is_private(status, {1000, 2000}) is private


@pytest.mark.parametrize("value", ["\\ud800", "a b\\n", "\\u0000", "t\\u00f6ken"])
def test_a_token_with_characters_that_no_token_has_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "token.json"
    path.write_text(f'{{"access_token": "{value}", "api_key": "key"}}')
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match="characters in its access_token") as caught:
        read_token(path)
    assert "ken" not in str(caught.value).replace("token", "")
    path.write_text(f'{{"access_token": "abc", "api_key": "{value}"}}')
    with pytest.raises(CredentialsError, match="characters in its api_key"):
        read_token(path)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    os.mkfifo(path, 0o600)
    with pytest.raises(CredentialsError, match="no regular file"):
        read_token(path)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(CredentialsError, match="no regular file"):
        read_token(device)


def test_logging_out_removes_it_once(tmp_path: Path) -> None:
    write_token(tmp_path / "t", grant())
    assert remove_token(tmp_path / "t")
    assert not remove_token(tmp_path / "t")
    with pytest.raises(CredentialsError, match="cannot be removed"):
        remove_token(tmp_path)
    with pytest.raises(CredentialsError, match="cannot be read"):
        read_token(tmp_path / "t")


@pytest.mark.parametrize(
    ("login_time", "minted"),
    [
        ('"2026-01-05 08:30:00"', MINTED),  # as Kite writes it
        ('"2026-01-05T08:30:00+05:30"', MINTED),
        ('"2026-01-05T03:00:00Z"', MINTED),
        ('"soon"', None),
        ("7", None),
        ("null", None),
    ],
)
def test_a_file_made_by_hand_may_know_less(
    tmp_path: Path, login_time: str, minted: datetime | None
) -> None:
    path = tmp_path / "t"
    path.write_text(f'{{"access_token": "x", "login_time": {login_time}}}')
    path.chmod(0o600)
    found = read_token(path, api_key="k")
    assert (found.minted_at, found.user_id) == (minted, "")
    assert found.expires_at == (expires_at(minted) if minted else None)


@pytest.mark.parametrize(
    ("minted", "death"),
    [
        ("2026-01-05 08:30:00", "2026-01-06 06:00:00"),
        ("2026-01-05 05:59:59", "2026-01-05 06:00:00"),
        ("2026-01-05 06:00:00", "2026-01-06 06:00:00"),
        ("2026-01-05 23:59:59", "2026-01-06 06:00:00"),
        ("2025-12-31 12:00:00", "2026-01-01 06:00:00"),
    ],
)
def test_a_token_dies_at_six_in_the_morning_in_india(minted: str, death: str) -> None:
    local = datetime.fromisoformat(minted).replace(tzinfo=IST)
    for zone in (IST, UTC):
        assert expires_at(local.astimezone(zone)) == datetime.fromisoformat(death).replace(
            tzinfo=IST
        )


@given(INSTANTS)
def test_every_token_lives_at_most_a_day(minted: datetime) -> None:
    death = expires_at(minted)
    assert timedelta(0) < death - minted <= timedelta(days=1)
    assert death.tzinfo is UTC
    assert (death + timedelta(hours=5, minutes=30)).strftime("%H%M%S%f") == "060000000000"


def test_a_naive_time_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="aware"):
        expires_at(datetime(2026, 1, 5, 8, 30))


@pytest.mark.parametrize(
    ("clock", "early"), [("05:59", False), ("06:00", True), ("07:34", True), ("07:35", False)]
)
def test_a_token_minted_before_0735_may_die_the_same_morning(clock: str, early: bool) -> None:
    minted = datetime.fromisoformat(f"2026-01-05T{clock}:00+05:30")
    assert may_die_early(minted) == early


def test_nothing_shows_the_secrets(tmp_path: Path) -> None:
    write_token(tmp_path / "t", grant())
    for shown in (repr(grant()), str(grant()), repr(read_token(tmp_path / "t"))):
        assert "CANARY" not in shown
