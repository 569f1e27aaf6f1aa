"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dlq_triage.settings import TriageSettings, load_settings

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
    typer.Option("--root", metavar="DIR", help="Folder with .env and .infra/.env."),
]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        "-t",
        metavar="NAME",
        help="Dead-letter topic or pattern such as '*.dlq' (quote it); may be given several "
        "times. Default: every topic that matches *.dlq or *_dlq.",
    ),
]


def settings_of(root: Path, bootstrap: str | None = None) -> TriageSettings:
    """The settings of the files and the environment, ``--bootstrap`` winning."""
    return load_settings(root, os.environ, bootstrap=bootstrap)
