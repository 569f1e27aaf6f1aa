"""``run``: the service that archives."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE
from kite_runtime.stopping import stop_on_signals
from kite_tick_archive.commands.options import (
    Bootstrap,
    Json,
    Root,
    Warehouse,
    opener,
    registry_of,
    settings_of,
)

if TYPE_CHECKING:
    from kite_lake.counters import ArchiveCounters


def command(
    once: Annotated[
        bool, typer.Option("--once", help="Archive what is there now, and end.")
    ] = False,
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Consumer group: its members share the partitions. Progress is in the tables.",
        ),
    ] = "tick-archive",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            help="Port of /metrics, /healthz and /readyz. Default: TICK_ARCHIVE_PORT, else 9467; "
            "with --once none.",
        ),
    ] = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    warehouse: Warehouse = None,
    root: Root = Path(),
) -> int:
    """Archive ticks, feed events and dead letters, each once, until SIGTERM or Ctrl-C.

    Kafka, the catalog and the warehouse may go and come. Start several processes, and they share
    the work. With --once it ends where the topics ended at its start.
    """
    from kite_lake.counters import ArchiveMetrics
    from kite_lake.service import ArchiveService
    from kite_runtime.health import HealthServer
    from kite_runtime.logs import configure_logs

    settings = settings_of(root, bootstrap=bootstrap, warehouse=warehouse)
    kafka = settings.require_kafka()
    configure_logs(quiet=once)
    service = ArchiveService(
        kafka, opener(settings), group=group, once=once, flush_s=settings.flush_s
    )
    counters = service.counters
    with ExitStack() as stack:
        stack.enter_context(stop_on_signals(service.stop.set))
        if not once or port is not None:
            wanted = settings.port if port is None else port
            registry = registry_of(ArchiveMetrics(counters))
            other = "--port 9470 or TICK_ARCHIVE_PORT=9470"
            pages = HealthServer(wanted, registry, counters.problems, other_port=other)
            say(f"metrics and health on http://127.0.0.1:{stack.enter_context(pages).port}")
        service.run()
    _report(counters, as_json)
    return EXIT_DONE


def _report(counters: ArchiveCounters, as_json: bool) -> None:
    counts = {
        name: getattr(counters, name)
        for name in ("commits", "files", "repeats", "malformed", "offsets_lost")
    }
    rows = dict(sorted(counters.rows.items()))
    if as_json:
        print(orjson.dumps({"rows": rows, **counts}).decode())
        return
    shown = [f"{count:,} rows of {topic}" for topic, count in rows.items()] or ["nothing new"]
    noted = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    say("archived: " + ", ".join(shown + noted))
