"""A sync of 150,000 instruments on a real Postgres, as a ratio against COPY of the same rows.

    POSTGRES_DSN=postgresql://... python benchmarks/instruments_sync.py [ROUNDS]

The whole way of a sync: bytes of the dump, parse and check against the contract, record (compare
with the dump before, append, make the validity ranges). Against it COPY of the same rows,
ready-made, into the table of observations, empty and with its keys. The two take turns, each in a
database of its own; the median of the rounds' ratios counts. Each sync is a process of its own, so
that its peak memory counts the libraries, too.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from benchmarks import databases
from benchmarks.databases import fresh, in_a_process
from kite_bars_store.database import connect, transaction
from kite_bars_store.instruments import InstrumentStore, Snapshot
from kite_broker_zerodha.instrument_dump import parse

ROWS = 150_000
DAY = date(2026, 11, 23)
RATIO_MAX = 5.0
MEMORY_MAX_MB = 300
CHANGED_SHARE = 100  # one row in so many is another on the next day
HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,"
    "lot_size,instrument_type,segment,exchange"
)
UNDERLYINGS = ["NIFTY", "BANKNIFTY", "M&M", "BAJAJ-AUTO", *(f"STOCK{n}" for n in range(196))]
EXPIRIES = [date(2026, 11, 24), date(2026, 12, 29), date(2027, 1, 26)]
# Exchange, rows in a hundred, low byte of the token.
SHARES = [("NSE", 7, 1), ("BSE", 9, 4), ("NFO", 60, 2), ("BFO", 14, 5), ("MCX", 10, 7)]

Syncs = dict[str, dict[str, float]]
"""What was measured, by name of the sync."""


def dump(changed: bool = False) -> bytes:
    """A master like Kite's: shares of exchanges, options in strikes and expiries, stocks."""
    lines = [HEADER]
    for exchange, share, low in SHARES:
        for number in range(ROWS * share // 100):
            lines.append(line(exchange, number, low, changed))
    return ("\n".join(lines) + "\n").encode()


def line(exchange: str, number: int, low: int, changed: bool) -> str:
    lot = 75
    if changed and number % CHANGED_SHARE == 0:
        # Of what differs a third is new (another symbol), the rest has another lot size.
        if number % (3 * CHANGED_SHARE) == 0:
            number += ROWS
        lot = 65
    token = f"{number << 8 | low},{number}"
    if exchange in ("NSE", "BSE"):
        return f'{token},SHARE{number},"COMPANY {number}",0,,0,0.05,1,EQ,{exchange},{exchange}'
    name = UNDERLYINGS[number % 200]
    expiry, strike = EXPIRIES[number % 3], 100 + 50 * (number // 1200)
    kind = ("CE", "PE")[number // 600 % 2]
    symbol = f"{name}{expiry:%y%b}{strike}{kind}".upper() + ("" if number < ROWS else "N")
    return (
        f'{token},{symbol},"{name}",0,{expiry},{strike},0.05,{lot},{kind},{exchange}-OPT,{exchange}'
    )


def sync(dsn: str, path: Path, day: date) -> dict[str, float]:
    """What a user waits for, after the libraries are loaded."""
    data = path.read_bytes()
    start = time.perf_counter()
    found = parse(data, day)
    parsed = time.perf_counter()
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        done = InstrumentStore(connection).record(
            Snapshot(day, found.exchanges, found.content_sha256, found.table)
        )
    return {
        "seconds": time.perf_counter() - start,
        "parse_s": parsed - start,
        "rows": found.rows_read,
        "written": done.observations,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured(dsn: str, path: Path, day: date) -> dict[str, float]:
    found: dict[str, float] = in_a_process(__file__, dsn, "--sync", path, day)
    return found


def copy_seconds(dsn: str, blocks: list[bytes], columns: list[str]) -> float:
    """COPY of ready-made blocks into the empty table of observations; BEGIN to COMMIT."""
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        connection.execute(
            """
            INSERT INTO instrument_batch (
                source, exchanges, observed_on, recorded_at, content_sha256, rows_read, rows_good,
                rows_refused, added, changed, removed, expired, unchanged
            ) VALUES ('copy', '{NFO}', '2026-11-23', now(), sha256(''), 0, 0, 0, 0, 0, 0, 0, 0)
            """
        )
        start = time.perf_counter()
        with transaction(connection, "copying") as cursor:
            names = ", ".join(columns)
            with cursor.copy(
                f"COPY instrument_observation ({names}) FROM STDIN (FORMAT csv)".encode()
            ) as copy:
                for block in blocks:
                    copy.write(block)
        return time.perf_counter() - start


def observation_blocks(data: bytes) -> tuple[list[bytes], list[str]]:
    rows = parse(data, DAY).table
    count = rows.num_rows
    rows = rows.append_column("observed_on", pa.array([DAY] * count))
    for name in ("batch_id", "stated_by"):
        rows = rows.append_column(name, pa.array([1] * count))
    rows = rows.append_column("listed", pa.array([True] * count))
    blocks = []
    for each in rows.to_batches(max_chunksize=16_384):
        written = io.BytesIO()
        pyarrow.csv.write_csv(each, written, pyarrow.csv.WriteOptions(include_header=False))
        blocks.append(written.getvalue())
    return blocks, rows.column_names


def measure(server: str, folder: Path, rounds: int) -> tuple[list[Syncs], list[float]]:
    today, tomorrow = folder / "today.csv", folder / "tomorrow.csv"
    today.write_bytes(dump())
    tomorrow.write_bytes(dump(changed=True))
    blocks, columns = observation_blocks(today.read_bytes())
    syncs, copies = [], []
    for _ in range(rounds):
        with fresh(server) as dsn:
            copies.append(copy_seconds(dsn, blocks, columns))
        with fresh(server) as dsn:
            syncs.append(
                {
                    "first": measured(dsn, today, DAY),
                    "the same again": measured(dsn, today, DAY),
                    "next day, 1 % differs": measured(dsn, tomorrow, DAY + timedelta(1)),
                    "the day before, later": measured(dsn, today, DAY - timedelta(1)),
                }
            )
    return syncs, copies


def main() -> None:
    if sys.argv[1:2] == ["--sync"]:
        path, day = Path(sys.argv[2]), date.fromisoformat(sys.argv[3])
        print(json.dumps(sync(os.environ["POSTGRES_DSN"], path, day)))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    server = databases.server()
    with tempfile.TemporaryDirectory() as folder:
        syncs, copies = measure(server, Path(folder), rounds)
    report(syncs, copies)


def report(syncs: list[Syncs], copies: list[float]) -> None:
    table = Table(title=f"{ROWS:,} instruments; medians of {len(syncs)} rounds")
    for name in ("sync", "seconds", "of it parse", "against COPY", "rows written", "peak memory"):
        table.add_column(name, justify="left" if name == "sync" else "right")
    copied = statistics.median(copies)
    table.add_row("COPY alone", f"{copied:.2f}", "", "1.0", f"{ROWS:,}", "")
    ratio = memory = 0.0
    for name in syncs[0]:
        runs = [each[name] for each in syncs]
        pairs = zip(runs, copies, strict=True)
        against = statistics.median(run["seconds"] / base for run, base in pairs)
        seconds = statistics.median(run["seconds"] for run in runs)
        parsed = statistics.median(run["parse_s"] for run in runs)
        peak = max(run["memory_mb"] for run in runs)
        ratio, memory = ratio or against, max(memory, peak)
        table.add_row(
            name,
            f"{seconds:.2f}",
            f"{parsed:.2f}",
            f"{against:.1f}",
            f"{runs[0]['written']:,.0f}",
            f"{peak:.0f} MB",
        )
    Console(width=100).print(table)
    print(f"sync against COPY: {ratio:.1f} (budget {RATIO_MAX:.0f}) {verdict(ratio <= RATIO_MAX)}")
    kept = verdict(memory <= MEMORY_MAX_MB)
    print(f"peak memory: {memory:.0f} MB (budget {MEMORY_MAX_MB}) {kept}")


def verdict(kept: bool) -> str:
    return "PASS" if kept else "MISS"


if __name__ == "__main__":
    main()
