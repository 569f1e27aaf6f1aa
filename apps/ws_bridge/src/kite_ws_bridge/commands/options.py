"""Options and settings that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_kafka_io.settings import KafkaSettings, KafkaUser
from kite_runtime.errors import ConfigurationError

COMPILING: Final = "compiling the loops that ticks go through, or loading them from the cache"
"""Shown before it, because the first time it takes half a minute."""


AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote-kafka",
        help="Let simulated ticks into a Kafka that is not on this machine.",
    ),
]


def keep_simulated_here(kafka: KafkaSettings, market: str, allow_remote: bool) -> None:
    """Made-up ticks in the topics that others trade by are worse than none. Raises
    ConfigurationError unless the Kafka is this machine's, or the user means the other one."""
    if not (kafka.is_local or allow_remote):
        raise ConfigurationError(
            f"{market} is a simulated market, and Kafka at {kafka.bootstrap} is not on this "
            "machine: use the local one (`make up`, KAFKA_BOOTSTRAP unset), or give "
            "--allow-remote-kafka if its topics may hold made-up ticks"
        )


def kafka_settings(bootstrap: str | None, root: Path) -> KafkaSettings:
    """The Kafka settings of the files and the environment, ``--bootstrap`` winning.

    Raises SettingError when no broker is named at all.
    """
    return KafkaUser.load(root, os.environ, bootstrap=bootstrap).require_kafka()
