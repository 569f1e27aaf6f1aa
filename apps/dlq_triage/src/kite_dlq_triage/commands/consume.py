"""``consume``: the service that stores dead letters in Postgres."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from kite_dead_letters.defaults import GROUP
from kite_dlq_triage.commands.options import Topics, settings_of, topics_of
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_runtime.options import Bootstrap, Root
from kite_runtime.stopping import stop_on_signals

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from kite_dead_letters.intake import IntakeCounters


def command(
    topic: Topics = None,
    group: Annotated[
        str, typer.Option("--group", metavar="NAME", help="Consumer group; keeps the progress.")
    ] = GROUP,
    once: Annotated[bool, typer.Option("--once", help="Store what is there now, and end.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            help="Port of /metrics, /healthz and /readyz. Default: DLQ_TRIAGE_PORT, else 9465; "
            "with --once none.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the counts at the end as one JSON object.")
    ] = False,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Store dead letters in Postgres, each once, until SIGTERM or Ctrl-C.

    Kafka and Postgres may go and come. Offsets are committed after the rows: nothing is lost. With
    --once it ends at the end of the topics; exit code 3 means that it stored something.
    """
    from kite_dead_letters.dialect_files import read_table
    from kite_dead_letters.intake import IntakeCounters
    from kite_dead_letters.service import IntakeService
    from kite_runtime.health import HealthServer
    from kite_runtime.logs import configure_logs

    settings = settings_of(root, bootstrap)
    kafka, dsn = settings.require_kafka(), settings.require_postgres()
    configure_logs(quiet=once)
    counters = IntakeCounters()
    service = IntakeService(
        kafka,
        dsn,
        topics_of(topic),
        group=group,
        once=once,
        counters=counters,
        table=read_table(settings.dialects),
    )
    with ExitStack() as opened:
        opened.enter_context(stop_on_signals(service.stop.set))
        if not once or port is not None:
            wanted = settings.port if port is None else port
            other = "--port 9466 or DLQ_TRIAGE_PORT=9466"
            pages = HealthServer(
                wanted,
                _registry(counters),
                counters.problems,
                other_port=other,
                alive=service.pulse.is_felt,
            )
            say(f"metrics and health on http://127.0.0.1:{opened.enter_context(pages).port}")
        service.run()
    _report(counters, as_json)
    found = counters.stored or counters.missing
    return EXIT_FINDINGS if once and found else EXIT_DONE


def _registry(counters: IntakeCounters) -> CollectorRegistry:
    from prometheus_client import (
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
    )

    from kite_dead_letters.intake import IntakeMetrics
    from kite_runtime.health import BuildInfoCollector

    registry = CollectorRegistry()
    registry.register(BuildInfoCollector("dlq_triage"))
    registry.register(IntakeMetrics(counters))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _report(counters: IntakeCounters, as_json: bool) -> None:
    names = (
        "consumed",
        "stored",
        "already_there",
        "missing",
        "refused",
        "db_errors",
        "kafka_errors",
    )
    counts = {name: getattr(counters, name) for name in names}
    if as_json:
        print(orjson.dumps({**counts, "by_reason": dict(counters.by_reason)}).decode())
        return
    said = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    say(f"stopped: {said}")
