"""The command line of the instrument master."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import typer

from kite_instruments.commands import (
    auth,
    calendar,
    days,
    diff,
    export,
    lookup,
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

_COMMANDS: Final[Mapping[str, Callable[..., int]]] = {
    "sync": sync.command,
    "export": export.command,
    "diff": diff.command,
    "lookup": lookup.command,
    "days": days.command,
    "publish": sync.publish_command,
    "rebuild": days.rebuild,
    "calendar": calendar.command,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(with_any_reader(_command))
for _name, _command in auth.COMMANDS.items():
    login.command(_name)(with_any_reader(_command))
app.add_typer(login)


def main() -> None:
    """Entry point; never returns."""
    run(app)


if __name__ == "__main__":
    main()
