"""``demo``: simulator, bridge, Kafka and consumer in one go, and the ledger at the end."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.live import Live
from rich.table import Table

from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.counters import Counters
from kite_live_feed.topics import Topics
from kite_runtime.console import say, stderr, stdout
from kite_runtime.errors import UsageError
from kite_simulator.cli import Faults, Rate, Seed, fault_script
from kite_ws_bridge.commands.options import COMPILING, AllowRemote, keep_simulated_here

if TYPE_CHECKING:
    from kite_live_feed.bridge import Bridge
    from kite_live_feed.proof import Ledger

MOCK_TICKS_MAX: Final = 60_000
"""The embedded broker drops what is older than 5 MiB a partition: a larger demo would not balance,
for no fault of the bridge."""
PROGRESS_S: Final = 2.0


def command(
    bootstrap: Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            metavar="HOST:PORT",
            help="A real Kafka with the topics (`make up`). Default: a broker inside this process.",
        ),
    ] = None,
    ticks: Annotated[int, typer.Option("--ticks", min=1, help="Moves of the market.")] = 20_000,
    rate: Rate = 4_000.0,
    instruments: Annotated[
        int, typer.Option("--instruments", min=1, max=9_000, help="Instruments subscribed.")
    ] = 60,
    seed: Seed = 1,
    faults: Faults = "none",
    allow_remote: AllowRemote = False,
    live: Annotated[
        bool | None,
        typer.Option("--live/--no-live", help="A live view; default in a terminal only."),
    ] = None,
) -> int:
    """Run the whole way without credentials, and prove it by a ledger.

    A simulated Kite sends a seeded market over a real WebSocket; the bridge journals, decodes,
    checks and publishes it; a consumer reads it back. Exit code 0 only when the books agree: sent =
    journaled = decoded = published + dead-lettered = read back.
    """
    from kite_kafka_io.registry import open_framing
    from kite_live_feed.bridge import warm_up
    from kite_live_feed.rehearsal.demo import DemoOptions, run_demo
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    options = DemoOptions(
        ticks=ticks,
        rate_per_s=rate or None,
        instruments=instruments,
        seed=seed,
        script=fault_script(faults),
    )
    topics = Topics()
    with ExitStack() as stack:
        kafka = _kafka(stack, bootstrap, topics, ticks)
        keep_simulated_here(kafka, "the demo", allow_remote)
        say(COMPILING)
        warm_up()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ws-bridge-demo-"))
        framing = open_framing(kafka, topics.subjects)
        watch = _view(stack, stderr.is_terminal if live is None else live)
        ledger = asyncio.run(
            run_demo(options, kafka, framing, topics, Path(folder) / "journal", watch)
        )
    return report_ledger(f"ws_bridge demo, seed {seed}, faults: {faults}", ledger)


def _kafka(stack: ExitStack, bootstrap: str | None, topics: Topics, ticks: int) -> KafkaSettings:
    from kite_kafka_io.mock_broker import MockBroker

    if bootstrap is not None:
        say(f"Kafka at {bootstrap}")
        return KafkaSettings.from_env({}, bootstrap=bootstrap)
    if ticks > MOCK_TICKS_MAX:
        raise UsageError(
            f"--ticks {ticks} is more than the broker inside this process keeps "
            f"({MOCK_TICKS_MAX}): give a real one with --bootstrap (`make up` starts it)"
        )
    say("Kafka: a broker inside this process (librdkafka's); --bootstrap takes a real one")
    broker = stack.enter_context(MockBroker())
    for name in topics.names:
        broker.create_topic(name)
    return KafkaSettings(bootstrap=broker.bootstrap)


def _view(stack: ExitStack, live: bool) -> Callable[[Bridge], None]:
    """A live table, or a line every two seconds."""
    started_s = time.monotonic()
    last_line_s = 0.0

    if live:
        display = stack.enter_context(Live(console=stderr, refresh_per_second=8, transient=True))

        def show(bridge: Bridge) -> None:
            bridge.refresh()
            display.update(live_table(bridge.counters, time.monotonic() - started_s))

        return show

    def tell(bridge: Bridge) -> None:
        nonlocal last_line_s
        passed = time.monotonic() - started_s
        if passed - last_line_s >= PROGRESS_S:
            last_line_s = passed
            counters = bridge.counters
            say(
                f"{passed:4.0f} s: {counters.packets_journaled:,} packets journaled, "
                f"{counters.ticks_acked:,} ticks acknowledged, "
                f"{counters.dead_acked:,} dead letters"
            )

    return tell


def live_table(counters: Counters, seconds: float) -> Table:
    """The running bridge in numbers."""
    table = Table(title=f"ws_bridge, {seconds:.0f} s", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    rate = counters.ticks_acked / seconds if seconds else 0.0
    for name, value in (
        ("connections up", f"{counters.shards_connected}"),
        ("frames journaled", f"{counters.frames_journaled:,}"),
        ("packets journaled", f"{counters.packets_journaled:,}"),
        ("ticks acknowledged by Kafka", f"{counters.ticks_acked:,}"),
        ("ticks a second", f"{rate:,.0f}"),
        ("dead letters", f"{counters.dead_acked:,}"),
        ("gaps opened / closed", f"{counters.gaps_opened} / {counters.gaps_closed}"),
        ("records in flight", f"{counters.in_flight:,}"),
        ("frame to acknowledgement", f"{counters.last_ack_latency_ns / 1e6:.1f} ms"),
    ):
        table.add_row(name, value)
    return table


def ledger_table(title: str, ledger: Ledger) -> Table:
    """The ledger as people read it."""
    table = Table(title=title, title_justify="left")
    table.add_column("ledger")
    table.add_column("count", justify="right")
    for name, count in ledger.lines():
        table.add_row(name, f"{count:,}")
    for reason, count in sorted(ledger.read_back.reasons.items()):
        table.add_row(f"  dead letters: {reason}", f"{count:,}")
    for kind, count in sorted(ledger.read_back.events.items()):
        table.add_row(f"  feed events: {kind}", f"{count:,}")
    return table


def report_ledger(title: str, ledger: Ledger) -> int:
    """Print the ledger and the verdict; 0 when it balances, else 1."""
    stdout.print(ledger_table(title, ledger))
    if ledger.balanced:
        stdout.print("The ledger balances: lost = duplicated = reordered = 0.")
        return 0
    stdout.print("The ledger does NOT balance:")
    for problem in ledger.problems() or ["nothing was sent"]:
        stdout.print(f"  - {problem}", markup=False)
    return 1
