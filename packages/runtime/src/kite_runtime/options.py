"""Options that the command lines of several apps share, each with its help once."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer


def a_date(text: str) -> date:
    """A date as it is typed. Raises BadParameter, which Typer shows with the option's name."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date such as 2024-01-05 or 20240105") from error


Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Folder with .env, .infra/.env and configs."),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Kafka brokers. Default: KAFKA_BOOTSTRAP of the environment or .infra/.env.",
    ),
]
FROM: Final = typer.Option(
    "--from",
    metavar="DATE",
    parser=a_date,
    help="The first day, in India: 2024-01-05 or 20240105.",
)
TO: Final = typer.Option("--to", metavar="DATE", parser=a_date, help="The last day, included.")
From = Annotated[date | None, FROM]
To = Annotated[date | None, TO]
Day = Annotated[
    date | None,
    typer.Option(
        "--day", metavar="DATE", parser=a_date, help="One day, in place of --from and --to."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]
