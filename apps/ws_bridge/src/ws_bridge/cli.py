"""The command line of the bridge. ``ws_bridge`` alone means ``ws_bridge run``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer
from typer.exceptions import Abort, TyperException

from ws_bridge.commands import decode, demo, plan, replay, run, simulate, smoke, tail
from ws_bridge.console import complain, reader_may_leave
from ws_bridge.errors import EXIT_INTERRUPTED, EXIT_USAGE, FORESEEN, exit_code_of

app = typer.Typer(
    name="ws_bridge",
    help="Live ticks from Kite's WebSocket into Kafka: journaled, checked, counted, nothing lost. "
    "Without a command it runs the live bridge.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with findings to look at, "
    "75 try again later (Kafka or Kite away), 78 configuration. --debug anywhere shows the trace "
    "of an error.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _with_any_reader(command: Callable[..., int]) -> Callable[..., int]:
    """The same command; its output may be piped into one that reads only the beginning."""

    @wraps(command)
    def call(*arguments: Any, **options: Any) -> int:
        with reader_may_leave():
            return command(*arguments, **options)
        return 0

    return call


for _module in (run, demo, simulate, smoke, replay, decode, plan, tail):
    app.command(_module.__name__.rpartition(".")[2])(_with_any_reader(_module.command))


def with_default(arguments: list[str]) -> list[str]:
    """The arguments with ``run`` in front where they name no command and ask for no help."""
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help") or (first and not first.startswith("-")):
        return arguments
    return ["run", *arguments]


def main() -> None:
    """Entry point: every error is one sentence and its exit code; ``--debug`` shows the trace."""
    given = sys.argv[1:]
    debug = "--debug" in given
    try:
        code = app(
            with_default([each for each in given if each != "--debug"]), standalone_mode=False
        )
    except (KeyboardInterrupt, Abort):
        sys.exit(complain("stopped by Ctrl-C", EXIT_INTERRUPTED))
    except TyperException as error:
        sys.exit(complain(f"{_text(error)}; see --help", EXIT_USAGE))
    except Exception as error:
        if debug:
            traceback.print_exc()
        sys.exit(complain(_sentence(error), exit_code_of(error)))
    sys.exit(code if isinstance(code, int) else 0)


def _text(error: TyperException) -> str:
    """What Typer says of wrong usage, without the full stop that ends its sentences."""
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return str(text).rstrip(".")


def _sentence(error: Exception) -> str:
    """What to tell the user; an error that nobody foresaw is a defect and says so."""
    if isinstance(error, FORESEEN):
        return str(error)
    return (
        f"unexpected {type(error).__name__}: {error}; this is a defect of ws_bridge, "
        "--debug shows where"
    )


if __name__ == "__main__":
    main()
