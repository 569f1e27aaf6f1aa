"""Two sources into golden bars: the store beside what a user would pick instead.

    POSTGRES_DSN=postgresql://... python -m benchmarks.bars_others [--rounds 3] [--instruments 12]
        [--days 22] [--quick]

Each way (`bars_ways`) reads the same two Parquet files and writes golden bars, into a table with a
primary key or into a Parquet file; then the very same again. Each is a process of its own, whose
peak memory is told, and the ways take turns. All must come to the same golden bars, verdicts
included: the digest of each is compared with that of the store.

The store writes three rows a minute, the others one: they keep no observation. So "rows/s" is what
to compare it by, and "seconds" what a person waits. ``--quick`` leaves `to_sql` out, which takes
minutes for half a million bars.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from benchmarks import databases
from benchmarks.bars_market import Scale, peak_mb, windows
from benchmarks.bars_merge import spread
from benchmarks.bars_ways import GOLDEN, INTO_POSTGRES, LIBRARIES, WAYS, Place, write_sources
from benchmarks.databases import fresh, in_a_process

Way = tuple[str, str]
Run = dict[str, float | str]

_STORED = """
    SELECT tradingsymbol, (extract(epoch FROM ts_open) * 1000000000)::bigint, open, high, low,
           close, volume, verdict
    FROM bars_1m JOIN bar_instrument USING (instrument_id)
"""
_WRITTEN = """
    SELECT (SELECT count(*) FROM bar_observation) + (SELECT count(*) FROM bars_1m)
"""


def place_of(folder: Path, dsn: str) -> Place:
    return Place(folder / "kite.parquet", folder / "vendor.parquet", folder / "golden", dsn)


def run(way: Way, place: Place) -> Run:
    """The way twice, measured, and what it left."""
    for name, library in LIBRARIES.items():
        if way[0].startswith(name):
            importlib.import_module(library)
    started = time.perf_counter()
    WAYS[way](place)
    first = time.perf_counter() - started
    started = time.perf_counter()
    WAYS[way](place)
    again = time.perf_counter() - started
    memory = peak_mb()
    table, rows = left(way, place)
    return {
        "first": first,
        "again": again,
        "memory_mb": memory,
        "rows": rows,
        "digest": digest(table),
    }


def left(way: Way, place: Place) -> tuple[pa.Table, int]:
    """The golden bars, and how many rows were written for them."""
    if way[1] != INTO_POSTGRES:
        table = pq.read_table(place.parquet)
        return table, table.num_rows
    with psycopg.connect(place.dsn) as connection:
        ours = way[0] == "the store"
        query = _STORED if ours else f"SELECT {', '.join(GOLDEN)} FROM golden"
        rows = connection.execute(query.encode()).fetchall()
        table = pa.table(dict(zip(GOLDEN, map(list, zip(*rows, strict=True)), strict=True)))
        written = connection.execute(_WRITTEN.encode()).fetchone() if ours else None
    return table, len(rows) if written is None else int(written[0])


def digest(table: pa.Table) -> str:
    """Equal for the same golden bars, in whatever order and types they are."""
    kinds = [pa.string(), *[pa.int64()] * (len(GOLDEN) - 1)]
    schema = pa.schema(list(zip(GOLDEN, kinds, strict=True)))
    plain = table.select(list(GOLDEN)).cast(schema)
    ordered = plain.sort_by([("symbol", "ascending"), ("ts_open_ns", "ascending")])
    found = hashlib.sha256()
    found.update("\n".join(ordered.column("symbol").to_pylist()).encode())
    for name in GOLDEN[1:]:
        found.update(ordered.column(name).to_numpy().tobytes())
    return found.hexdigest()


def measured(way: Way, folder: Path, server: str) -> Run:
    with fresh(server) as dsn:
        found: Run = in_a_process(__file__, dsn, "--child", *way, folder)
    return found


def report(scale: Scale, results: dict[Way, list[Run]]) -> None:
    rounds = len(next(iter(results.values())))
    table = Table(title=f"{scale}, {rounds} rounds")
    for name in ("way", "into", "seconds", "least", "most", "rows/s", "again, s", "memory"):
        table.add_column(name, justify="left" if name in ("way", "into") else "right")
    for way, runs in results.items():
        seconds = [float(each["first"]) for each in runs]
        again = statistics.median(float(each["again"]) for each in runs)
        rate = float(runs[0]["rows"]) / statistics.median(seconds)
        memory = max(float(each["memory_mb"]) for each in runs)
        cells = (*spread(seconds), f"{rate:,.0f}", f"{again:.2f}", f"{memory:,.0f} MB")
        table.add_row(*way, *cells)
    Console(width=110).print(table)
    digests = {each["digest"] for runs in results.values() for each in runs}
    same = "all ways come to the same golden bars" if len(digests) == 1 else "THEY DIFFER"
    print(f"golden bars and verdicts: {same}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (3)")
    parser.add_argument("--instruments", type=int, default=12, help="instruments (12)")
    parser.add_argument("--days", type=int, default=22, help="trading days (22: one month)")
    parser.add_argument("--quick", action="store_true", help="leave to_sql out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    server = databases.server()
    if options.child:
        *way, folder = options.child
        print(json.dumps(run((way[0], way[1]), place_of(Path(folder), server))))
        return 0
    scale = Scale(options.instruments, options.days, 60)
    chosen = [way for way in WAYS if not (options.quick and "to_sql" in way[0])]
    results: dict[Way, list[Run]] = {way: [] for way in chosen}
    with tempfile.TemporaryDirectory(prefix="bars-others-") as folder:
        write_sources(place_of(Path(folder), server), windows(scale))
        for _ in range(options.rounds):
            for way, runs in results.items():
                runs.append(measured(way, Path(folder), server))
    report(scale, results)
    return len({each["digest"] for runs in results.values() for each in runs}) - 1


if __name__ == "__main__":
    sys.exit(main())
