"""``bars``: the service that makes live bars."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE
from kite_runtime.stopping import stop_on_signals
from kite_tick_archive.commands.options import Bootstrap, Json, Root, settings_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from kite_lake.bars.counters import BarCounters


def command(
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Make bars of what is there now, close all of them, and end. Run it alone.",
        ),
    ] = False,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            metavar="FILE",
            help="A tokens.csv with names, beside those of the topic instruments.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            help="Port of /metrics, /healthz and /readyz. Default: TICK_ARCHIVE_BARS_PORT, else "
            "9468; with --once none.",
        ),
    ] = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Make bars of the topic ticks and write them to the topic bars, until SIGTERM or Ctrl-C.

    Start several processes, and they share the partitions. Killed or moved, the next one goes on
    from the topic bars.state and writes the same bars. The first one begins with the oldest tick.
    """
    from kite_broker_zerodha.subscriptions.files import load_tokens
    from kite_lake.bars.core import INTERVALS, BarRules
    from kite_lake.bars.service import BarsService
    from kite_runtime.health import HealthServer
    from kite_runtime.logs import configure_logs

    settings = settings_of(root, bootstrap=bootstrap)
    kafka = settings.require_kafka()
    configure_logs(quiet=once)
    service = BarsService(
        kafka,
        BarRules(
            {name: INTERVALS[name] for name in settings.bars},
            lateness_ns=int(settings.bars_lateness_s * 1e9),
            revise_ns=int(settings.bars_revise_s * 1e9),
            idle_ns=int(settings.bars_idle_s * 1e9),
        ),
        {each.token: each.name for each in load_tokens(tokens) if each.tradingsymbol}
        if tokens
        else {},
        once=once,
    )
    counters = service.counters
    with ExitStack() as stack:
        stack.enter_context(stop_on_signals(service.stop.set))
        if not once or port is not None:
            wanted = settings.bars_port if port is None else port
            other = "--port 9471 or TICK_ARCHIVE_BARS_PORT=9471"
            pages = HealthServer(wanted, _registry(counters), counters.problems, other_port=other)
            say(f"metrics and health on http://127.0.0.1:{stack.enter_context(pages).port}")
        service.run()
    _report(counters, as_json)
    return EXIT_DONE


def _registry(counters: BarCounters) -> CollectorRegistry:
    from kite_lake.bars.counters import BarMetrics
    from kite_tick_archive.commands.options import registry_of

    return registry_of(BarMetrics(counters))


def _report(counters: BarCounters, as_json: bool) -> None:
    names = ("revisions", "incomplete", "late", "unnamed", "repeats", "malformed")
    counts = {name: getattr(counters, name) for name in names}
    written = dict(sorted(counters.written.items()))
    if as_json:
        print(orjson.dumps({"ticks": counters.ticks, "bars": written, **counts}).decode())
        return
    shown = [f"{count:,} of {name}" for name, count in written.items()] or ["none"]
    noted = [f"{count:,} {name}" for name, count in counts.items() if count]
    say(f"bars of {counters.ticks:,} ticks: " + ", ".join(shown + noted))
