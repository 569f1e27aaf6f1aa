"""The bridge's settings: one frozen object from ``.env``, ``.infra/.env`` and the environment.

Every variable and its default stands at its field. An empty value counts as not set. Relative
paths are relative to the folder that the settings files lie in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import platformdirs

from kite_broker_zerodha.session.credentials import (
    ACCESS_TOKEN,
    API_KEY,
    Credentials,
    CredentialSource,
    EnvironmentCredentials,
    TokenFile,
)
from kite_broker_zerodha.subscriptions import SHARDS_MAX as KITE_CONNECTIONS
from kite_kafka_io.breaker import BreakerLimits
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.errors import MissingCredentials
from kite_live_feed.journal.segments import GIB, MIB, JournalOptions, Sync
from kite_live_feed.shards import SHARDS_MAX, GroupSetup
from kite_runtime.env_files import read_env
from kite_runtime.errors import SettingError
from kite_runtime.settings import Values

KITE_ENDPOINT: Final = "wss://ws.kite.trade"
DEFAULT_PORT: Final = 9464

_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Everything that a person can set. Secrets are left out of ``repr``."""

    root: Path
    """The folder of ``.env``; relative paths start here."""
    name: str
    """``WS_BRIDGE_NAME``, default ``kite``: the feed's name in events and in the journal's path."""
    endpoint: str
    """``KITE_WS_URL``, default wss://ws.kite.trade."""
    token_file: Path
    """``KITE_TOKEN_FILE``, default ``token.json``: when it is there it wins over
    ``KITE_ACCESS_TOKEN``, because only a file can change while the bridge runs."""
    tokens_file: Path
    """``WS_BRIDGE_TOKENS``, default ``configs/tokens.csv``."""
    universe_files: tuple[Path, ...]
    """``WS_BRIDGE_UNIVERSE``, comma-separated, default none: subscribe to these symbols only, and
    take their tokens from ``tokens_file``."""
    journal_dir: Path
    """``WS_BRIDGE_JOURNAL_DIR``, default in the user's state folder,
    ``kite-ingest/journal/<name>``."""
    journal: JournalOptions
    """``WS_BRIDGE_JOURNAL_SEGMENT_BYTES`` (64 MiB), ``_MAX_BYTES`` (8 GiB), ``_RETAIN`` (24h) and
    ``_SYNC`` (1s, or ``never``, ``always``), each after ``WS_BRIDGE_JOURNAL``."""
    port: int
    """``WS_BRIDGE_PORT``, default 9464: metrics and health on 127.0.0.1; 0 takes any free port."""
    drain_s: float
    """``WS_BRIDGE_DRAIN``, default 10s: how long SIGTERM waits for Kafka's acknowledgements."""
    dead_letter_limits: BreakerLimits
    """``WS_BRIDGE_DLQ_ALARM_SHARE`` (1%) of the records of ``_WINDOW`` (60s), if at least
    ``_LEAST`` (20) are dead letters, or ``_RUN`` (1000) of them without a good tick between: then
    the bridge raises the alarm. It drops nothing."""
    shards: GroupSetup | None
    """``WS_BRIDGE_SHARDS`` (1 to 16): the bridges of ``WS_BRIDGE_SHARD_GROUP`` (default
    ``ws_bridge.<name>``) share the universe out in so many. ``WS_BRIDGE_SHARD_TIMEOUT`` (6s): one
    that is not heard for so long loses its shards to others. ``WS_BRIDGE_CONNECTIONS`` (3): so many
    this one can carry. None where WS_BRIDGE_SHARDS is not set: the bridge carries everything."""
    kafka: KafkaSettings | None
    """``KAFKA_*`` and ``SCHEMA_REGISTRY_*``; None when ``KAFKA_BOOTSTRAP`` is not set."""
    env: Mapping[str, str] = field(repr=False)
    """The merged variables; holds secrets."""

    @classmethod
    def from_env(cls, root: Path, env: Mapping[str, str]) -> BridgeSettings:
        """Check every variable. Raises ConfigurationError: one sentence, never a secret's value."""
        values = Values(env)
        name = values.name("WS_BRIDGE_NAME", "kite")
        return cls(
            root=root,
            name=name,
            endpoint=values.websocket_url("KITE_WS_URL", KITE_ENDPOINT),
            token_file=root / values.text("KITE_TOKEN_FILE", "token.json"),
            tokens_file=root / values.text("WS_BRIDGE_TOKENS", "configs/tokens.csv"),
            universe_files=tuple(
                root / part.strip()
                for part in values.text("WS_BRIDGE_UNIVERSE", "").split(",")
                if part.strip()
            ),
            journal_dir=root / values.text("WS_BRIDGE_JOURNAL_DIR", str(default_journal_dir(name))),
            journal=_journal_options(values),
            port=values.integer("WS_BRIDGE_PORT", DEFAULT_PORT, low=0, high=65_535),
            drain_s=values.seconds("WS_BRIDGE_DRAIN", "10s", low=0.0, high=3600.0),
            dead_letter_limits=_dead_letter_limits(values),
            shards=_shards(values, name),
            kafka=KafkaSettings.if_named(env),
            env=env,
        )

    def require_kafka(self) -> KafkaSettings:
        """The Kafka settings. Raises SettingError when no broker is named."""
        if self.kafka is None:
            raise SettingError(
                "KAFKA_BOOTSTRAP",
                "is not set (`make up` starts one)",
                "kafka1.example.com:9092",
            )
        return self.kafka

    def missing_credentials(self) -> tuple[str, ...]:
        """The variables that a live bridge still needs; empty when it can start."""
        if self.token_file.exists():
            return ()  # what the file lacks, its reader says
        return tuple(name for name in (API_KEY, ACCESS_TOKEN) if not self.env.get(name, "").strip())

    def require_credentials(self) -> CredentialSource:
        """Where sessions get key and token, anew for each attempt. Raises MissingCredentials."""
        missing = self.missing_credentials()
        if missing:
            raise MissingCredentials(missing)
        return FileThenEnvironment(self.token_file, self.env)


