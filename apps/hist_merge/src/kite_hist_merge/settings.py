"""The settings: one frozen object from ``.env``, ``.infra/.env`` and the environment.

Every variable and its default stands at its field. An empty value counts as not set. Relative
paths are relative to the folder that the settings files lie in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import platformdirs

from kite_kafka_io.settings import KafkaSettings
from kite_runtime.env_files import read_env
from kite_runtime.errors import ConfigurationError, SettingError
from kite_runtime.secrets import Secret
from kite_runtime.settings import Values

KITE_ROOT: Final = "https://api.kite.trade"
VENDOR_FILE: Final = "configs/vendor.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. ``repr`` shows no secret."""

    root: Path
    """The folder of ``.env``; relative paths start here."""
    postgres_dsn: str = field(repr=False)
    """``POSTGRES_DSN``, no default; `make up` writes it into ``.infra/local.env``."""
    kafka: KafkaSettings | None
    """``KAFKA_*`` and ``SCHEMA_REGISTRY_*``; None when ``KAFKA_BOOTSTRAP`` is not set."""
    topic: str
    """``HIST_MERGE_TOPIC``, default ``bars``: where the live bars are."""
    events_topic: str
    """``HIST_MERGE_EVENTS_TOPIC``, default ``feed.events``: where the feed reports its gaps."""
    api_key: str = field(repr=False)
    """``KITE_API_KEY``; Kite's history needs it."""
    access_token: Secret
    """``KITE_ACCESS_TOKEN``; the token file wins over it."""
    token_file: Path
    """``KITE_TOKEN_FILE``, default ``token.json``."""
    api_url: str
    """``KITE_API_URL``, default https://api.kite.trade."""
    rules_file: Path | None
    """``HIST_MERGE_RULES``, default the packaged copy of ``configs/merge.toml``."""
    vendor_file: Path | None
    """``HIST_MERGE_VENDOR``, default ``configs/vendor.toml`` where it is, else the packaged copy:
    the layouts of vendors' files."""
    universe_file: Path
    """``HIST_MERGE_UNIVERSE``, default ``configs/tokens.csv``: the instruments to fetch."""
    state_dir: Path
    """``HIST_MERGE_STATE_DIR``, default in the user's state folder, ``kite-ingest/hist_merge``:
    checkpoints and files of refused lines."""

    @classmethod
    def from_env(cls, root: Path, env: Mapping[str, str]) -> Settings:
        """Check every variable. Raises ConfigurationError: one sentence, never a secret's value."""
        values = Values(env)
        state = Path(platformdirs.user_state_dir("kite-ingest")) / "hist_merge"
        return cls(
            root=root,
            postgres_dsn=values.text("POSTGRES_DSN", ""),
            kafka=KafkaSettings.if_named(env),
            topic=values.text("HIST_MERGE_TOPIC", "bars"),
            events_topic=values.text("HIST_MERGE_EVENTS_TOPIC", "feed.events"),
            api_key=values.text("KITE_API_KEY", ""),
            access_token=Secret(values.text("KITE_ACCESS_TOKEN", "")),
            token_file=root / values.text("KITE_TOKEN_FILE", "token.json"),
            api_url=values.text("KITE_API_URL", KITE_ROOT),
            rules_file=_path(root, values.text("HIST_MERGE_RULES", "")),
            vendor_file=_path(root, values.text("HIST_MERGE_VENDOR", _beside(root))),
            universe_file=root / values.text("HIST_MERGE_UNIVERSE", "configs/tokens.csv"),
            state_dir=root / values.text("HIST_MERGE_STATE_DIR", str(state)),
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


def load_settings(root: Path, environ: Mapping[str, str]) -> Settings:
    """Read the settings files under ``root`` and check everything. Raises ConfigurationError, and
    the ConfigurationError of contracts and of kafka_io."""
    return Settings.from_env(root, read_env(root, environ))


def _beside(root: Path) -> str:
    """The checkout's layouts, where this is one."""
    return VENDOR_FILE if (root / VENDOR_FILE).exists() else ""


def _path(root: Path, text: str) -> Path | None:
    return root / text if text else None
