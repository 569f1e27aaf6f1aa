"""The tables that people see: the ledger and the live view."""

from __future__ import annotations

from rich.table import Table

from kite_live_feed.counters import Counters
from kite_live_feed.proof.ledger import Ledger
from kite_runtime.console import stdout


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
