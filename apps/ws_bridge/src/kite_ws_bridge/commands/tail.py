"""``tail``: what arrives in a topic, as a live table in a terminal and JSON lines in a pipe."""

from __future__ import annotations

import base64
import sys
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.live import Live
from rich.table import Table

from kite_kafka_io.errors import MalformedRecord
from kite_live_feed.topics import TICKS
from kite_runtime.console import stdout
from kite_ws_bridge.commands.options import Bootstrap, Root, kafka_settings

if TYPE_CHECKING:
    from kite_kafka_io.consumer import ReceivedRecord, RecordReader, TickReader
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
"""The table's columns and their least widths: a narrow terminal cuts what stands to the right."""


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
    if topic != TICKS:
        with RecordReader(
            kafka, [topic], start=start, until_end=until_end, framing=framing
        ) as records:
            _print_records(records, count)
        return 0
    with TickReader(kafka, topic, start=start, until_end=until_end, framing=framing) as ticks:
        (_show_table if stdout.is_terminal else _print_ticks)(ticks, count)
    return 0


def _print_records(records: RecordReader, count: int) -> None:
    for number, record in enumerate(records, start=1):
        _print(_record_object(record))
        if number == count:
            return


def _print_ticks(ticks: TickReader, count: int) -> None:
    from kite_ws_bridge.tick_json import tick_object

    number = 0
    for columns in ticks:
        for row in range(len(columns)):
            _print(
                {
                    "partition": int(columns.partition[row]),
                    "offset": int(columns.offset[row]),
                    **tick_object(columns.batch, row),
                }
            )
            number += 1
            if number == count:
                return


def _show_table(ticks: TickReader, count: int) -> None:
    from kite_ws_bridge.tick_json import tick_object

    last: OrderedDict[int, dict[str, Any]] = OrderedDict()
    number = 0
    with Live(console=stdout, refresh_per_second=4) as display:
        for columns in ticks:
            for row in range(len(columns)):
                tick = tick_object(columns.batch, row)
                last[tick["instrument_token"]] = tick
                last.move_to_end(tick["instrument_token"])
                number += 1
                if number == count:
                    break
            while len(last) > ROWS_SHOWN:
                last.popitem(last=False)
            display.update(_table(last, number))
            if number == count:
                return


def _table(last: OrderedDict[int, dict[str, Any]], number: int) -> Table:
    table = Table(title=f"{number:,} ticks", title_justify="left")
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
    sys.stdout.write(orjson.dumps(each).decode() + "\n")
    sys.stdout.flush()
