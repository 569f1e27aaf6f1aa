"""``status``: what is archived, how far behind Kafka, and which contracts expire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.table import Table

from kite_kafka_io.errors import KafkaIoError
from kite_runtime.clock import today
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE
from kite_tick_archive.commands.expiring import Expiring, expiring
from kite_tick_archive.commands.options import (
    Bootstrap,
    Json,
    Root,
    Warehouse,
    opened,
    settings_of,
)

if TYPE_CHECKING:
    from kite_lake.overview import ArchivedDay

DAYS_SHOWN: Final = 15


def command(
    expire_within: Annotated[
        int,
        typer.Option(
            "--expire-within",
            min=0,
            max=60,
            metavar="DAYS",
            help="Contracts that expire or expired within so many days, with POSTGRES_DSN.",
        ),
    ] = 3,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Show the archived days with rows, files and bytes, and the lag where Kafka answers.

    Where POSTGRES_DSN is set also the archived contracts that expire soon, and of those that
    expired whether their last day is complete.
    """
    from kite_kafka_io.topics import end_offsets
    from kite_lake.overview import days, lag
    from kite_lake.service import TICKS_TOPIC
    from kite_lake.tables import TICKS

    settings = settings_of(root, bootstrap=bootstrap, warehouse=warehouse)
    with opened(settings) as lake:
        found = days(lake)
        behind: int | None = None
        trouble = None
        if settings.kafka is not None:
            try:
                behind = lag(lake, TICKS, TICKS_TOPIC, end_offsets(settings.kafka, TICKS_TOPIC))
            except KafkaIoError as exc:
                trouble = str(exc)
        contracts: list[Expiring] = []
        if settings.postgres_dsn:
            contracts = expiring(lake, settings.postgres_dsn, today(), expire_within)
    if as_json:
        document = {
            "warehouse": lake.warehouse,
            "days": [vars(each) for each in found],
            "lag": behind,
            "expiring": [each._asdict() for each in contracts],
        }
        print(orjson.dumps(document).decode())
        return EXIT_DONE
    if not found:
        say(f"nothing is archived in {lake.warehouse} yet")
    else:
        _print_days(found)
    if behind is not None:
        say(f"{behind:,} offsets of {TICKS_TOPIC} are not archived yet")
    if trouble is not None:
        say(f"the lag is unknown: {trouble}")
    if contracts:
        _print_contracts(contracts)
    return EXIT_DONE


def _print_days(found: list[ArchivedDay]) -> None:
    total = sum(each.rows for each in found)
    table = Table(title=f"{total:,} ticks in {len(found)} days", title_justify="left")
    table.add_column("trading day", no_wrap=True)
    for name in ("ticks", "files", "MiB", "bytes a tick"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found[-DAYS_SHOWN:]:
        mebibytes, share = each.size / 2**20, each.size / each.rows
        table.add_row(
            str(each.day), f"{each.rows:,}", f"{each.files:,}", f"{mebibytes:,.1f}", f"{share:.1f}"
        )
    stdout.print(table)
    if len(found) > DAYS_SHOWN:
        stdout.print(f"{len(found) - DAYS_SHOWN} earlier days; --json has them all")


def _print_contracts(contracts: list[Expiring]) -> None:
    table = Table(title="Contracts that expire", title_justify="left")
    for name in ("contract", "expiry", "last day"):
        table.add_column(name, overflow="fold")
    for each in contracts:
        table.add_row(f"{each.exchange}:{each.tradingsymbol}", str(each.expiry), each.last_day)
    stdout.print(table)
