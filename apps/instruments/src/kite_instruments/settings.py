"""The settings: one frozen object from ``.env``, ``.infra/.env`` and the environment.

Every variable and its default stands at its field. An empty value counts as not set. Relative
paths are relative to the folder that the settings files lie in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import platformdirs

from kite_kafka_io.settings import KafkaSettings
from kite_runtime.env_files import read_env
from kite_runtime.errors import ConfigurationError, SettingError
from kite_runtime.secrets import Secret
from kite_runtime.settings import Values

KITE_ROOT: Final = "https://api.kite.trade"
KITE_LOGIN: Final = "https://kite.zerodha.com/connect/login"
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. ``repr`` shows no secret."""

    root: Path
    """The folder of ``.env``; relative paths start here."""
    postgres_dsn: str = field(repr=False)
    """``POSTGRES_DSN``, no default; `make up` writes it into ``.infra/local.env``."""
    kafka: KafkaSettings | None
    """``KAFKA_*`` and ``SCHEMA_REGISTRY_*``; None when ``KAFKA_BOOTSTRAP`` is not set: nothing is
    published then."""
    topic: str
    """``INSTRUMENTS_TOPIC``, default ``instruments``: the current master, compacted."""
    dead_topic: str
    """``INSTRUMENTS_DLQ_TOPIC``, default ``instruments.dlq``: refused rows."""
    api_key: str = field(repr=False)
    """``KITE_API_KEY``; the login needs it, `sync` does not."""
    api_secret: Secret
    """``KITE_API_SECRET``; only the login needs it."""
    access_token: Secret
    """``KITE_ACCESS_TOKEN``; the token file wins over it."""
    token_file: Path
    """``KITE_TOKEN_FILE``, default ``token.json``."""
    api_url: str
    """``KITE_API_URL``, default https://api.kite.trade."""
    login_page: str
    """``KITE_LOGIN_URL``, default https://kite.zerodha.com/connect/login."""
    universes_file: Path
    """``INSTRUMENTS_UNIVERSES``, default ``configs/universes.toml``."""
    state_dir: Path
    """``INSTRUMENTS_STATE_DIR``, default in the user's state folder, ``kite-ingest/instruments``:
    the dead-letter files of `sync`."""

    @classmethod
    def from_env(cls, root: Path, env: Mapping[str, str]) -> Settings:
        """Check every variable. Raises ConfigurationError: one sentence, never a secret's value."""
        values = Values(env)
        state = Path(platformdirs.user_state_dir("kite-ingest")) / "instruments"
        return cls(
            root=root,
            postgres_dsn=values.text("POSTGRES_DSN", ""),
            kafka=KafkaSettings.if_named(env),
            topic=values.text("INSTRUMENTS_TOPIC", "instruments"),
            dead_topic=values.text("INSTRUMENTS_DLQ_TOPIC", "instruments.dlq"),
            api_key=values.text("KITE_API_KEY", ""),
            api_secret=Secret(values.text("KITE_API_SECRET", "")),
            access_token=Secret(values.text("KITE_ACCESS_TOKEN", "")),
            token_file=root / values.text("KITE_TOKEN_FILE", "token.json"),
            api_url=values.text("KITE_API_URL", KITE_ROOT),
            login_page=_page(values.text("KITE_LOGIN_URL", KITE_LOGIN)),
            universes_file=root / values.text("INSTRUMENTS_UNIVERSES", "configs/universes.toml"),
            state_dir=root / values.text("INSTRUMENTS_STATE_DIR", str(state)),
        )

    def require_postgres(self) -> str:
        """The database's address. Raises SettingError when none is named."""
        if not self.postgres_dsn:
            raise SettingError(
                "POSTGRES_DSN",
                "is not set (`make up` starts a database)",
                "postgresql://user@db1.example.com:5432/kite",
            )
        return self.postgres_dsn

    def require_kafka(self) -> KafkaSettings:
        """The Kafka settings. Raises SettingError when no broker is named."""
        if self.kafka is None:
            raise SettingError(
                "KAFKA_BOOTSTRAP", "is not set (`make up` starts one)", "kafka1.example.com:9092"
            )
        return self.kafka

    def require_api_key(self) -> str:
        """The API key. Raises ConfigurationError."""
        if not self.api_key:
            raise ConfigurationError(
                "KITE_API_KEY is not set: put the key of your app at developers.kite.trade into "
                ".env or the environment"
            )
        return self.api_key

    def require_api_secret(self) -> Secret:
        """The API secret. Raises ConfigurationError."""
        if not self.api_secret.reveal():
            raise ConfigurationError(
                "KITE_API_SECRET is not set: put the secret of your app at developers.kite.trade "
                "into .env or the environment"
            )
        return self.api_secret


def load_settings(root: Path, environ: Mapping[str, str]) -> Settings:
    """Read the settings files under ``root`` and check everything. Raises ConfigurationError, and
    the ConfigurationError of contracts and of kafka_io."""
    return Settings.from_env(root, read_env(root, environ))


def _page(text: str) -> str:
    """The login page; the API key is sent there."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _HERE)):
        raise SettingError("KITE_LOGIN_URL", "is no https:// address", KITE_LOGIN)
    if parts.query or parts.fragment or parts.username:
        raise SettingError("KITE_LOGIN_URL", "holds more than host, port and path", KITE_LOGIN)
    return text
