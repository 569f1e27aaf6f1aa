"""The command line of the golden bars."""

from __future__ import annotations

from typing import Final, NoReturn

from kite_runtime.command_line import Lazy, Program

_HERE: Final = "kite_hist_merge.commands"

PROGRAM: Final = Program(
    "hist_merge",
    "Golden bars: the history of a vendor and of the broker, merged by stated rules; every value "
    "can be explained.",
    away="the database, Kafka or Kite",
    commands={
        "daily": Lazy(f"{_HERE}.daily:command", "Merge vendor and Kite bars of some days."),
        "reconcile": Lazy(f"{_HERE}.reconcile:command", "Compare both feeds, report differences."),
        "layout": Lazy(f"{_HERE}.layout:command", "Show how a vendor's file is read."),
        "backfill": Lazy(f"{_HERE}.backfill:command", "Fetch the history of new instruments."),
        "heal": Lazy(f"{_HERE}.heal:command", "Fetch the minutes of the live feed's gaps."),
        "show": Lazy(f"{_HERE}.show:command", "Show one bar, its sources and why it is so."),
        "findings": Lazy(f"{_HERE}.findings:command", "List flags, conflicts and missing minutes."),
        "revisions": Lazy(f"{_HERE}.revisions:command", "List stretches that a source restated."),
        "accept": Lazy(f"{_HERE}.revisions:accept", "Let a revision count."),
        "reject": Lazy(f"{_HERE}.revisions:reject", "Leave the golden bars as they are."),
        "export": Lazy(f"{_HERE}.export:command", "Write golden bars as Parquet."),
        "report": Lazy(f"{_HERE}.report:command", "Write an HTML report on the golden minutes."),
        "rebuild": Lazy(f"{_HERE}.rebuild:command", "Rebuild the golden bars from observations."),
    },
)


def main() -> NoReturn:
    """Entry point."""
    PROGRAM.main()


if __name__ == "__main__":
    main()