class FileThenEnvironment:
    """The token file when it is there, else the environment: asked again at each attempt."""

    def __init__(self, token_file: Path, env: Mapping[str, str]) -> None:
        self._token_file = token_file
        self._file = TokenFile(token_file, env.get(API_KEY, "").strip() or None)
        self._environment = EnvironmentCredentials({k: v.strip() for k, v in env.items()})

    def load(self) -> Credentials:
        """The credentials as they are now. Raises CredentialsError."""
        if self._token_file.exists():
            return self._file.load()
        return self._environment.load()


def default_journal_dir(name: str) -> Path:
    """Where a bridge of this name keeps its journal when nothing else is set."""
    return Path(platformdirs.user_state_dir("kite-ingest")) / "journal" / name


def load_settings(root: Path, environ: Mapping[str, str]) -> BridgeSettings:
    """Read the settings files under ``root`` and check everything. Raises ConfigurationError, and
    the ConfigurationError of contracts and of kafka_io."""
    return BridgeSettings.from_env(root, read_env(root, environ))


def _shards(values: Values, name: str) -> GroupSetup | None:
    group = values.name("WS_BRIDGE_SHARD_GROUP", f"ws_bridge.{name}"[:40])
    timeout_s = values.seconds("WS_BRIDGE_SHARD_TIMEOUT", "6s", low=6.0, high=300.0)
    connections = values.integer("WS_BRIDGE_CONNECTIONS", KITE_CONNECTIONS, low=1, high=3)
    if not values.text("WS_BRIDGE_SHARDS", ""):
        return None
    shards = values.integer("WS_BRIDGE_SHARDS", 3, low=1, high=SHARDS_MAX)
    return GroupSetup(shards, group, timeout_s, connections)


def _dead_letter_limits(values: Values) -> BreakerLimits:
    name = "WS_BRIDGE_DLQ_ALARM"
    text = values.text(f"{name}_SHARE", "1%")
    match = _PERCENT.fullmatch(text)
    if match is None or not 0 < float(match[1]) <= 100:
        problem = f"is {text[:60]!r}, no share above 0% and up to 100%"
        raise SettingError(f"{name}_SHARE", problem, "1%")
    return BreakerLimits(
        share=float(match[1]) / 100,
        window_s=values.seconds(f"{name}_WINDOW", "60s", low=1.0, high=86_400.0),
        least=values.integer(f"{name}_LEAST", 20, low=1, high=10**9),
        in_a_row=values.integer(f"{name}_RUN", 1_000, low=1, high=10**9),
    )


def _journal_options(values: Values) -> JournalOptions:
    segment = values.size("WS_BRIDGE_JOURNAL_SEGMENT_BYTES", "64MiB", low=MIB, high=GIB)
    limit = values.size("WS_BRIDGE_JOURNAL_MAX_BYTES", "8GiB", low=2 * MIB, high=1024 * GIB)
    if limit < 2 * segment:
        raise SettingError(
            "WS_BRIDGE_JOURNAL_MAX_BYTES", "is less than two journal segments", f"{2 * segment}"
        )
    sync = values.text("WS_BRIDGE_JOURNAL_SYNC", "1s")
    how: Sync
    if sync == "never":
        how = "never"
    elif sync == "always":
        how = "always"
    else:
        how = values.seconds("WS_BRIDGE_JOURNAL_SYNC", "1s", low=0.01, high=3600.0)
    year_s = 366 * 86_400.0
    return JournalOptions(
        segment_bytes=segment,
        max_bytes=limit,
        retain_s=values.seconds("WS_BRIDGE_JOURNAL_RETAIN", "24h", low=0.0, high=year_s),
        sync=how,
    )
