"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_dlq_triage.settings import TriageSettings, load_settings

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

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="PLACE",
        help="Begin here: an offset (12000), a time (2026-11-23T09:15+05:30; UTC without a zone) "
        "or an age (2h, 7d). Default: the oldest record.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="PLACE",
        help="End before this offset, time or age. Default: where the topic ends now.",
    ),
]
Partitions = Annotated[
    list[int] | None,
    typer.Option(
        "--partition", metavar="N", help="Only this partition; may be given several times."
    ),
]
DEFAULT_PATTERNS: Final = ("*.dlq", "*_dlq")


def topics_of(topics: list[str] | None) -> list[str]:
    """The names and patterns asked for."""
    return topics if topics else list(DEFAULT_PATTERNS)


def settings_of(root: Path, bootstrap: str | None = None) -> TriageSettings:
    """The settings of the files and the environment, ``--bootstrap`` winning."""
    return load_settings(root, os.environ, bootstrap=bootstrap)
