"""What can be set of the instrument master: docs/settings.md is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kite_broker_zerodha.settings import KiteApiUser
from kite_kafka_io.settings import KafkaUser
from kite_runtime.secrets import Secret
from kite_runtime.settings import PostgresUser, address, require, variable


@dataclass(frozen=True, kw_only=True)
class Settings(KiteApiUser, KafkaUser, PostgresUser):
    """Everything that a person can set. ``repr`` shows no secret. Nothing is published where
    ``kafka`` is None."""

    topic: str = variable(
        "INSTRUMENTS_TOPIC", str, "instruments", "the current master, a compacted topic"
    )
    dead_topic: str = variable(
        "INSTRUMENTS_DLQ_TOPIC", str, "instruments.dlq", "the topic of refused rows"
    )
    api_secret: Secret = variable(
        "KITE_API_SECRET",
        Secret,
        "",
        "the secret of your app at developers.kite.trade; only the login needs it",
        unset="is not set: put the secret of your app at developers.kite.trade into .env or the "
        "environment",
    )
    login_page: str = variable(
        "KITE_LOGIN_URL",
        address("https", "http", "the API key"),
        "https://kite.zerodha.com/connect/login",
        "Kite's login page, or the simulator's",
    )
    universes_file: Path = variable(
        "INSTRUMENTS_UNIVERSES", Path, "configs/universes.toml", "the selections to export"
    )
    state_dir: Path = variable(
        "INSTRUMENTS_STATE_DIR", Path, "{state}/instruments", "the dead-letter files of `sync`"
    )

    def require_api_secret(self) -> Secret:
        """The API secret. Raises ConfigurationError."""
        secret: Secret = require(self, "api_secret")
        return secret
