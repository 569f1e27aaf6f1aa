"""Two sources into observations and golden bars on a real Postgres, against COPY of the same rows.

    POSTGRES_DSN=postgresql://... python -m benchmarks.bars_merge [--rounds 3] [--instruments 60]
        [--days 22] [--window 60] [--merge-only]

The whole way of a merge: columns of two sources, screened, cut into chunks, compared with what is
there, appended, merged, and made golden. Against it COPY of the very rows that the merge left
behind, ready-made in binary form, into the same tables, empty and with their keys. The two take
turns, each in a database of its own; the median of the rounds' ratios counts, and the least and the
greatest are told. Each merge is a process of its own, so that its peak memory counts the libraries,
too; making the bars counts for the memory but not for the time.

``--merge-only`` leaves COPY out: it is for the memory of sizes of which nobody wants the copy.
60 days of 500 instruments (11 million bars a source) need 20 GB of disk with COPY, 10 without.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import databases
from benchmarks.bars_market import Scale, calendar, months, peak_mb, windows
from benchmarks.databases import fresh, in_a_process
from kite_bars_store.bars import BarStore, load_rules
from kite_bars_store.database import connect, transaction

RATIO_MIN = 0.5
RERUN_MIN = 3.0
MEMORY_MAX_MB = 500
KINDS = ("first", "the same again", "revised")
KEYS = {
    "bar_observation": "instrument_id, minutes, ts_open, source_id, batch_id",
    "bars_1m": "instrument_id, ts_open",
}
"""The tables that a merge fills, and the order of their keys."""

Run = dict[str, float]
Runs = dict[str, Run]
"""What was measured, by name of the run."""


def merge(dsn: str, scale: Scale, *, revised: bool = False) -> Run:
    """All windows one after the other, as a program does that keeps its memory."""
    seconds, observations, golden = 0.0, 0, 0
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        store = BarStore(connection, load_rules(), calendar())
        for sources in windows(scale, revised=revised):
            started = time.perf_counter()
            result = store.merge(sources)
            seconds += time.perf_counter() - started
            observations += result.appended
            golden += result.golden.written
    memory_mb = peak_mb()
    return {
        "seconds": seconds,
        "observations": observations,
        "golden": golden,
        "memory_mb": memory_mb,
    }


def measured(dsn: str, scale: Scale, kind: str) -> Run:
    size = (scale.instruments, scale.days, scale.a_window)
    found: Run = in_a_process(__file__, dsn, "--child", kind, *size)
    return found


def dump(dsn: str, scale: Scale, folder: Path) -> list[tuple[str, Path]]:
    """What a merge left in the tables, in the order of their keys, as files for COPY."""
    found = []
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        for month in months(scale):
            for table, keys in KEYS.items():
                path = folder / f"{table}_{month:%Y_%m}"
                query = f"COPY (SELECT * FROM {path.name} ORDER BY {keys}) TO STDOUT BINARY"
                with (
                    transaction(connection, "reading") as cursor,
                    path.open("wb") as file,
                    cursor.copy(query.encode()) as copy,
                ):
                    for block in copy:
                        file.write(block)
                found.append((table, path))
    return found


def copy_seconds(dsn: str, files: Sequence[tuple[str, Path]], firsts: Sequence[date]) -> float:
    """BEGIN to COMMIT of all tables, through their partitioned parents as the merge does."""
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        for first in firsts:
            connection.execute("SELECT make_bar_month(%s)", [first])
        started = time.perf_counter()
        with transaction(connection, "copying") as cursor:
            for table, path in files:
                statement = f"COPY {table} FROM STDIN BINARY"
                with path.open("rb") as file, cursor.copy(statement.encode()) as copy:
                    while block := file.read(512 * 1024):
                        copy.write(block)
        return time.perf_counter() - started


def measure(
    server: str, scale: Scale, rounds: int, folder: Path | None
) -> tuple[list[Runs], list[float]]:
    """Merges and COPYs in turn, either one first; no COPY without a folder for its files."""
    merges: list[Runs] = []
    copies: list[float] = []
    files: list[tuple[str, Path]] = []
    for number in range(rounds):
        if folder is not None and number % 2:
            copies.append(copied(server, scale, files))
        with fresh(server) as dsn:
            settle(server)
            merges.append({kind: measured(dsn, scale, kind) for kind in KINDS[:2]})
            if folder is not None and not files:
                files = dump(dsn, scale, folder)
            settle(server)
            merges[-1][KINDS[2]] = measured(dsn, scale, KINDS[2])
        if folder is not None and not number % 2:
            copies.append(copied(server, scale, files))
    return merges, copies


def copied(server: str, scale: Scale, files: Sequence[tuple[str, Path]]) -> float:
    with fresh(server) as dsn:
        settle(server)
        return copy_seconds(dsn, files, months(scale))


def settle(server: str) -> None:
    """What the run before has left to be written to the disk is not for the next one to pay."""
    with contextlib.closing(connect(server, application_name="benchmark")) as connection:
        connection.execute(b"CHECKPOINT")


def report(scale: Scale, merges: Sequence[Runs], copies: Sequence[float]) -> None:
    table = Table(title=f"{scale}, {len(merges)} rounds")
    for name in ("run", "seconds", "least", "most", "observations", "golden", "rows/s", "memory"):
        table.add_column(name, justify="left" if name == "run" else "right")
    first = merges[0]["first"]
    if copies:
        rows = first["observations"] + first["golden"]
        table.add_row("COPY alone", *spread(copies), "", "", rate(rows, copies), "")
    for kind in KINDS:
        runs = [each[kind] for each in merges]
        seconds = [run["seconds"] for run in runs]
        table.add_row(
            kind,
            *spread(seconds),
            f"{runs[0]['observations']:,.0f}",
            f"{runs[0]['golden']:,.0f}",
            rate(runs[0]["observations"] + runs[0]["golden"], seconds),
            f"{max(run['memory_mb'] for run in runs):.0f} MB",
        )
    Console(width=110).print(table)
    if copies:
        ratios = [
            copied / run["first"]["seconds"] for run, copied in zip(merges, copies, strict=True)
        ]
        tell("merge against COPY", ratios, RATIO_MIN)
    again = [run["first"]["seconds"] / run["the same again"]["seconds"] for run in merges]
    tell("the same again, times as fast", again, RERUN_MIN)
    written = max(
        run["the same again"]["observations"] + run["the same again"]["golden"] for run in merges
    )
    print(f"rows that the same again writes: {written:.0f} (budget 0) {verdict(not written)}")
    memory = max(run[kind]["memory_mb"] for run in merges for kind in run)
    kept = verdict(memory <= MEMORY_MAX_MB)
    print(f"peak memory: {memory:.0f} MB (budget {MEMORY_MAX_MB}) {kept}")


def spread(values: Sequence[float]) -> tuple[str, str, str]:
    """The median, the least and the greatest."""
    return f"{statistics.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}"


def rate(rows: float, seconds: Sequence[float]) -> str:
    return f"{rows / statistics.median(seconds):,.0f}"


def tell(what: str, ratios: Sequence[float], budget: float) -> None:
    middle, least, most = spread(ratios)
    kept = verdict(statistics.median(ratios) >= budget)
    print(f"{what}: {middle}, {least} to {most} (budget {budget}) {kept}")


def verdict(kept: bool) -> str:
    return "PASS" if kept else "MISS"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (3)")
    parser.add_argument("--instruments", type=int, default=60, help="instruments (60)")
    parser.add_argument("--days", type=int, default=22, help="trading days (22: one month)")
    parser.add_argument("--window", type=int, default=60, help="instruments a call (60)")
    parser.add_argument("--merge-only", action="store_true", help="leave COPY out")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    server = databases.server()
    if options.child:
        kind, *size = options.child
        print(json.dumps(merge(server, Scale(*map(int, size)), revised=kind == "revised")))
        return
    scale = Scale(options.instruments, options.days, options.window)
    with tempfile.TemporaryDirectory(prefix="bars-merge-") as folder:
        place = None if options.merge_only else Path(folder)
        report(scale, *measure(server, scale, options.rounds, place))


if __name__ == "__main__":
    main()
