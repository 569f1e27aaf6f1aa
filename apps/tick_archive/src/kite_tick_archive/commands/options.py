"""Options that several commands share, and how they open the archive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_runtime.errors import NotFound, UsageError
from kite_tick_archive.settings import ArchiveSettings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from kite_lake.catalog import Lake
    from kite_lake.reading import Resolve

Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Kafka brokers. Default: KAFKA_BOOTSTRAP of the environment or .infra/.env.",
    ),
]
Warehouse = Annotated[
    str | None,
    typer.Option(
        "--warehouse",
        metavar="PLACE",
        help="Folder or address of the tables. Default: TICK_ARCHIVE_WAREHOUSE.",
    ),
]
Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Folder with .env and .infra/.env."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def settings_of(
    root: Path, *, bootstrap: str | None = None, warehouse: str | None = None
) -> ArchiveSettings:
    """The settings of the files and the environment, options winning."""
    return ArchiveSettings.load(root, os.environ, bootstrap=bootstrap, warehouse=warehouse)


def opener(settings: ArchiveSettings) -> Callable[[], Lake]:
    """What opens the archive of these settings."""
    from kite_lake.catalog import open_lake

    return lambda: open_lake(settings.warehouse, settings.catalog, buckets=settings.buckets)


@contextmanager
def opened(settings: ArchiveSettings) -> Iterator[Lake]:
    """The archive, for one command."""
    with closing(opener(settings)()) as lake:
        yield lake


def registry_of(collector: Collector) -> CollectorRegistry:
    """What a service of this program shows in `/metrics`."""
    from prometheus_client import (
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
    )

    from kite_runtime.health import BuildInfoCollector

    registry = CollectorRegistry()
    registry.register(BuildInfoCollector("tick_archive"))
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def a_day(text: str, option: str) -> date:
    """``2026-11-30`` or ``20261130``. Raises UsageError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text[:40]!r} is no day: write it like 2026-11-30") from None


@contextmanager
def names(settings: ArchiveSettings) -> Iterator[Resolve]:
    """Names by the instrument history; without POSTGRES_DSN a name is refused with a sentence."""
    from kite_bars_store.database import connect
    from kite_bars_store.instruments.store import InstrumentStore
    from kite_lake.reading import Named

    with ExitStack() as stack:
        stores: list[InstrumentStore] = []

        def resolve(name: str, first: date, last: date) -> list[Named]:
            if not stores:
                dsn = settings.require_postgres()
                connection = connect(dsn, application_name="tick_archive")
                stores.append(InstrumentStore(stack.enter_context(closing(connection))))
                stores[0].check()
            exchange, _, symbol = name.upper().rpartition(":")
            found = [
                Named(
                    each.instrument_token,
                    max(first, each.valid_from),
                    last if each.valid_to is None else each.valid_to - timedelta(days=1),
                )
                for each in stores[0].by_symbol(symbol, exchange or None)
                if each.valid_from <= last and (each.valid_to is None or each.valid_to > first)
            ]
            if not found:
                raise NotFound(
                    f"the instrument history knows no {name} between {first} and {last}: "
                    "`instruments lookup` shows what there is"
                )
            return found

        yield resolve
