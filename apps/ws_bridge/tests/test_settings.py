"""Every wrong setting is one sentence that names variable, problem and example; no secret leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kite_broker_zerodha.errors import CredentialsError
from kite_live_feed.errors import JournalFull, MissingCredentials
from kite_live_feed.options import GroupSetup, JournalOptions
from kite_runtime.errors import ConfigurationError, PortTaken, SettingError, exit_code_of
from kite_ws_bridge.settings import BridgeSettings

SECRET = "s3cr3t-value"
MIB = 1024 * 1024


def test_the_defaults(tmp_path: Path) -> None:
    settings = BridgeSettings.load(tmp_path, {})
    assert settings.name == "kite"
    assert settings.endpoint == "wss://ws.kite.trade"
    assert settings.token_file == tmp_path / "token.json"
    assert settings.tokens_file == tmp_path / "configs" / "tokens.csv"
    assert settings.universe_files == ()
    assert settings.journal_dir.parts[-3:] == ("kite-ingest", "journal", "kite")
    assert settings.journal == JournalOptions()
    assert settings.port == 9464
    assert settings.drain_s == 10.0
    assert settings.kafka is None
    assert settings.shards is None


def test_what_is_set_counts(tmp_path: Path) -> None:
    settings = BridgeSettings.load(
        tmp_path,
        {
            "WS_BRIDGE_NAME": "second",
            "KITE_WS_URL": "ws://127.0.0.1:8123/",
            "KITE_TOKEN_FILE": "/secrets/token.json",
            "WS_BRIDGE_TOKENS": "my.csv",
            "WS_BRIDGE_UNIVERSE": "configs/universe_a.csv, /b.csv,",
            "WS_BRIDGE_JOURNAL_SEGMENT_BYTES": "8MiB",
            "WS_BRIDGE_JOURNAL_MAX_BYTES": "1G",
            "WS_BRIDGE_JOURNAL_RETAIN": "90m",
            "WS_BRIDGE_JOURNAL_SYNC": "200ms",
            "WS_BRIDGE_PORT": "0",
            "WS_BRIDGE_DRAIN": "2.5",
            "WS_BRIDGE_SHARDS": "4",
            "WS_BRIDGE_SHARD_TIMEOUT": "10s",
            "WS_BRIDGE_CONNECTIONS": "2",
            "KAFKA_BOOTSTRAP": "127.0.0.1:9092",
        },
    )
    assert settings.endpoint == "ws://127.0.0.1:8123/"
    assert settings.token_file == Path("/secrets/token.json")
    assert settings.tokens_file == tmp_path / "my.csv"
    assert settings.universe_files == (tmp_path / "configs/universe_a.csv", Path("/b.csv"))
    assert settings.journal_dir.parts[-3:] == ("kite-ingest", "journal", "second")
    assert settings.journal == JournalOptions(8 * MIB, 1024 * MIB, 5400.0, 0.2)
    assert (settings.port, settings.drain_s) == (0, 2.5)
    assert settings.shards == GroupSetup(4, "ws_bridge.second", 10.0, 2)
    assert settings.require_kafka().bootstrap == "127.0.0.1:9092"


@pytest.mark.parametrize("sync", ["never", "always"])
def test_sync_by_name(tmp_path: Path, sync: str) -> None:
    assert BridgeSettings.load(tmp_path, {"WS_BRIDGE_JOURNAL_SYNC": sync}).journal.sync == sync


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_value_is_not_set(tmp_path: Path, value: str) -> None:
    env = {"WS_BRIDGE_PORT": value, "KAFKA_BOOTSTRAP": value, "WS_BRIDGE_NAME": value}
    settings = BridgeSettings.load(tmp_path, env)
    assert (settings.port, settings.name, settings.kafka) == (9464, "kite", None)


def test_files_are_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".infra").mkdir()
    (tmp_path / ".env").write_text("WS_BRIDGE_NAME=file\nWS_BRIDGE_PORT=1\n")
    (tmp_path / ".infra" / ".env").write_text("WS_BRIDGE_PORT=2\nWS_BRIDGE_DRAIN=3\n")
    settings = BridgeSettings.load(tmp_path, {"WS_BRIDGE_DRAIN": "4"})
    assert (settings.name, settings.port, settings.drain_s) == ("file", 2, 4.0)


WRONG = [
    ("WS_BRIDGE_NAME", "a/b", "'a/b'"),
    ("WS_BRIDGE_NAME", "..", "'..'"),
    ("WS_BRIDGE_PORT", "http", "no whole number from 0 to 65535"),
    ("WS_BRIDGE_PORT", "65536", "no whole number"),
    ("WS_BRIDGE_PORT", "-1", "no whole number"),
    ("WS_BRIDGE_PORT", "٣", "no whole number"),
    ("WS_BRIDGE_DRAIN", "soon", "no time from 0 to 3600 seconds"),
    ("WS_BRIDGE_DRAIN", "nan", "no time"),
    ("WS_BRIDGE_DLQ_ALARM_SHARE", "1", "no share above 0% and up to 100%"),
    ("WS_BRIDGE_DLQ_ALARM_SHARE", "0.0%", "no share"),
    ("WS_BRIDGE_DLQ_ALARM_SHARE", "101%", "no share"),
    ("WS_BRIDGE_DLQ_ALARM_WINDOW", "0s", "no time"),
    ("WS_BRIDGE_DLQ_ALARM_LEAST", "0", "no whole number"),
    ("WS_BRIDGE_SHARDS", "0", "no whole number from 1 to 16"),
    ("WS_BRIDGE_SHARDS", "17", "no whole number from 1 to 16"),
    ("WS_BRIDGE_SHARD_GROUP", "a b", "'a b'"),
    ("WS_BRIDGE_SHARD_TIMEOUT", "5s", "no time from 6 to 300 seconds"),
    ("WS_BRIDGE_CONNECTIONS", "4", "no whole number from 1 to 3"),
    ("WS_BRIDGE_JOURNAL_SEGMENT_BYTES", "12parsec", "no size"),
    ("WS_BRIDGE_JOURNAL_SEGMENT_BYTES", "1k", "no size"),
    ("WS_BRIDGE_JOURNAL_MAX_BYTES", "100M", "less than two journal segments"),
    ("WS_BRIDGE_JOURNAL_RETAIN", "-1h", "no time"),
    ("WS_BRIDGE_JOURNAL_SYNC", "sometimes", "no time"),
    ("KITE_WS_URL", "https://ws.kite.trade", "no wss:// address"),
    ("KITE_WS_URL", "wss://[oops", "no wss:// address"),
    ("KITE_WS_URL", "wss://ws.kite.trade:99999", "no wss:// address"),
    ("KITE_WS_URL", "ws://ws.kite.trade", "without encryption"),
    ("KITE_WS_URL", f"wss://ws.kite.trade?access_token={SECRET}", "more than host, port and path"),
    ("KITE_WS_URL", f"wss://me:{SECRET}@ws.kite.trade", "more than host, port and path"),
]


@pytest.mark.parametrize(("variable", "value", "problem"), WRONG)
def test_a_wrong_value_is_one_sentence(
    tmp_path: Path, variable: str, value: str, problem: str
) -> None:
    env = {variable: value, "KITE_ACCESS_TOKEN": SECRET, "KITE_API_SECRET": SECRET}
    with pytest.raises(SettingError) as caught:
        BridgeSettings.load(tmp_path, env)
    text = str(caught.value)
    assert text.startswith(f"{variable} ")
    assert problem in text
    assert f"for example {variable}=" in text
    assert SECRET not in text
    assert "\n" not in text
    assert caught.value.exit_code == 78


def test_the_examples_are_right(tmp_path: Path) -> None:
    """Whoever follows the sentence gets no second one for the same variable."""
    for variable, value, _ in WRONG:
        with pytest.raises(SettingError) as caught:
            BridgeSettings.load(tmp_path, {variable: value})
        example = str(caught.value).rpartition(f"{variable}=")[2]
        BridgeSettings.load(tmp_path, {variable: example})


def test_kafka_settings_keep_their_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP.*for example") as caught:
        BridgeSettings.load(tmp_path, {"KAFKA_BOOTSTRAP": "nowhere"})
    assert exit_code_of(caught.value) == 78
    with pytest.raises(SettingError, match="KAFKA_BOOTSTRAP is not set"):
        BridgeSettings.load(tmp_path, {}).require_kafka()


def test_a_malformed_settings_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# mine\nKITE_ACCESS_TOKEN {SECRET}\n")
    with pytest.raises(ConfigurationError) as caught:
        BridgeSettings.load(tmp_path, {})
    assert ".env line 2" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert exit_code_of(caught.value) == 78


def test_secrets_do_not_show(tmp_path: Path) -> None:
    env = {"KITE_API_KEY": SECRET, "KITE_ACCESS_TOKEN": SECRET, "KITE_API_SECRET": SECRET}
    settings = BridgeSettings.load(tmp_path, env)
    assert SECRET not in repr(settings)
    assert SECRET not in repr(settings.require_credentials().load())


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({}, ("KITE_API_KEY", "KITE_ACCESS_TOKEN")),
        ({"KITE_API_KEY": "k", "KITE_ACCESS_TOKEN": " "}, ("KITE_ACCESS_TOKEN",)),
        ({"KITE_ACCESS_TOKEN": SECRET}, ("KITE_API_KEY",)),
    ],
)
def test_missing_credentials_are_named(
    tmp_path: Path, env: dict[str, str], missing: tuple[str, ...]
) -> None:
    with pytest.raises(MissingCredentials) as caught:
        BridgeSettings.load(tmp_path, env).require_credentials()
    assert caught.value.missing == missing
    for word in (*missing, "demo", "smoke"):
        assert word in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 78


def test_a_token_file_wins_and_may_come_later(tmp_path: Path) -> None:
    env = {"KITE_API_KEY": "key", "KITE_ACCESS_TOKEN": "old"}
    source = BridgeSettings.load(tmp_path, env).require_credentials()
    assert source.load().access_token.reveal() == "old"
    path = tmp_path / "token.json"
    path.touch(0o600)
    path.write_text(json.dumps({"access_token": "fresh"}))
    assert source.load().access_token.reveal() == "fresh"
    assert source.load().api_key == "key"
    path.write_text("{}")
    with pytest.raises(CredentialsError, match="access_token"):
        source.load()


def test_a_token_file_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.touch(0o600)
    path.write_text(json.dumps({"access_token": "t", "api_key": "k"}))
    assert BridgeSettings.from_env(tmp_path, {}).require_credentials().load().api_key == "k"


def test_exit_codes() -> None:
    taken = PortTaken(9464, OSError(98, "Address already in use"), "WS_BRIDGE_PORT=9465")
    assert "WS_BRIDGE_PORT" in str(taken)
    for error, code in (
        (JournalFull("full"), 1),
        (taken, 78),
        (ConfigurationError("x"), 78),
        (ConfigurationError("x"), 78),
        (ValueError("x"), 1),
    ):
        assert exit_code_of(error) == code


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.5 %", 0.005), ("100%", 1.0)])
def test_the_share_is_a_setting(tmp_path: Path, text: str, share: float) -> None:
    settings = BridgeSettings.load(tmp_path, {"WS_BRIDGE_DLQ_ALARM_SHARE": text})
    assert settings.dead_letter_limits.share == share
