"""Options that several commands share, each with its help once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Kafka brokers; without it KAFKA_BOOTSTRAP of the environment or .infra/.env.",
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
        help="Fault script: none, every fault once, or a file of lines 'FRAME KIND [NUMBER]'.",
    ),
]
Root = Annotated[
    Path,
    typer.Option(
        "--root", metavar="DIR", help="Folder with .env, .infra/.env and configs (default: here)."
    ),
]
Subscriptions = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        metavar="FILE",
        help="Subscription file; default configs/tokens.csv under --root.",
    ),
]
