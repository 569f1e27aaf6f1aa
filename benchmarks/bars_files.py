"""Vendors' text files into golden bars: `hist_merge daily` beside DuckDB and COPY.

    POSTGRES_DSN=postgresql://... python -m benchmarks.bars_files [--rounds 3] [--files 178]
        [--days 18] [--merge-only]

A file an instrument, as vendors have them. DuckDB reads all of them at once and copies golden bars
alone into a table with a primary key; `daily` reads, checks, keeps each observation, merges and
looks for what is missing. Each is a process of its own in a database of its own, and they take
turns; the second call of each is the very same. The median of the rounds' ratios counts.

``--merge-only`` leaves DuckDB out: it is for sizes whose memory alone is of interest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]

from benchmarks import databases
from benchmarks.bars_market import PRICE_SCALE, Scale, peak_mb, trading_days, windows
from benchmarks.bars_merge import spread
from benchmarks.bars_ways import copied, csv_of
from benchmarks.databases import fresh, in_a_process
from kite_contracts.sessions.model import MINUTE_NS
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS

FIRST_MAX = 1.25
AGAIN_MIN = 5.0
MEMORY_MAX_MB = 400
WAYS = ("daily", "duckdb")

Run = dict[str, float]


def write_files(folder: Path, scale: Scale) -> int:
    """The vendor's bars of each instrument as ``SYMBOL.txt`` of the layout bar-end-text, and a
    tokens.csv beside the folder; returns how many bars."""
    count = 0
    for _, vendor in windows(scale):
        ends_ns = vendor.bars.ts_open_ns + (1 + 330) * MINUTE_NS
        texts = np.char.replace(
            np.datetime_as_string(ends_ns.astype("datetime64[ns]"), "m"), "-", ""
        )
        prices = [
            np.char.mod("%.2f", getattr(vendor.bars, name) / 10**PRICE_SCALE)
            for name in ("open", "high", "low", "close")
        ]
        zeros = np.zeros(len(vendor.bars), np.int64)
        for number, each in enumerate(vendor.instruments):
            own = vendor.bars.instrument == number
            texts_of = [row[own] for row in (*prices, vendor.bars.volume, zeros)]
            when = np.char.partition(texts[own], "T")
            symbol = np.full(len(when), each.tradingsymbol)
            table = pa.table([symbol, when[:, 0], when[:, 2], *texts_of], [*"abcdefghi"])
            options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
            with (folder / f"{each.tradingsymbol}.txt").open("ab") as file:
                pyarrow.csv.write_csv(table, file, options)
            count += len(when)
    rows = [f"{256 * (n + 1) + 1},full,NSE,SHARE{n}\n" for n in range(scale.instruments)]
    head = "instrument_token,mode,exchange,tradingsymbol\n"
    (folder.parent / "tokens.csv").write_text(head + "".join(rows))
    return count


def daily(folder: Path, days: int) -> None:
    from kite_hist_merge import cli

    first, last = trading_days(days)[0], trading_days(days)[-1]
    state = str(folder.parent / "state" / os.environ["BENCH_STATE"])
    os.environ |= {
        "HIST_MERGE_UNIVERSE": str(folder.parent / "tokens.csv"),
        "HIST_MERGE_STATE_DIR": state,
    }
    sys.argv = ["hist_merge", "daily", "--from", f"{first}", "--to", f"{last}", "--no-kite"]
    sys.argv += ["--interval", "m1", "--vendor", str(folder), "--json"]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            cli.main()
    except SystemExit as ended:
        if ended.code not in (EXIT_DONE, EXIT_FINDINGS):
            raise


def duckdb(folder: Path) -> None:
    import duckdb as engine

    names = ("symbol", "day", "minute", "open", "high", "low", "close", "volume", "oi")
    kinds = ("VARCHAR",) * 3 + ("DOUBLE",) * 4 + ("BIGINT",) * 2
    columns = dict(zip(names, kinds, strict=True))
    prices = ", ".join(f"round({name} * 100)::BIGINT AS {name}" for name in names[3:7])
    query = f"""
        SELECT symbol, epoch_ns(strptime(day || minute, '%Y%m%d%H:%M')) - 331 * {MINUTE_NS},
               {prices}, volume, 6::SMALLINT
        FROM read_csv('{folder}/*.txt', header = false, columns = {columns})
    """
    with engine.connect() as source:
        reader = source.sql(query).to_arrow_reader(100_000)
        copied(os.environ["POSTGRES_DSN"], (csv_of(batch) for batch in reader))


def child(way: str, folder: Path, days: int) -> Run:
    started = time.perf_counter()
    if way == "duckdb":
        duckdb(folder)
    else:
        daily(folder, days)
    return {"seconds": time.perf_counter() - started, "memory_mb": peak_mb()}


def report(results: dict[str, list[tuple[Run, Run]]], bars: int) -> bool:
    for way, runs in results.items():
        for name, at in (("first", 0), ("again", 1)):
            middle, least, most = spread([each[at]["seconds"] for each in runs])
            memory = max(each[at]["memory_mb"] for each in runs)
            print(f"{way}, {name}: {middle} s ({least} to {most}), {memory:,.0f} MB")
    ours = results["daily"]
    memory = max(run["memory_mb"] for pair in ours for run in pair)
    again = statistics.median(first["seconds"] / second["seconds"] for first, second in ours)
    print(f"the same again, times as fast: {again:.1f} (budget {AGAIN_MIN})")
    print(f"peak memory of {bars:,} bars: {memory:.0f} MB (budget {MEMORY_MAX_MB})")
    met = again >= AGAIN_MIN and memory <= MEMORY_MAX_MB
    if "duckdb" in results:
        pairs = zip(ours, results["duckdb"], strict=True)
        ratio = statistics.median(one[0]["seconds"] / two[0]["seconds"] for one, two in pairs)
        print(f"first load against DuckDB and COPY: {ratio:.2f} (budget {FIRST_MAX})")
        met = met and ratio <= FIRST_MAX
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (3)")
    parser.add_argument("--files", type=int, default=178, help="files, one an instrument (178)")
    parser.add_argument("--days", type=int, default=18, help="trading days in each (18)")
    parser.add_argument("--merge-only", action="store_true", help="leave DuckDB out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, folder, days = options.child
        print(json.dumps(child(way, Path(folder), int(days))))
        return 0
    server = databases.server()
    ways = WAYS[:1] if options.merge_only else WAYS
    results: dict[str, list[tuple[Run, Run]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="bars-files-") as place:
        folder = Path(place) / "files"
        folder.mkdir()
        bars = write_files(folder, Scale(options.files, options.days, 60))
        for round_ in range(options.rounds):
            for way in ways if round_ % 2 else ways[::-1]:
                with fresh(server) as dsn:
                    call = (__file__, dsn, "--child", way, folder, options.days)
                    one, two = (in_a_process(*call, BENCH_STATE=f"{round_}") for _ in range(2))
                results[way].append((one, two))
    return 0 if report(results, bars) else 1


if __name__ == "__main__":
    sys.exit(main())
