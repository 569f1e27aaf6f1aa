"""Triage's settings: one frozen object from ``.env``, ``.infra/.env`` and the environment.

Every variable and its default stands at its field. An empty value counts as not set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kite_kafka_io.settings import KafkaSettings
from kite_runtime.env_files import read_env
from kite_runtime.errors import SettingError
from kite_runtime.settings import Values

DEFAULT_PORT: Final = 9465


@dataclass(frozen=True, slots=True)
class TriageSettings:
    """Every setting. Secrets are left out of ``repr``."""

    root: Path
    """The folder of ``.env``; relative paths start here."""
    port: int
    """``DLQ_TRIAGE_PORT``, default 9465: metrics and health on 127.0.0.1; 0 takes any free port."""
    kafka: KafkaSettings | None
    """``KAFKA_*`` and ``SCHEMA_REGISTRY_*``; None when ``KAFKA_BOOTSTRAP`` is not set."""
    postgres_dsn: str = field(repr=False)
    """``POSTGRES_DSN``, no default; `make up` writes it into ``.infra/local.env``."""
    env: Mapping[str, str] = field(repr=False)
    """The merged variables; holds secrets."""

    @classmethod
    def from_env(cls, root: Path, env: Mapping[str, str]) -> TriageSettings:
        """Check every variable. Raises ConfigurationError: one sentence, never a secret's value."""
        values = Values(env)
        return cls(
            root=root,
            port=values.integer("DLQ_TRIAGE_PORT", DEFAULT_PORT, low=0, high=65_535),
            kafka=KafkaSettings.if_named(env),
            postgres_dsn=values.text("POSTGRES_DSN", ""),
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

    def require_postgres(self) -> str:
        """The database's address. Raises SettingError when none is set."""
        if not self.postgres_dsn:
            raise SettingError(
                "POSTGRES_DSN",
                "is not set (`make up` starts a database)",
                "postgresql://user@db.example.com:5432/kite",
            )
        return self.postgres_dsn


def load_settings(
    root: Path, environ: Mapping[str, str], *, bootstrap: str | None = None
) -> TriageSettings:
    """Read the settings files under ``root`` and check everything. Raises ConfigurationError, and
    the ConfigurationError of contracts and of kafka_io.

    ``bootstrap`` is the command line's, and wins over ``KAFKA_BOOTSTRAP``.
    """
    env = dict(read_env(root, environ))
    if bootstrap is not None:
        env["KAFKA_BOOTSTRAP"] = bootstrap
    return TriageSettings.from_env(root, env)
