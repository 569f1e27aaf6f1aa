"""The command line of the archive. ``tick_archive`` alone means ``tick_archive run``."""

from __future__ import annotations

from typing import Final, NoReturn

from kite_runtime.command_line import Lazy, Program

_HERE: Final = "kite_tick_archive.commands"

PROGRAM: Final = Program(
    "tick_archive",
    "Ticks at rest: the topics ticks, feed.events and ticks.dlq in Iceberg tables, each record "
    "once. Without a command it archives.",
    away="Kafka, the catalog or Postgres",
    default="run",
    commands={
        "run": Lazy(f"{_HERE}.run:command", "Archive what comes, until Ctrl-C or SIGTERM."),
        "bars": Lazy(
            f"{_HERE}.bars:command", "Make live bars from ticks, until Ctrl-C or SIGTERM."
        ),
        "status": Lazy(f"{_HERE}.status:command", "Show the archived days and the lag."),
        "verify": Lazy(f"{_HERE}.verify:command", "Prove that a day is complete."),
        "delays": Lazy(f"{_HERE}.delays:command", "Show how late a day's ticks came."),
        "read": Lazy(f"{_HERE}.reading:read", "Print ticks as JSON lines."),
        "export": Lazy(f"{_HERE}.reading:export", "Write ticks to a Parquet or CSV file."),
        "serve": Lazy(f"{_HERE}.serve:command", "Serve a day over Kite's protocol."),
        "compact": Lazy(f"{_HERE}.upkeep:compact", "Merge the small files of closed days."),
        "prune": Lazy(f"{_HERE}.upkeep:prune", "Drop old days; a dry run by default."),
    },
)


def main() -> NoReturn:
    """Entry point."""
    PROGRAM.main()


if __name__ == "__main__":
    main()
