"""The command line of the bridge. ``ws_bridge`` alone means ``ws_bridge run``."""

from __future__ import annotations

from kite_runtime.command_line import make_app, run, with_any_reader
from kite_ws_bridge.commands import (
    decode,
    demo,
    plan,
    refused,
    replay,
    simulate,
    smoke,
    status,
    tail,
)
from kite_ws_bridge.commands import run as live

app = make_app(
    "ws_bridge",
    "Live ticks from Kite's WebSocket into Kafka: journaled, checked, counted, nothing lost. "
    "Without a command it runs the live bridge.",
    away="Kafka or Kite",
    no_args_is_help=False,
)

for _module in (live, demo, simulate, smoke, replay, decode, plan, tail, status, refused):
    app.command(_module.__name__.rpartition(".")[2])(with_any_reader(_module.command))


def main() -> None:
    """Entry point; never returns."""
    run(app, default="run")


if __name__ == "__main__":
    main()
