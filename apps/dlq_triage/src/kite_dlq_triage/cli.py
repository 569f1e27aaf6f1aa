"""The command line of triage. ``dlq_triage`` alone means ``dlq_triage dump``.

Only the command that is called is imported: a dump needs no Postgres, no web server and no
compiler, which together take longer to load than most dumps take.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

import typer

from kite_runtime.command_line import make_app, run, with_any_reader, with_default

if TYPE_CHECKING:  # what import_module loads, for those who read imports
    from kite_dlq_triage.commands import (  # noqa: F401
        assign,
        consume,
        deciding,
        dump,
        groups,
        history,
        reasons,
        rebuild,
        redrive,
        serve,
        show,
    )

DEFAULT: Final = "dump"
COMMANDS: Final = (
    *("dump", "reasons", "consume", "groups", "show", "history"),
    *("resolve", "ignore", "assign", "reopen", "note", "redrive", "rebuild", "serve"),
)

DECIDING: Final = ("resolve", "ignore", "reopen", "note")
"""Commands that differ in their decision alone, and share a module."""


def make(names: Sequence[str] = COMMANDS) -> typer.Typer:
    """The command line with these commands."""
    app = make_app(
        "dlq_triage",
        "What could not be published, and why: dead-letter topics read, classified, dumped, "
        "stored and redriven. Without a command it dumps: "
        "dlq_triage --topic ticks.dlq --dump out.jsonl.",
        away="Kafka or Postgres",
        no_args_is_help=False,
    )
    for name in names:
        app.command(name)(with_any_reader(_load(name)))
    if len(names) == 1:
        app.callback()(_nothing)  # else Typer takes the one command for the program itself
    return app


def _load(name: str) -> Callable[..., int]:
    """The function of a command; its module is imported now."""
    if name in DECIDING:
        module = import_module("kite_dlq_triage.commands.deciding")
        command: Callable[..., int] = module.COMMANDS[name]
    else:
        command = import_module(f"kite_dlq_triage.commands.{name}").command
    return command


def _nothing() -> None:
    """Nothing is common to all commands."""


def main() -> None:
    """Entry point; never returns."""
    called = with_default([each for each in sys.argv[1:] if each != "--debug"], DEFAULT)[0]
    run(make([called] if called in COMMANDS else COMMANDS), default=DEFAULT)


if __name__ == "__main__":
    main()
