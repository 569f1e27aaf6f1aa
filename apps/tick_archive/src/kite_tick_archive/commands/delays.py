"""``delays DAY``: how late ticks came, and whether this host's clock is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.table import Table

from kite_broker_zerodha.packets import Segment
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, NotFound
from kite_tick_archive.commands.options import Json, Root, Warehouse, a_day, settings_of
from kite_tick_archive.commands.reading import opened_batches

if TYPE_CHECKING:
    from kite_lake.delays import Spread

QUANTILES: Final = {"quickest 1 %": 0.01, "half": 0.5, "99 %": 0.99, "slowest": 1.0}
COLUMNS: Final = "instrument_token,ts_recv,ts_event"


def command(
    day: Annotated[str, typer.Argument(metavar="DAY", help="Such as 2026-11-30.")],
    as_json: Json = False,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Show by segment and hour how long after the exchange's time ticks were received.

    The exchange's times are whole seconds, so up to one second of each delay is none. Ticks in
    ltp and quote mode have no such time. Exit code 3 when even the quickest ticks came before
    they were sent, or long after: this host's clock is wrong, or the feed was late all day.
    """
    from kite_lake.delays import clock_error_s, delays

    chosen = a_day(day, "DAY")
    with opened_batches(
        None, chosen, chosen, COLUMNS, settings_of(root, warehouse=warehouse)
    ) as rows:
        found = delays(rows)
    if not found:
        raise NotFound(f"no tick of {day} has an exchange time: none was archived in full mode")
    error_s = clock_error_s(found)
    if as_json:
        print(orjson.dumps({"clock_error_s": error_s, "delays": _document(found)}).decode())
    else:
        _print(found, day)
    if error_s:
        where = "ahead of" if error_s > 0 else "behind"
        late = ", or the feed was late all day" if error_s > 0 else ""
        say(
            f"this host's clock was {abs(error_s):,.1f} s {where} the exchange's{late}: "
            "check its time service (timedatectl)"
        )
    return EXIT_FINDINGS if error_s else EXIT_DONE


def _document(found: dict[tuple[int, int], Spread]) -> list[dict[str, object]]:
    return [
        {
            "segment": _name(segment),
            "hour": hour,
            "ticks": each.ticks,
            **{f"q{share * 100:g}_s": each.quantile_s(share) for share in QUANTILES.values()},
        }
        for (segment, hour), each in sorted(found.items())
    ]


def _print(found: dict[tuple[int, int], Spread], day: str) -> None:
    table = Table(title=f"Delays of {day}, in seconds", title_justify="left")
    table.add_column("segment", no_wrap=True)
    for name in ("hour", "ticks", *QUANTILES):
        table.add_column(name, justify="right", overflow="fold")
    for (segment, hour), each in sorted(found.items()):
        spread = [f"{each.quantile_s(share):,.1f}" for share in QUANTILES.values()]
        table.add_row(_name(segment), f"{hour:02}", f"{each.ticks:,}", *spread)
    stdout.print(table)


def _name(segment: int) -> str:
    return Segment(segment).name if segment in Segment._value2member_map_ else str(segment)
