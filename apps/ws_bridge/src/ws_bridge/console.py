"""What people see: sentences, tables, the live view. Results on stdout, the rest on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from ws_bridge.counters import Counters
from ws_bridge.ledger import Ledger

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def complain(problem: object, code: int) -> int:
    """Print one sentence to stderr and give the exit code back."""
    print(f"ws_bridge: {problem}", file=sys.stderr)
    return code


def say(text: str) -> None:
    """One line of progress, on stderr, so that stdout stays the result."""
    stderr.print(text, markup=False, soft_wrap=True)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """The reader of our pipe may leave early (`| head`): the output ends, which is no failure."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
