"""Options and settings that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_kafka_io.settings import KafkaSettings, KafkaUser

COMPILING: Final = "compiling the loops that ticks go through, or loading them from the cache"
"""Shown before it, because the first time it takes half a minute."""

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
    return KafkaUser.load(root, os.environ, bootstrap=bootstrap).require_kafka()
