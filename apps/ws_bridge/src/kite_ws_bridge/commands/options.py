"""Options and preparations that several commands share, each with its help once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kite_kafka_io.settings import KafkaSettings
from kite_runtime.env_files import read_env
from kite_runtime.errors import SettingError, UsageError
from kite_simulator import (
    Fault,
    HistoryChanges,
    ScriptedFault,
    parse_history_script,
    parse_rest_script,
    parse_script,
)

Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Kafka brokers. Default: KAFKA_BOOTSTRAP of the environment or .infra/.env.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the market: the same seed, the same data.")
]
Faults = Annotated[
    str,
    typer.Option(
        "--faults",
        metavar="none|all|FILE",
        help="Fault script: none, every fault once, or a file of lines FRAME KIND [NUMBER].",
    ),
]
Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Folder with .env, .infra/.env and configs."),
]
Rate = Annotated[
    float, typer.Option("--rate", min=0, help="Ticks a second; 0 is as fast as possible.")
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


def fault_script(faults: str) -> tuple[Fault, ...]:
    """The script that ``--faults`` names. Raises UsageError and ScriptError."""
    if faults == "none":
        return ()
    if faults == "all":
        return parse_script("all")
    return parse_script(_script_text("--faults", faults, "none, all or a text file"))


def rest_fault_script(faults: str) -> tuple[ScriptedFault, ...]:
    """The script that ``--rest-faults`` names. Raises UsageError and ScriptError."""
    if faults == "none":
        return ()
    return parse_rest_script(_script_text("--rest-faults", faults, "none or a text file"))


def history_script(changes: str) -> HistoryChanges:
    """The script that ``--history`` names. Raises UsageError and ScriptError."""
    if changes == "none":
        return HistoryChanges()
    return parse_history_script(_script_text("--history", changes, "none or a text file"))


def _script_text(option: str, name: str, choices: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {name}: no such script can be read; give {choices}") from error
