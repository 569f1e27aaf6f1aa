"""``verify DAY``: the ledger of a day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.table import Table

from kite_runtime.clock import IST
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_tick_archive.commands.options import (
    Json,
    Root,
    Warehouse,
    a_day,
    opened,
    settings_of,
)

if TYPE_CHECKING:
    from kite_lake.ledger import DayLedger, Hole

HOLES_SHOWN: Final = 20


def command(
    day: Annotated[str, typer.Argument(metavar="DAY", help="Such as 2026-11-30.")],
    as_json: Json = False,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Prove from its own numbers that a day is complete, and print the ledger.

    Each number of a feed session must be there once, or be a dead letter, or lie in a gap that the
    feed announced. Exit code 3 when one is missing or there twice.
    """
    from kite_lake.ledger import verify

    settings = settings_of(root, warehouse=warehouse)
    with opened(settings) as lake:
        ledger = verify(lake, a_day(day, "DAY"))
    if as_json:
        print(orjson.dumps(_document(ledger)).decode())
    else:
        _print(ledger)
    return EXIT_DONE if ledger.is_complete else EXIT_FINDINGS


def _document(ledger: DayLedger) -> dict[str, object]:
    return {
        "day": ledger.day,
        "rows": ledger.rows,
        "complete": ledger.is_complete,
        "sessions": [
            {**vars(each), "missing": [vars(hole) for hole in each.missing]}
            for each in ledger.sessions
        ],
    }


def _print(ledger: DayLedger) -> None:
    table = Table(title=f"{ledger.rows:,} ticks of {ledger.day}", title_justify="left")
    table.add_column("feed session", no_wrap=True)
    for name in (
        "shard",
        "first",
        "last",
        "ticks",
        "repeats",
        "dead letters",
        "in gaps",
        "missing",
    ):
        table.add_column(name, justify="right", overflow="fold")
    for each in ledger.sessions:
        counts = (each.repeats, each.dead_letters, each.in_gaps, each.missing_count)
        begun = datetime.fromtimestamp(each.session / 1e9, UTC).astimezone(IST)
        table.add_row(
            f"{begun:%Y-%m-%d %H:%M:%S}",
            str(each.shard),
            f"{each.first:,}",
            f"{each.last:,}",
            f"{each.rows:,}",
            *[f"{count:,}" for count in counts],
        )
    stdout.print(table)
    holes = [(each, hole) for each in ledger.sessions for hole in each.missing]
    for each, hole in holes[:HOLES_SHOWN]:
        say(
            f"missing: {hole.count:,} ticks of session {each.session} (shard {each.shard}), "
            f"numbers {hole.first:,} to {hole.last:,}, {_times(hole)}"
        )
    if len(holes) > HOLES_SHOWN:
        say(f"and {len(holes) - HOLES_SHOWN:,} more holes; --json has them all")
    if ledger.is_complete:
        say(f"{ledger.day} is complete: each number is there once, or has its reason")


def _times(hole: Hole) -> str:
    first, last = _time(hole.before_ns), _time(hole.after_ns)
    return f"received between {first or 'the start'} and {last or 'the end'}"


def _time(ts_ns: int) -> str:
    if not 0 < ts_ns < 2**62:
        return ""
    return f"{datetime.fromtimestamp(ts_ns / 1e9, UTC).astimezone(IST):%H:%M:%S.%f}"[:-3]
