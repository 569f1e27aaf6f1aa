"""The command line of the instrument master."""

from __future__ import annotations

import typer

from kite_instruments.commands import (
    auth,
    calendar,
    days,
    diff,
    export,
    lookup,
    publish,
    rebuild,
    sync,
)
from kite_runtime.command_line import make_app, run, with_any_reader

app = make_app(
    "instruments",
    "Reference data as history: the instrument master of every day, the tradable universe as "
    "files, the daily login, and the sessions of the exchanges.",
    away="the database, Kafka or Kite",
)
login = typer.Typer(
    name="auth",
    help="The daily login at Kite: the page, the token of the day, and how long it holds.",
    no_args_is_help=True,
)

for _module in (sync, export, diff, lookup, days, publish, rebuild, calendar):
    app.command(_module.__name__.rpartition(".")[2])(with_any_reader(_module.command))
for _name, _command in auth.COMMANDS.items():
    login.command(_name)(with_any_reader(_command))
app.add_typer(login)


def main() -> None:
    """Entry point; never returns."""
    run(app)


if __name__ == "__main__":
    main()
