"""The command line of the bridge. ``ws_bridge`` alone means ``ws_bridge run``."""

from __future__ import annotations

import sys

import click
import typer

from ws_bridge.commands import decode, demo, plan, replay, run, simulate, smoke, tail
from ws_bridge.console import complain
from ws_bridge.errors import EXIT_INTERRUPTED, exit_code_of

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
app.command("run")(run.command)
app.command("demo")(demo.command)
app.command("simulate")(simulate.command)
app.command("smoke")(smoke.command)
app.command("replay")(replay.command)
app.command("decode")(decode.command)
app.command("plan")(plan.command)
app.command("tail")(tail.command)


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
        code = app(with_default([each for each in given if each != "--debug"]), standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(complain("stopped by Ctrl-C", EXIT_INTERRUPTED))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        sys.exit(complain(error or repr(error), exit_code_of(error)))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
