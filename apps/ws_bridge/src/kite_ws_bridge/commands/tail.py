"""``tail``: what arrives in a topic, as a live table in a terminal and JSON lines in a pipe."""

from __future__ import annotations

import base64
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.live import Live

from kite_kafka_io.errors import MalformedRecord
from kite_live_feed.topics import TICKS
from kite_runtime.console import clean_json, stdout
from kite_runtime.options import Bootstrap, Root
from kite_runtime.tables import SparingTable
from kite_ws_bridge.commands.options import kafka_settings

if TYPE_CHECKING:
    from kite_kafka_io.columns import TickColumns
    from kite_kafka_io.consumer import ReceivedRecord, TickReader
    from kite_kafka_io.source import Start

ROWS_SHOWN: Final = 30
_COLUMNS: Final = {
    "instrument": 10,
    "last price": 10,
    "time (UTC)": 9,
    "mode": 0,
    "best bid": 0,
    "best ask": 0,
    "volume": 0,
}
"""The table's columns and their least widths."""


def command(
    topic: Annotated[str, typer.Argument(help="ticks, ticks.dlq, feed.events, bars …")] = TICKS,
    beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record.")
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop where the topic ends now.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", min=0, help="Stop after this many; 0 never.")
    ] = 0,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Show what arrives in a topic until Ctrl-C.

    In a terminal: a table with the last tick of each instrument. In a pipe: one JSON object a line,
    ticks as `decode` prints them, dead letters with reason and bytes, other records as they are.
    """
    from kite_kafka_io.consumer import RecordReader, TickReader
    from kite_kafka_io.registry import open_framing
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    kafka = kafka_settings(bootstrap, root)
    framing = open_framing(kafka)
    start: Start = "earliest" if beginning else "latest"
    most = count or None
    if topic != TICKS:
        with RecordReader(
            kafka, [topic], start=start, until_end=until_end, framing=framing
        ) as records:
            for record in islice(records, most):
                _print(_record_object(record))
        return 0
    with TickReader(kafka, topic, start=start, until_end=until_end, framing=framing) as ticks:
        if stdout.is_terminal:
            _show_table(ticks, most)
            return 0
        for place, tick in islice(_ticks(ticks), most):
            _print(place | tick)
    return 0


def _ticks(batches: Iterable[TickColumns]) -> Iterator[tuple[dict[str, int], dict[str, Any]]]:
    """Where each tick lies, and the tick as ``decode`` prints it."""
    from kite_ws_bridge.tick_json import tick_object

    for columns in batches:
        for row in range(len(columns)):
            place = {"partition": int(columns.partition[row]), "offset": int(columns.offset[row])}
            yield place, tick_object(columns.batch, row)


def _show_table(ticks: TickReader, most: int | None) -> None:
    last: OrderedDict[int, dict[str, Any]] = OrderedDict()
    number = 0
    with Live(console=stdout, refresh_per_second=4) as display:
        for columns in ticks:
            for _, tick in islice(_ticks([columns]), None if most is None else most - number):
                last[tick["instrument_token"]] = tick
                last.move_to_end(tick["instrument_token"])
                number += 1
            while len(last) > ROWS_SHOWN:
                last.popitem(last=False)
            display.update(_table(last, number))
            if number == most:
                return


def _table(last: OrderedDict[int, dict[str, Any]], number: int) -> SparingTable:
    spare = ("mode", "best ask", "best bid")
    table = SparingTable(title=f"{number:,} ticks", title_justify="left", spare=spare)
    for name, width in _COLUMNS.items():
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for token, tick in sorted(last.items()):
        bid, ask = (
            f"{side[0]['price']} x {side[0]['quantity']}" if side else ""
            for side in (tick["bids"], tick["asks"])
        )
        volume = "" if tick["volume_day"] is None else f"{tick['volume_day']:,}"
        when = (tick["ts_event"] or "").partition("T")[2]
        table.add_row(str(token), tick["last_price"], when, tick["mode"], bid, ask, volume)
    return table


def _record_object(record: ReceivedRecord) -> dict[str, Any]:
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    headers = {name: _text(value) for name, value in record.headers}
    if headers:
        place["headers"] = headers
    try:
        return {**place, "record": record.decode().record}
    except MalformedRecord:
        return {**place, "raw": base64.b64encode(record.value).decode()}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _print(each: dict[str, Any]) -> None:
    sys.stdout.write(clean_json(orjson.dumps(each).decode()) + "\n")
    sys.stdout.flush()
