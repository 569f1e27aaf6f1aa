"""A million mixed dead letters through everything, on servers that are killed on the way.

    PYTHONPATH=...:apps/dlq_triage/tests python benchmarks/dlq_proof.py [COUNT] [SEED]

Ours, Connect's, Spring's, Streams', share groups', garbage, empty ones and some of 900 kB are
produced, stored by `dlq_triage consume` while Postgres, Kafka and the service are killed, redriven
where they are mendable while the redrive is killed, and read from their targets. Prints the ledger;
ends with 1 when something in it does not hold. Needs about 2 GB of disk for a million.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from letters_proof import Ledger, Proof
from rich.console import Console
from rich.table import Table

from kite_devstack.kafka import private_kafka
from kite_devstack.postgres import PostgresServer

COUNT = 1_000_000
LARGE_EVERY = 20_000


def main() -> int:
    """Run it, print it; the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    console = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(prefix="dlq-proof-") as folder,
        private_kafka(Path(folder) / "kafka", os.environ) as kafka,
        PostgresServer(Path(folder) / "postgres") as postgres,
    ):
        proof = Proof(kafka, postgres, count, LARGE_EVERY, seed, say=console.print)
        ledger = proof.run()
    Console().print(table(ledger, count))
    for fault in ledger.faults:
        console.print(f"[bold red]does not hold:[/bold red] {fault}")
    return 1 if ledger.faults else 0


def table(ledger: Ledger, count: int) -> Table:
    """The ledger, with the rates of its parts and the memory of the commands."""
    made = Table(title=f"{count:,} dead letters", title_justify="left")
    made.add_column("what")
    made.add_column("records", justify="right")
    made.add_column("seconds", justify="right")
    made.add_column("a second", justify="right")
    for name, value in ledger.counts.items():
        made.add_row(name, f"{value:,}", "", "")
    for name, seconds in ledger.seconds.items():
        made.add_row(f"time to {name}", "", f"{seconds:,.1f}", f"{count / seconds:,.0f}")
    for name, peak_mb in ledger.peaks_mb.items():
        made.add_row(f"peak memory of {name}, MB", f"{peak_mb:,}", "", "")
    return made


if __name__ == "__main__":
    sys.exit(main())
