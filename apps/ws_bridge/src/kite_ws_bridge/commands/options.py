"""Options and settings that several commands share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kite_kafka_io.settings import KafkaSettings
from kite_runtime.env_files import read_env
from kite_runtime.errors import SettingError

Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Kafka brokers. Default: KAFKA_BOOTSTRAP of the environment or .infra/.env.",
    ),
]
Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Folder with .env, .infra/.env and configs."),
]


def kafka_settings(bootstrap: str | None, root: Path) -> KafkaSettings:
    """The Kafka settings of the files and the environment, ``--bootstrap`` winning.

    Raises SettingError when no broker is named at all.
    """
    env = dict(read_env(root, os.environ))
    if bootstrap is not None:
        env["KAFKA_BOOTSTRAP"] = bootstrap
    return settings_of(env)


def settings_of(env: Mapping[str, str]) -> KafkaSettings:
    """The Kafka settings of a mapping. Raises SettingError when no broker is named."""
    if not env.get("KAFKA_BOOTSTRAP", "").strip():
        raise SettingError(
            "KAFKA_BOOTSTRAP",
            "is not set (`make up` starts one)",
            "kafka1.example.com:9092",
        )
    return KafkaSettings.from_env(env)
