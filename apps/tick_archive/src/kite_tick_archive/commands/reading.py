"""``read`` and ``export``: ticks out of the archive."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, NotFound
from kite_tick_archive.commands.options import (
    Root,
    Warehouse,
    a_day,
    names,
    opened,
    settings_of,
)
from kite_tick_archive.settings import ArchiveSettings

Instruments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INSTRUMENT]...", help="Tokens, or names such as NSE:INFY; all without one."
    ),
]
First = Annotated[str, typer.Option("--from", metavar="DAY", help="First trading day.")]
Last = Annotated[
    str | None,
    typer.Option("--to", metavar="DAY", help="Last trading day. Default: that of --from."),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAMES", help="Only these, with commas between them."),
]


def read(
    first: First,
    instruments: Instruments = None,
    last: Last = None,
    columns: Columns = None,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Print ticks as JSON lines: prices as integers of price_scale decimals, times in UTC."""
    settings = settings_of(root, warehouse=warehouse)
    start, end = a_day(first, "--from"), a_day(last or first, "--to")
    with opened_batches(instruments, start, end, columns, settings) as reader:
        out = sys.stdout.buffer
        for batch in reader:
            for row in batch.to_pylist():
                out.write(orjson.dumps(row, default=_plain) + b"\n")
        out.flush()
    return EXIT_DONE


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .parquet or .csv.")],
    first: First,
    instruments: Instruments = None,
    last: Last = None,
    columns: Columns = None,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Write ticks to a file, a batch at a time: the file may be larger than memory."""
    from kite_lake.export import check_suffix, write

    check_suffix(file)
    settings = settings_of(root, warehouse=warehouse)
    start, end = a_day(first, "--from"), a_day(last or first, "--to")
    with opened_batches(instruments, start, end, columns, settings) as reader:
        rows = write(reader, file)
    say(f"{rows:,} ticks in {file}")
    return EXIT_DONE


@contextmanager
def opened_batches(
    instruments: Sequence[str] | None,
    start: date | datetime,
    end: date,
    columns: str | None,
    settings: ArchiveSettings,
) -> Iterator[Any]:
    """The ticks as batches. Raises NotFound where there is none."""
    from kite_lake.export import nonempty
    from kite_lake.reading import read_ticks

    chosen = instruments or []
    with opened(settings) as lake, names(settings) as resolve:
        reader = read_ticks(
            lake,
            tokens=[int(each) for each in chosen if _is_token(each)],
            symbols=[each for each in chosen if not _is_token(each)],
            start=start,
            end=end,
            columns=[each.strip() for each in columns.split(",")] if columns else None,
            as_="batches",
            resolve=resolve,
        )
        found = nonempty(reader)
        if found is None:
            of = f" of {', '.join(chosen)}" if chosen else ""
            until = f" to {end}" if end != start else ""
            raise NotFound(
                f"no tick{of} from {start}{until} is archived in {lake.warehouse}: "
                "`tick_archive status` lists the days"
            )
        yield found


def _is_token(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _plain(value: Any) -> Any:
    """Timestamps of nanoseconds as ISO text with all digits."""
    return value.isoformat()
