"""The command line of triage. ``dlq_triage`` alone means ``dlq_triage dump``."""

from __future__ import annotations

from typing import Final, NoReturn

from kite_runtime.command_line import Lazy, Program

_HERE: Final = "kite_dlq_triage.commands"

PROGRAM: Final = Program(
    "dlq_triage",
    "What could not be published, and why: dead-letter topics read, classified, dumped, stored "
    "and redriven. Without a command it dumps: dlq_triage --topic ticks.dlq --dump out.jsonl.",
    away="Kafka or Postgres",
    default="dump",
    commands={
        "dump": Lazy(f"{_HERE}.dump:command", "Read and classify dead letters, write JSON lines."),
        "reasons": Lazy(f"{_HERE}.reasons:command", "Print the reason codes and what to do."),
        "consume": Lazy(f"{_HERE}.consume:command", "Store dead letters in Postgres, each once."),
        "groups": Lazy(f"{_HERE}.groups:command", "List failures grouped by cause."),
        "show": Lazy(f"{_HERE}.show:command", "Show a failure with its bytes and its neighbours."),
        "history": Lazy(f"{_HERE}.show:history", "Print every decision about a failure."),
        "resolve": Lazy(f"{_HERE}.deciding:resolve", "Settle failures whose cause is fixed."),
        "ignore": Lazy(f"{_HERE}.deciding:ignore", "Settle failures that do not matter."),
        "assign": Lazy(f"{_HERE}.deciding:assign", "Assign failures to someone; they stay open."),
        "reopen": Lazy(f"{_HERE}.deciding:reopen", "Reopen settled failures."),
        "note": Lazy(f"{_HERE}.deciding:note", "Add a note to the history of failures."),
        "redrive": Lazy(f"{_HERE}.redrive:command", "Send failures again; a dry run by default."),
        "quarantine": Lazy(
            f"{_HERE}.redrive:quarantine", "Give failures up; a dry run by default."
        ),
        "rebuild": Lazy(f"{_HERE}.deciding:rebuild", "Rebuild states and groups from the history."),
        "serve": Lazy(f"{_HERE}.serve:command", "Serve the web page of failures and redrives."),
    },
)


def main() -> NoReturn:
    """Entry point."""
    PROGRAM.main()


if __name__ == "__main__":
    main()
