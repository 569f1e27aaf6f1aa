"""The command line of the bridge. ``ws_bridge`` alone means ``ws_bridge run``."""

from __future__ import annotations

from typing import Final, NoReturn

from kite_runtime.command_line import Lazy, Program

_HERE: Final = "kite_ws_bridge.commands"

PROGRAM: Final = Program(
    "ws_bridge",
    "Live ticks from Kite's WebSocket into Kafka: journaled, checked, counted, nothing lost. "
    "Without a command it runs the live bridge.",
    away="Kafka or Kite",
    default="run",
    commands={
        "run": Lazy(f"{_HERE}.run:command", "Run the live bridge until SIGTERM or Ctrl-C."),
        "demo": Lazy(f"{_HERE}.demo:command", "Run it all without credentials; prints a ledger."),
        "simulate": Lazy("kite_simulator.cli:command", "Serve Kite's protocols on this machine."),
        "smoke": Lazy(f"{_HERE}.smoke:command", "Send a seeded market with faults to Kafka."),
        "replay": Lazy(f"{_HERE}.replay:command", "Publish the frames of journal segments again."),
        "decode": Lazy(f"{_HERE}.decode:command", "Print each tick of each frame as a JSON line."),
        "plan": Lazy(f"{_HERE}.plan:command", "Show which connection carries which instruments."),
        "tail": Lazy(f"{_HERE}.tail:command", "Show what arrives in a topic until Ctrl-C."),
        "status": Lazy(f"{_HERE}.status:command", "Show what a running bridge does."),
        "refused": Lazy(f"{_HERE}.refused:command", "Show, or send, what Kafka refused for good."),
    },
)


def main() -> NoReturn:
    """Entry point."""
    PROGRAM.main()


if __name__ == "__main__":
    main()
