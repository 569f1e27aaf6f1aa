"""The command line of the instrument master."""

from __future__ import annotations

from typing import Final, NoReturn

from kite_runtime.command_line import Lazy, Program

_HERE: Final = "kite_instruments.commands"

PROGRAM: Final = Program(
    "instruments",
    "Reference data as history: the instrument master of every day, the tradable universe as "
    "files, the daily login, and the sessions of the exchanges.",
    away="the database, Kafka or Kite",
    commands={
        "sync": Lazy(f"{_HERE}.sync:command", "Record today's instrument master, publish changes."),
        "export": Lazy(f"{_HERE}.export:command", "Write tokens.csv and universe_NAME.csv."),
        "diff": Lazy(f"{_HERE}.diff:command", "Compare two days or two files."),
        "lookup": Lazy(f"{_HERE}.lookup:command", "Find instruments, also as of another day."),
        "days": Lazy(f"{_HERE}.days:command", "List the recorded dumps."),
        "publish": Lazy(f"{_HERE}.sync:publish_command", "Publish recorded changes to Kafka."),
        "rebuild": Lazy(f"{_HERE}.days:rebuild", "Rebuild the validity ranges from the dumps."),
        "calendar": Lazy(f"{_HERE}.calendar:command", "Explain a day, or list a span of days."),
        "auth": Lazy(f"{_HERE}.auth:app", "Log in at Kite: page, token of the day, expiry."),
    },
)


def main() -> NoReturn:
    """Entry point."""
    PROGRAM.main()


if __name__ == "__main__":
    main()
