"""The command line `migrate`: upgrade, downgrade, current, history, sql."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from kite_contracts.errors import UnknownRevisionError
from kite_contracts.migrations import chain, runner
from kite_runtime.command_line import make_app, run
from kite_runtime.errors import ConfigurationError
from kite_runtime.settings import read_env

PROGRAM: Final = "migrate"
VARIABLE: Final = "POSTGRES_DSN"

app = make_app(
    PROGRAM,
    "The tables in Postgres: apply the migrations, take them back, look at them.",
    away="the database",
    place="contracts",
)

Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        help=f"The database; {VARIABLE} of the environment, .env or .infra/.env if left out.",
        metavar="URL",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
# A revision such as -1 begins like an option.
_SIGNED: Final = {"ignore_unknown_options": True}


@app.command(context_settings=_SIGNED)
def upgrade(
    revision: Annotated[
        str, typer.Argument(help="How far: 0002, 0002_dead_letters, +1 or head.")
    ] = chain.HEAD,
    dsn: Dsn = None,
) -> None:
    """Apply what is missing, in one transaction; several hosts may do it at once."""
    url = _dsn(dsn)
    done = runner.upgrade(url, revision, lambda step: _say(f"applying {step.name}"))
    _summary(url, f"{len(done)} applied" if done else "nothing to apply")


@app.command(context_settings=_SIGNED)
def downgrade(
    revision: Annotated[str, typer.Argument(help="Back to: 0001, 0001_instruments, -1 or base.")],
    dsn: Dsn = None,
) -> None:
    """Take migrations back, in one transaction. Their tables are dropped WITH THEIR DATA."""
    url = _dsn(dsn)
    done = runner.downgrade(url, revision, lambda step: _say(f"taking back {step.name}"))
    _summary(url, f"{len(done)} taken back" if done else "nothing to take back")


@app.command()
def current(dsn: Dsn = None, as_json: Json = False) -> None:
    """Show the database's revision, and what is pending."""
    url = _dsn(dsn)
    waiting = runner.pending(url)
    revision = runner.current(url)
    if as_json:
        print(json.dumps({"revision": revision, "pending": [one.name for one in waiting]}))
        return
    print(revision or chain.BASE)
    for one in waiting:
        _say(f"pending: {one.name} ({one.description})")


@app.command()
def history(as_json: Json = False) -> None:
    """List the migrations of this version of the package, oldest first; needs no database."""
    if as_json:
        print(json.dumps([one.__dict__ for one in runner.migrations()]))
        return
    for one in runner.migrations():
        print(f"{one.name}  {one.description}")


@app.command()
def sql(
    way: Annotated[
        str, typer.Argument(help="FROM:TO; TO before FROM goes back.", metavar="FROM:TO")
    ] = f"{chain.BASE}:{chain.HEAD}",
) -> None:
    """Print the statements instead of running them, for a database that others migrate."""
    first, colon, last = way.partition(":")
    if not colon:
        raise UnknownRevisionError(f"{way!r} is not FROM:TO; write it like base:head or 0002:0001.")
    sys.stdout.write(runner.sql(first or chain.BASE, last or chain.HEAD))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0, 1 refused, 2 usage, 75 database away, 78 settings."""
    run(app, arguments)


def _dsn(given: str | None) -> str:
    url = given or read_env(Path.cwd(), os.environ).get(VARIABLE)
    if not url:
        raise ConfigurationError(
            f"{VARIABLE} is not set; put it into .infra/.env or the environment, or start a local "
            "database with 'make up'."
        )
    return url


def _summary(url: str, what: str) -> None:
    print(f"{what}; the database is at {runner.current(url) or chain.BASE}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
