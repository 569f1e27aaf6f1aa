"""``export``: golden bars as Parquet files."""

from __future__ import annotations

from collections import Counter
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer

from kite_hist_merge.commands.options import AsOf, WithBars, open_stores, settings_of
from kite_runtime.console import say, stdout
from kite_runtime.errors import NotFound, UsageError
from kite_runtime.options import AsJson, Root, a_date

if TYPE_CHECKING:
    from kite_bars_store.bars.export import Done
    from kite_bars_store.stores import Stores

_MIB: Final = 1 << 20


class Interval(StrEnum):
    """What `BarStore.read_bars` answers."""

    M1 = "m1"
    M5 = "m5"
    M15 = "m15"
    H1 = "h1"
    D1 = "d1"


def command(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the files. Default: parquet."),
    ] = None,
    interval: Annotated[
        Interval, typer.Option("--interval", help="Length of the bars.")
    ] = Interval.M1,
    first: Annotated[
        date | None,
        typer.Option(
            "--from",
            metavar="DATE",
            parser=a_date,
            help="From the month of this day on: 2024-01-05 or 20240105. Default: the first.",
        ),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option(
            "--to",
            metavar="DATE",
            parser=a_date,
            help="To the month of this day. Default: the last.",
        ),
    ] = None,
    symbols: WithBars = None,
    as_of: AsOf = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read everything, write nothing, show what would be.")
    ] = False,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Write golden bars as Parquet: DIR/interval=m1/exchange=NSE/month=2026-06/bars.parquet.

    Whole months always. The same bars give the same bytes, and a file that would not change is not
    touched. After Ctrl-C run it again.
    """
    from kite_bars_store.bars import BarSurvey
    from kite_bars_store.bars.export import Request, export, pieces

    settings = settings_of(root)
    folder = root / "parquet" if out is None else out
    total: Counter[str] = Counter()
    with open_stores(settings) as stores:
        recorded = "d1" if interval is Interval.D1 else "m1"
        survey = BarSurvey(stores.connection, recorded)
        request = Request(
            str(interval),
            _months(stores, recorded, first, last),
            None if symbols is None else tuple(dict.fromkeys(symbols)),
            as_of,
        )
        for piece in pieces(survey, request):
            done = export(stores, piece, folder, dry_run=dry_run)
            if done is None:
                continue
            total.update({str(done.state): 1, "rows": done.rows, "bytes": done.size})
            if as_json:
                print(orjson.dumps(_object(done, folder)).decode(), flush=True)
            else:
                say(f"{folder / piece.path}: {done.rows:,} bars, {done.size:,} bytes, {done.state}")
    if not total:
        raise NotFound("there are no such bars to export: `report` shows what there is")
    if not as_json:
        _summarize(total, folder, dry_run)
    return 0


def _months(
    stores: Stores, recorded: str, first: date | None, last: date | None
) -> tuple[date, ...]:
    if first is not None and last is not None and last < first:
        raise UsageError(f"--to {last} is before --from {first}: exchange them")
    return tuple(
        month
        for _, month in stores.bars.months(recorded)
        if (first is None or month >= first.replace(day=1)) and (last is None or month <= last)
    )


def _object(done: Done, folder: Path) -> dict[str, object]:
    return {
        "file": str(folder / done.piece.path),
        "state": str(done.state),
        "rows": done.rows,
        "bytes": done.size,
        "instruments": len(done.piece.instruments),
    }


def _summarize(total: Counter[str], folder: Path, dry_run: bool) -> None:
    from kite_bars_store.bars.export import State

    states = ", ".join(f"{total[str(state)]:,} {state}" for state in State)
    size = total["bytes"] / _MIB
    stdout.print(f"{folder}: {total['rows']:,} bars in {size:,.1f} MiB; files: {states}")
    if dry_run:
        stdout.print("nothing was written: a dry run")
