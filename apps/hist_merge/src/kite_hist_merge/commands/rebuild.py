"""``rebuild``: the golden bars from the observations alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from kite_hist_merge.commands.options import Recorded, open_stores, settings_of
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, NotFound
from kite_runtime.options import AsJson, Root

if TYPE_CHECKING:
    from kite_bars_store.bars import GoldenCount
    from kite_bars_store.stores import Stores


def a_month(text: str) -> date:
    """The first day of a month as it is typed. Raises BadParameter."""
    try:
        return date.fromisoformat(f"{text.strip()}-01")
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no month such as 2026-06") from error


Month = Annotated[
    date | None,
    typer.Option(
        "--month", metavar="YYYY-MM", parser=a_month, help="Only this month. Default: all."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Compare and show what differs; write nothing.")
]


def command(
    interval: Annotated[
        Recorded | None, typer.Option("--interval", help="Only minutes or days. Default: both.")
    ] = None,
    month: Month = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Rebuild the golden bars from the observations, and report how many were wrong.

    They are kept up to date by every merge; this is for after a change of merge.toml or
    sessions.toml, a repair by hand, or to be certain. With --dry-run exit code 3 means that some
    differ. A reader sees the old bars of a month until all of its new ones are there.
    """
    from kite_bars_store.bars import GoldenCount

    total = GoldenCount()
    with open_stores(settings_of(root)) as stores:
        pieces = [
            (each, first)
            for each, first in stores.bars.months(interval)
            if month is None or first == month
        ]
        if not pieces:
            which = "no bars were merged yet" if month is None else f"no bars of {month:%Y-%m}"
            raise NotFound(f"there is nothing to rebuild: {which}")
        for number, (each, first) in enumerate(pieces, 1):
            count = _rebuilt(stores, each, first, dry_run)
            total += count
            if as_json:
                print(orjson.dumps(_object(each, first, count)).decode())
            else:
                say(f"{number}/{len(pieces)} {each} {first:%Y-%m}: {_told(count)}")
    if not as_json:
        _summarize(total, len(pieces), dry_run)
    return EXIT_FINDINGS if dry_run and total.written else EXIT_DONE


def _rebuilt(stores: Stores, interval: str, month: date, dry_run: bool) -> GoldenCount:
    if not dry_run:
        return stores.bars.rebuild(interval, month)
    with _undone(stores):
        return stores.bars.rebuild(interval, month)


@contextmanager
def _undone(stores: Stores) -> Iterator[None]:
    """Rolls back what the block writes."""
    from kite_bars_store.database import transaction

    try:
        with transaction(stores.connection, "comparing golden bars"):
            yield
            raise _Undo
    except _Undo:
        return


class _Undo(Exception):
    """Ends a dry run."""


def _told(count: GoldenCount) -> str:
    bars = count.verdicts.total()
    if not count.written:
        return f"{bars:,} bars, all as they should be"
    return (
        f"{bars:,} bars, {count.written:,} differed ({count.inserted:,} were missing, "
        f"{count.updated:,} had other values, {count.deleted:,} should not be there)"
    )


def _summarize(total: GoldenCount, months: int, dry_run: bool) -> None:
    stdout.print(f"{months:,} month{'' if months == 1 else 's'}: {_told(total)}")
    if total.outside:
        stdout.print(f"{total.outside:,} observed bars are outside the session and never golden")
    if dry_run:
        stdout.print("nothing was written: a dry run")


def _object(interval: str, month: date, count: GoldenCount) -> dict[str, Any]:
    return {
        "interval": interval,
        "month": f"{month:%Y-%m}",
        "bars": count.verdicts.total(),
        "inserted": count.inserted,
        "updated": count.updated,
        "deleted": count.deleted,
        "outside": count.outside,
        "verdicts": {verdict.name: n for verdict, n in sorted(count.verdicts.items())},
    }
