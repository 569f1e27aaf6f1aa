"""Ticks at rest: Kafka into the archive, against a plain loop of the same consumer into Parquet."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from benchmarks.bridge_way import UnjournaledBridge
from benchmarks.measure import Figure, NotMeasured, Spread, in_turns, ratios, say
from benchmarks.stage import full_frames, instrument_tokens, kafka_settings, topic
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import topic_ids
from kite_lake.catalog import open_lake
from kite_lake.counters import ArchiveCounters
from kite_lake.intake import TickIntake
from kite_lake.overview import days
from kite_lake.reading import read_ticks
from kite_lake.service import FLUSH_ROWS
from kite_lake.upkeep import compact

TITLE = "Ticks at rest"
PACKETS = 100
TICKS = 400_000
RATE_MIN = 100_000
RATIO_MIN = 0.5
BYTES_MAX = 35
MEMORY_MAX = 400
READ_MAX = 2.0
READS = 5


def run(rounds: int) -> list[Figure]:
    """Both in turns on one topic, then the files that the archive made."""
    settings = kafka_settings()
    with topic(settings) as name, _folder() as place:
        say(f"  writing {TICKS:,} ticks")
        writer = UnjournaledBridge(settings, name)
        writer.run(full_frames(PACKETS, TICKS // PACKETS))
        writer.close()
        rates = in_turns(
            rounds,
            {
                "archive": lambda: archive(settings, name, place / uuid4().hex),
                "plain": lambda: plain(settings, name, place / "plain"),
            },
        )
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory = pool.apply(peak, (settings, name, place / "lake"))
        size, reading = _of_files(place / "lake", place)
    return [
        Figure.of("ticks into the archive", "ticks/s", Spread.of(rates["archive"]), RATE_MIN),
        Figure.of("a plain loop into Parquet", "ticks/s", Spread.of(rates["plain"])),
        Figure.of(
            "archive against the plain loop",
            "x",
            ratios(rates["archive"], rates["plain"]),
            RATIO_MIN,
        ),
        Figure.once("a full tick, compacted", "bytes", size, BYTES_MAX, at_most=True),
        Figure.once("memory of the archive", "MiB", memory, MEMORY_MAX, at_most=True),
        Figure.of(
            "an instrument's day against DuckDB on a file of its bucket",
            "x",
            reading,
            READ_MAX,
            at_most=True,
        ),
    ]


def archive(settings: KafkaSettings, name: str, place: Path) -> float:
    """Ticks a second from the first batch to the last commit."""
    lake = open_lake(place)
    id = str(topic_ids(settings, [name])[name])
    given: dict[str, Any] = {"group": uuid4().hex, "framing": SingleObjectFraming()}
    counters, started_s = ArchiveCounters(), 0.0
    with closing(TickIntake(lake, name, id, counters, kafka=settings, **given)) as intake:
        while counters.rows[name] + intake.rows < TICKS:
            intake.poll(1.0)
            started_s = started_s or (time.perf_counter() if intake.rows else 0.0)
            if intake.rows >= FLUSH_ROWS:
                intake.flush()
        intake.flush()
        seconds = time.perf_counter() - started_s
    if counters.rows[name] != TICKS:
        raise NotMeasured(f"{counters.rows[name]:,} ticks were archived of {TICKS:,}")
    return TICKS / seconds


def plain(settings: KafkaSettings, name: str, place: Path) -> float:
    """The same reader, its batches as they are into files of as many rows."""
    place.mkdir(exist_ok=True)
    batches, count, started_s = [], 0, 0.0
    with TickReader(settings, name, start="earliest", until_end=True, duplicates=None) as reader:
        for columns in reader:
            started_s = started_s or time.perf_counter()
            batches.append(columns.to_arrow())
            count += len(columns)
            if count % FLUSH_ROWS < len(columns) or count == TICKS:
                pq.write_table(
                    pa.Table.from_batches(batches), place / f"{count}.parquet", compression="zstd"
                )
                batches = []
    return count / (time.perf_counter() - started_s)


def peak(settings: KafkaSettings, name: str, place: Path) -> float:
    """The highest resident set of a process that archives, MiB."""
    archive(settings, name, place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _of_files(place: Path, beside: Path) -> tuple[float, Spread]:
    """Bytes a tick after compaction, and the ratio of two ways to read an instrument's day."""
    lake = open_lake(place)
    day = days(lake)[0].day
    compact(lake, day.replace(year=day.year + 1))
    size = sum(each.size for each in days(lake)) / TICKS
    token = instrument_tokens(1)[0]
    rows = read_ticks(lake, start=day)
    pq.write_table(rows, beside / "day.parquet", compression="zstd")
    query = f"select * from '{beside / 'day.parquet'}' where instrument_token = {token}"
    times: dict[str, list[float]] = {"lake": [], "duckdb": []}
    for _ in range(READS):
        started_s = time.perf_counter()
        found = read_ticks(lake, tokens=[token], start=day)
        times["lake"].append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
        relation = duckdb.sql(query)
        assert relation is not None  # None is for statements without rows
        other = relation.to_arrow_table()
        times["duckdb"].append(time.perf_counter() - started_s)
        if found.num_rows != other.num_rows:
            raise NotMeasured(f"{found.num_rows} rows in the archive, {other.num_rows} in the file")
    return size, ratios(times["lake"], times["duckdb"])


@contextmanager
def _folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="bench-archive-"))
    try:
        yield place
    finally:
        shutil.rmtree(place)
