"""``serve``: an archived day over Kite's own protocol, for any Kite client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, UsageError
from kite_tick_archive.commands.options import Root, Warehouse, a_day, settings_of
from kite_tick_archive.commands.reading import opened_batches
from kite_tick_archive.settings import ArchiveSettings

if TYPE_CHECKING:
    from kite_simulator.recorded import RecordedFrame


def command(
    day: Annotated[str, typer.Argument(metavar="DAY", help="Trading day to serve.")],
    instruments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INSTRUMENT]...", help="Tokens, or names such as NSE:INFY; all without one."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="HH:MM", help="From this time of the day on (IST)."),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(
            "--speed", min=0, help="10 is ten times as fast as the day was; 0 as fast as it goes."
        ),
    ] = 1.0,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes any free one.")
    ] = 8765,
    rest_port: Annotated[
        int, typer.Option("--rest-port", min=0, max=65_535, help="Port of the REST API.")
    ] = 8766,
    master: Annotated[
        Path | None,
        typer.Option(
            "--instruments",
            metavar="FILE",
            help="Serve this instrument master over REST.",
            show_default="that of the day, with POSTGRES_DSN",
        ),
    ] = None,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Serve the ticks of a day as they were received, over Kite's WebSocket, until Ctrl-C.

    Each client gets what it subscribes to, in the order and at the distances of the day. The day
    stands still while nobody is subscribed. REST has login, instruments and last prices, and no
    candles. The ticks are sorted in temporary files first (TMPDIR).
    Example: tick_archive serve 2026-11-30 NSE:INFY --start 09:15 --speed 10.
    """
    from kite_lake.replaying import received
    from kite_simulator.account import Account
    from kite_simulator.cli import API_SECRET, serve
    from kite_simulator.kite import SimulatedKite
    from kite_simulator.recorded import frames_of
    from kite_simulator.rest import RestOptions
    from kite_simulator.server import SimulatorOptions

    settings = settings_of(root, warehouse=warehouse)
    trading_day = a_day(day, "DAY")
    since = datetime.combine(trading_day, _time(start)) if start else trading_day
    rest = RestOptions(
        port=rest_port,
        day=trading_day,
        master_file=master,
        master=None if master else _master_of(settings, trading_day),
    )
    with opened_batches(instruments, since, trading_day, None, settings) as reader:
        say(f"sorting the ticks of {day}")
        recording = _begun(frames_of(received(reader)))
        try:
            kite = SimulatedKite(
                SimulatorOptions(port=port, speed=speed),
                rest,
                Account(None, API_SECRET, open_until_login=True),
                recording,
            )
        except OSError as error:
            raise UsageError(
                f"--instruments {master} cannot be read ({error.strerror}): give a CSV file"
            ) from error
        asyncio.run(serve(kite))
    return EXIT_DONE


def _begun(
    parts: Iterator[Sequence[RecordedFrame]],
) -> Iterator[Sequence[RecordedFrame]]:
    """The same, read up to its first part: what is wrong shows before anybody connects."""
    return chain([next(parts)], parts)


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start {text[:40]!r} is no time: write it like 09:15") from None


def _master_of(settings: ArchiveSettings, day: date) -> bytes:
    """The instruments of the day by the history; none without POSTGRES_DSN."""
    from kite_simulator.master import Listing, master_csv

    if not settings.postgres_dsn:
        say("REST lists no instruments: set POSTGRES_DSN, or give --instruments FILE")
        return master_csv([])
    from kite_bars_store.database import connect
    from kite_bars_store.instruments.records import price
    from kite_bars_store.instruments.store import InstrumentStore

    with closing(connect(settings.postgres_dsn, application_name="tick_archive")) as connection:
        store = InstrumentStore(connection)
        store.check()
        rows = store.at(day).to_pylist()
    return master_csv(
        [
            Listing(
                instrument_token=row["instrument_token"],
                tradingsymbol=row["tradingsymbol"],
                name=row["name"] or "",
                expiry=row["expiry"],
                strike=price(row["strike"] or 0, row["price_scale"]),
                tick_size=price(row["tick_size"], row["price_scale"]),
                lot_size=row["lot_size"],
                instrument_type=row["instrument_type"],
                segment=row["segment"],
                exchange=row["exchange"],
            )
            for row in rows
        ]
    )
