"""Where the token comes from; every refusal is one sentence, and none shows a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kite_broker_zerodha.auth.token_file import StoredToken
from kite_broker_zerodha.errors import CredentialsError, NotLoggedIn
from kite_broker_zerodha.session.credentials import (
    Credentials,
    FixedCredentials,
    TokenFile,
)
from kite_broker_zerodha.settings import KiteUser
from kite_runtime.secrets import Secret


def write(path: Path, content: object, mode: int = 0o600) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = write(tmp_path / "token.json", {"api_key": "key", "access_token": "one"})
    source = TokenFile(path)
    assert source.load() == Credentials("key", "one")
    write(path, {"access_token": "two"})
    assert TokenFile(path, api_key="other").load() == Credentials("other", "two")
    with pytest.raises(CredentialsError, match="KITE_API_KEY"):
        source.load()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "t", {"api_key": "k", "access_token": "CANARY"}, mode)
    with pytest.raises(CredentialsError, match=f"mode {mode:04o}.*chmod 600") as caught:
        TokenFile(path).load()
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "CANARY",
        '{"access_token": "CANARY"',
        "[" * 100_000,
        '"CANARY"',
        {"api_key": "CANARY"},
        {"api_key": "k", "access_token": ["CANARY"]},
        {"api_key": "k", "access_token": ""},
        {"api_key": ["CANARY"], "access_token": "CANARY"},
        {"api_key": "k", "access_token": "CANARY" * 20_000},
    ],
)
def test_a_damaged_file_is_one_sentence_and_does_not_quote_itself(
    tmp_path: Path, content: object
) -> None:
    with pytest.raises(CredentialsError) as caught:
        TokenFile(write(tmp_path / "t", content)).load()
    assert str(tmp_path) in str(caught.value)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="absent.*cannot be read: No such file"):
        TokenFile(tmp_path / "absent").load()


def test_the_file_of_the_day_wins_over_the_variable_and_is_read_at_each_call(
    tmp_path: Path,
) -> None:
    settings = KiteUser.load(tmp_path, {"KITE_API_KEY": "k", "KITE_ACCESS_TOKEN": "variable"})
    assert settings.token_of_day() == StoredToken("k", Secret("variable"))
    write(tmp_path / "token.json", {"access_token": "file", "user_id": "AB1234"})
    assert settings.token_of_day() == StoredToken("k", Secret("file"), "AB1234")
    write(tmp_path / "token.json", {})
    with pytest.raises(CredentialsError, match="access_token"):
        settings.token_of_day()


@pytest.mark.parametrize(
    ("env", "error", "sentence"),
    [
        ({}, NotLoggedIn, "there is no token.json and no KITE_ACCESS_TOKEN; run `instruments auth"),
        ({"KITE_API_KEY": "k"}, NotLoggedIn, "not logged in at Kite"),
        ({"KITE_ACCESS_TOKEN": "CANARY"}, CredentialsError, "KITE_API_KEY is not set: put the key"),
    ],
)
def test_a_missing_token_or_key_is_named(
    tmp_path: Path, env: dict[str, str], error: type[CredentialsError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        KiteUser.load(tmp_path, env).token_of_day()
    assert "CANARY" not in str(caught.value)


def test_nothing_shows_the_secrets(tmp_path: Path) -> None:
    credentials = Credentials("CANARY1", "CANARY2")
    shown = [repr(credentials), str(credentials), f"{credentials.access_token}"]
    shown += [repr(FixedCredentials("CANARY1", "CANARY2")), repr(TokenFile(tmp_path, "CANARY1"))]
    assert not [text for text in shown if "CANARY" in text]
    assert credentials != Credentials("CANARY1", "other")
    assert hash(credentials) == hash(Credentials("CANARY1", "CANARY2"))
