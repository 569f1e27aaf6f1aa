"""Two sources into observations and golden bars on a real Postgres, against COPY of the same rows.

    POSTGRES_DSN=postgresql://... python benchmarks/bars_merge.py [ROUNDS]

The whole way of a merge: columns of two sources, screened, cut into chunks, compared with what is
there, appended, merged, and made golden. Against it COPY of the very rows that the merge left
behind, ready-made in binary form, into the same tables, empty and with their keys. The two take
turns, each in a database of its own; the median of the rounds' ratios counts. Each merge is a
process of its own, so that its peak memory counts the libraries, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
from rich.console import Console
from rich.table import Table

from bars_store.bars import (
    NO_OI,
    BarColumns,
    BarInstrument,
    BarStore,
    MergeResult,
    SourceBars,
    load_rules,
)
from bars_store.database import connect, transaction
from contracts.migrations import runner
from contracts.sessions import Holidays, SessionCalendar
from contracts.sessions.model import MINUTE_NS, midnight_ns
from devstack.databases import database

INSTRUMENTS = 60
DAYS = [date(2026, 6, day) for day in range(1, 31) if date(2026, 6, day).weekday() < 5]
SESSION_MINUTES = 375
RATIO_MIN = 0.5
RERUN_MIN = 3.0
MEMORY_MAX_MB = 500
DIFFERING_SHARE = 20  # one bar in so many differs between the sources
TABLES = ("bar_observation_2026_06", "bars_1m_2026_06")
NO_HOLIDAYS = Holidays(date(2000, 1, 1), date(2040, 12, 31), frozenset(), "the benchmark")

Runs = dict[str, dict[str, float]]
"""What was measured, by name of the run."""


def market(seed: int, revised: bool = False) -> list[SourceBars]:
    """A month of minutes: the vendor lacks some, and differs here and there by ticks or volume."""
    random = np.random.default_rng(seed)
    opens = midnight_ns(DAYS[0]) + (9 * 60 + 15) * MINUTE_NS
    day = np.array([(each - DAYS[0]).days for each in DAYS], np.int64) * 1440 * MINUTE_NS
    times = (opens + day[:, None] + np.arange(SESSION_MINUTES) * MINUTE_NS).reshape(-1)
    count = len(times)
    steps = random.integers(-3, 4, (INSTRUMENTS, count)) * 5
    close = 50_000 + np.cumsum(steps, axis=1).reshape(-1)
    open_ = close - 5 * random.integers(-2, 3, len(close))
    high = np.maximum(open_, close) + 5 * random.integers(0, 3, len(close))
    low = np.minimum(open_, close) - 5 * random.integers(0, 3, len(close))
    volume = random.integers(1, 100_000, len(close))
    kite = BarColumns(
        np.repeat(np.arange(INSTRUMENTS), count),
        np.tile(times, INSTRUMENTS),
        *(open_, high, low, close, volume),
        np.full(len(close), NO_OI),
    )
    differs = random.integers(0, DIFFERING_SHARE, len(close)) == 0
    columns = kite.as_dict()
    columns["high"] = high + np.where(differs, 5 * random.integers(1, 4, len(close)), 0)
    kept = random.integers(0, 200, len(close)) > 0
    vendor = BarColumns(**{name: column[kept] for name, column in columns.items()})
    if revised:
        kite = BarColumns(**{**kite.as_dict(), "volume": volume + (volume % 100 == 0)})
    names = [BarInstrument("NSE", f"SHARE{number}", 2, 5) for number in range(INSTRUMENTS)]
    return [SourceBars("kite", "m1", names, kite), SourceBars("vendor", "m1", names, vendor)]


def merge(dsn: str, sources: Sequence[SourceBars]) -> MergeResult:
    calendar = SessionCalendar.load(holidays=NO_HOLIDAYS)
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        return BarStore(connection, load_rules(), calendar).merge(sources)


def measured(dsn: str, kind: str) -> dict[str, float]:
    sources = market(1, revised=kind == "revised")
    if kind == "vendor alone":
        sources = sources[1:]
    started = time.perf_counter()
    result = merge(dsn, sources)
    return {
        "seconds": time.perf_counter() - started,
        "observations": result.appended,
        "golden": result.golden.written,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_a_process(dsn: str, kind: str) -> dict[str, float]:
    environ = {**os.environ, "POSTGRES_DSN": dsn, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, __file__, "--merge", kind]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=environ)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def binary_rows(dsn: str) -> dict[str, list[bytes]]:
    """What a merge left in the tables, in the order of their keys, as blocks for COPY."""
    found = {}
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        for table in TABLES:
            with transaction(connection, "reading") as cursor:
                query = f"COPY (SELECT * FROM {table} ORDER BY {keys_of(table)}) TO STDOUT BINARY"
                with cursor.copy(query.encode()) as copy:
                    found[table] = joined([bytes(block) for block in copy])
    return found


def keys_of(table: str) -> str:
    if table.startswith("bars_1m"):
        return "instrument_id, ts_open"
    return "instrument_id, minutes, ts_open, source_id, batch_id"


def joined(rows: Sequence[bytes], size: int = 4096) -> list[bytes]:
    return [b"".join(rows[start : start + size]) for start in range(0, len(rows), size)]


def copy_seconds(dsn: str, blocks: dict[str, list[bytes]]) -> float:
    """BEGIN to COMMIT of both tables, through their partitioned parents as the merge does."""
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        connection.execute("SELECT make_bar_month('2026-06-01')")
        started = time.perf_counter()
        with transaction(connection, "copying") as cursor:
            for table, rows in blocks.items():
                parent = table.removesuffix("_2026_06")
                with cursor.copy(f"COPY {parent} FROM STDIN BINARY".encode()) as copy:
                    for block in rows:
                        copy.write(block)
        return time.perf_counter() - started


@contextlib.contextmanager
def fresh(server: str) -> Iterator[str]:
    with database(server) as dsn:
        runner.upgrade(dsn)
        yield dsn


def measure(server: str, rounds: int) -> tuple[list[Runs], list[float]]:
    merges, copies = [], []
    with fresh(server) as dsn:
        merge(dsn, market(1))
        blocks = binary_rows(dsn)
    for _ in range(rounds):
        with fresh(server) as dsn:
            copies.append(copy_seconds(dsn, blocks))
        with fresh(server) as dsn:
            kinds = ("first", "the same again", "revised")
            merges.append({kind: in_a_process(dsn, kind) for kind in kinds})
    return merges, copies


def report(merges: Sequence[Runs], copies: Sequence[float]) -> None:
    copied = statistics.median(copies)
    table = Table(title=f"{INSTRUMENTS} instruments, {len(DAYS)} days, two sources")
    for name in ("run", "seconds", "observations", "golden", "rows/s", "peak memory"):
        table.add_column(name, justify="left" if name == "run" else "right")
    first = merges[0]["first"]
    rows = first["observations"] + first["golden"]
    table.add_row("COPY alone", f"{copied:.2f}", "", "", f"{rows / copied:,.0f}", "")
    for kind in merges[0]:
        runs = [each[kind] for each in merges]
        seconds = statistics.median(run["seconds"] for run in runs)
        table.add_row(
            kind,
            f"{seconds:.2f}",
            f"{runs[0]['observations']:,.0f}",
            f"{runs[0]['golden']:,.0f}",
            f"{(runs[0]['observations'] + runs[0]['golden']) / seconds:,.0f}",
            f"{max(run['memory_mb'] for run in runs):.0f} MB",
        )
    Console(width=100).print(table)
    pairs = list(zip(merges, copies, strict=True))
    ratio = statistics.median(copy / run["first"]["seconds"] for run, copy in pairs)
    again = statistics.median(
        run["first"]["seconds"] / run["the same again"]["seconds"] for run in merges
    )
    written = max(
        run["the same again"]["observations"] + run["the same again"]["golden"] for run in merges
    )
    memory = max(run[kind]["memory_mb"] for run in merges for kind in run)
    print(f"merge against COPY: {ratio:.2f} (budget {RATIO_MIN}) {verdict(ratio >= RATIO_MIN)}")
    kept = verdict(again >= RERUN_MIN and not written)
    print(f"the same again: {again:.1f} times as fast (budget {RERUN_MIN:.0f}), {kept}")
    kept = verdict(memory <= MEMORY_MAX_MB)
    print(f"peak memory: {memory:.0f} MB (budget {MEMORY_MAX_MB}) {kept}")


def verdict(kept: bool) -> str:
    return "PASS" if kept else "MISS"


def main() -> None:
    if sys.argv[1:2] == ["--merge"]:
        print(json.dumps(measured(os.environ["POSTGRES_DSN"], sys.argv[2])))
        return
    server = os.environ.get("POSTGRES_DSN")
    if not server:
        raise SystemExit("POSTGRES_DSN names no database; 'make bench' starts one and sets it")
    report(*measure(server, int(sys.argv[1]) if len(sys.argv) > 1 else 3))


if __name__ == "__main__":
    main()
