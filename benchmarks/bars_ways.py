"""The same merge as a user would write it with pandas, DuckDB or Polars, and as the store does it.

Each way takes two Parquet files, of Kite and of the vendor, and leaves golden bars: prices and
volume of Kite where it has the minute, and by which verdict of ``configs/merge.toml``, with its
tolerances. Of what the store does beyond that (what each source said and when, revisions, sessions,
quality flags, a second run that writes nothing) the others do nothing.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from benchmarks.bars_market import PRICE_SCALE, TICK, calendar
from kite_bars_store.bars import BarColumns, BarInstrument, BarStore, SourceBars, load_rules, screen
from kite_bars_store.bars.chunks import chunks
from kite_bars_store.bars.columns import VALUES, concat
from kite_bars_store.bars.grid import calendar_sessions
from kite_bars_store.bars.merging import merge
from kite_bars_store.bars.observations import counting_of
from kite_bars_store.bars.projecting import setting_of
from kite_bars_store.database import Cursor, connect, transaction

LIMITS: Final = load_rules().limits
COMPARED: Final = ("open", "high", "low", "close", "volume")
GOLDEN: Final = ("symbol", "ts_open_ns", *COMPARED, "verdict")
TABLE: Final = """
    CREATE TABLE IF NOT EXISTS golden (
        symbol text, ts_open_ns bigint, open bigint, high bigint, low bigint, close bigint,
        volume bigint, verdict smallint, PRIMARY KEY (symbol, ts_open_ns)
    )
"""
CHUNK: Final = 1_000
"""Rows of one INSERT of many: Postgres takes 65,535 values at most."""


@dataclass(frozen=True)
class Place:
    """Where the sources are, and where the golden bars go."""

    kite: Path
    vendor: Path
    parquet: Path
    dsn: str


def write_sources(place: Place, windows: Iterator[list[SourceBars]]) -> int:
    """Both sources as Parquet, a row group a window; returns how many bars both have."""
    schema = pa.schema([("symbol", pa.string()), *((n, pa.int64()) for n in _FILED)])
    count = 0
    with (
        pq.ParquetWriter(place.kite, schema) as kite,
        pq.ParquetWriter(place.vendor, schema) as vendor,
    ):
        for sources in windows:
            for writer, each in zip((kite, vendor), sources, strict=True):
                columns = each.bars.as_dict()
                names = np.array([one.tradingsymbol for one in each.instruments])
                symbol = pa.array(names[columns.pop("instrument")].tolist())
                table = pa.table({"symbol": symbol, **columns}, schema)
                writer.write_table(table, row_group_size=len(each.bars))
                count += len(each.bars)
    return count


_FILED: Final = ("ts_open_ns", *VALUES)


def _windows(place: Place) -> Iterator[list[SourceBars]]:
    kite, vendor = pq.ParquetFile(place.kite), pq.ParquetFile(place.vendor)
    for number in range(kite.num_row_groups):
        found = []
        for source, file in (("kite", kite), ("vendor", vendor)):
            table = file.read_row_group(number).combine_chunks()
            symbol = table.column("symbol").chunk(0).dictionary_encode()
            values = {name: table.column(name).to_numpy() for name in _FILED}
            index = symbol.indices.to_numpy().astype(np.int64)
            names = [
                BarInstrument("NSE", each, PRICE_SCALE, TICK)
                for each in symbol.dictionary.to_pylist()
            ]
            bars = BarColumns(instrument=index, **values)
            found.append(SourceBars(source, "m1", names, bars))
        yield found


def store_into_postgres(place: Place) -> None:
    """`BarStore.merge`: observations and golden bars."""
    with contextlib.closing(connect(place.dsn, application_name="benchmark")) as connection:
        store = BarStore(connection, load_rules(), calendar())
        for sources in _windows(place):
            store.merge(sources)


def store_into_parquet(place: Place) -> None:
    """The pure part of `BarStore.merge` alone: screened, cut, merged."""
    rules = load_rules()
    sessions = calendar_sessions(calendar(), rules.phases)
    fields = [("symbol", pa.string()), *((name, pa.int64()) for name in GOLDEN[1:])]
    with pq.ParquetWriter(place.parquet, pa.schema(fields)) as writer:
        for sources in _windows(place):
            names = sorted({each.tradingsymbol for said in sources for each in said.instruments})
            ids = {("NSE", name): number for number, name in enumerate(names)}
            good = [
                SourceBars(
                    each.source,
                    "m1",
                    each.instruments,
                    screen(each.bars, each.instruments, 1).bars,
                )
                for each in sources
            ]
            for chunk in chunks(good, ids, rules):
                observed = concat(
                    [
                        {**part.columns, "batch": np.full(len(part.columns["cell"]), number)}
                        for number, part in enumerate(chunk.parts)
                    ]
                )
                setting = setting_of(chunk.grid, chunk.exchanges, rules, sessions)
                bars = merge(counting_of(observed, [], chunk.grid), setting, rules).bars
                symbol = np.array(names)[chunk.ids[chunk.grid.instruments(bars["cell"])]]
                values = {name: bars[name].astype(np.int64) for name in (*COMPARED, "verdict")}
                writer.write_table(
                    pa.table(
                        {
                            "symbol": pa.array(symbol.tolist()),
                            "ts_open_ns": chunk.grid.times(bars["cell"]),
                            **values,
                        }
                    )
                )


def _pandas(place: Place) -> Any:
    import pandas as pd

    keys = ["symbol", "ts_open_ns"]
    columns = [*keys, *COMPARED]
    kite, vendor = (pd.read_parquet(each, columns=columns) for each in (place.kite, place.vendor))
    both = kite.merge(vendor, on=keys, how="outer", suffixes=("", "_v"), indicator=True)
    paired = (both["_merge"] == "both").to_numpy()
    alone = (both["_merge"] == "right_only").to_numpy()
    differs, beyond = np.zeros(len(both), bool), np.zeros(len(both), bool)
    for name in COMPARED:
        won = both[name].fillna(both[f"{name}_v"]).astype("int64")
        other = both[f"{name}_v"].fillna(won).astype("int64")
        gap = (won - other).abs()
        differs |= (gap > 0).to_numpy()
        if name == "volume":
            most = np.maximum(won, other)
            near = (gap <= LIMITS.volume_units) | (gap <= most * LIMITS.volume_bps // 10_000)
        else:
            allowed = won.abs() * LIMITS.price_bps // 10_000
            near = (gap <= LIMITS.price_ticks * TICK) | (gap <= allowed)
        beyond |= ~near.to_numpy()
        both[name] = won
    choices = [alone, ~paired, beyond, differs]
    both["verdict"] = np.select(choices, [6, 5, 8, 2], 1)
    return both[list(GOLDEN)]


def pandas_into_postgres(place: Place) -> None:
    """merge, then `to_sql` as it is; a table that is there is replaced."""
    _to_sql(_pandas(place), place, {})


def pandas_into_postgres_multi(place: Place) -> None:
    """merge, then `to_sql` with INSERTs of many rows."""
    _to_sql(_pandas(place), place, {"method": "multi", "chunksize": CHUNK})


def _to_sql(golden: Any, place: Place, options: dict[str, Any]) -> None:
    import psycopg
    from sqlalchemy import BigInteger, create_engine

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(place.dsn))
    kinds: Any = {name: BigInteger() for name in GOLDEN[1:]}
    with engine.begin() as connection:
        golden.to_sql(
            "golden", connection, if_exists="replace", index=False, dtype=kinds, **options
        )
        connection.exec_driver_sql("ALTER TABLE golden ADD PRIMARY KEY (symbol, ts_open_ns)")
    engine.dispose()


def pandas_into_parquet(place: Place) -> None:
    _pandas(place).to_parquet(place.parquet, index=False)


def _duckdb_query(place: Place) -> str:
    def beyond(name: str) -> str:
        gap = f"abs(k.{name} - v.{name})"
        if name == "volume":
            most = f"greatest(k.{name}, v.{name}) * {LIMITS.volume_bps} // 10000"
            return f"({gap} > {LIMITS.volume_units} AND {gap} > {most})"
        most = f"abs(k.{name}) * {LIMITS.price_bps} // 10000"
        return f"({gap} > {LIMITS.price_ticks * TICK} AND {gap} > {most})"

    values = ", ".join(f"coalesce(k.{name}, v.{name}) AS {name}" for name in COMPARED)
    conflict = " OR ".join(map(beyond, COMPARED))
    differs = " OR ".join(f"k.{name} <> v.{name}" for name in COMPARED)
    return f"""
        SELECT symbol, ts_open_ns, {values},
            CASE WHEN k.open IS NULL THEN 6 WHEN v.open IS NULL THEN 5
                 WHEN {conflict} THEN 8 WHEN {differs} THEN 2 ELSE 1 END AS verdict
        FROM '{place.kite}' k FULL JOIN '{place.vendor}' v USING (symbol, ts_open_ns)
    """


def duckdb_into_parquet(place: Place) -> None:
    import duckdb

    query = f"COPY ({_duckdb_query(place)}) TO '{place.parquet}' (FORMAT parquet)"
    with duckdb.connect() as connection:
        connection.execute(query)


def duckdb_into_postgres(place: Place) -> None:
    """Arrow batches out of DuckDB, as CSV into COPY; what was there is deleted first."""
    import duckdb

    with duckdb.connect() as source:
        reader = source.sql(_duckdb_query(place)).to_arrow_reader(100_000)
        copied(place.dsn, (csv_of(batch) for batch in reader))


def csv_of(batch: Any) -> bytes:
    """Without a header."""
    written = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False)
    pyarrow.csv.write_csv(batch, written, options)
    return written.getvalue()


def copied(dsn: str, blocks: Iterator[bytes]) -> None:
    """Blocks of CSV into the table of golden bars, instead of what it has."""
    with contextlib.closing(connect(dsn, application_name="benchmark")) as connection:
        connection.execute(TABLE.encode())
        with transaction(connection, "copying") as cursor:
            cursor.execute("TRUNCATE golden")
            _write(cursor, blocks)


def _write(cursor: Cursor, blocks: Iterator[bytes]) -> None:
    with cursor.copy(b"COPY golden FROM STDIN (FORMAT csv)") as copy:
        for block in blocks:
            copy.write(block)


def _polars(place: Place) -> Any:
    import polars as pl

    kite, vendor = pl.scan_parquet(place.kite), pl.scan_parquet(place.vendor)
    keys = ["symbol", "ts_open_ns"]
    both = kite.join(vendor, on=keys, how="full", suffix="_v", coalesce=True)
    conflict, differs = pl.lit(False), pl.lit(False)
    for name in COMPARED:
        won, other = pl.col(name), pl.col(f"{name}_v")
        gap = (won - other).abs()
        differs = differs | (gap > 0)
        if name == "volume":
            near = pl.max_horizontal(won, other) * LIMITS.volume_bps // 10_000
            conflict = conflict | ((gap > LIMITS.volume_units) & (gap > near))
        else:
            near = won.abs() * LIMITS.price_bps // 10_000
            conflict = conflict | ((gap > LIMITS.price_ticks * TICK) & (gap > near))
    verdict = (
        pl.when(pl.col("open").is_null())
        .then(6)
        .when(pl.col("open_v").is_null())
        .then(5)
        .when(conflict)
        .then(8)
        .when(differs)
        .then(2)
        .otherwise(1)
    )
    values = [pl.coalesce(name, f"{name}_v").alias(name) for name in COMPARED]
    return both.select(*keys, *values, verdict.cast(pl.Int64).alias("verdict"))


def polars_into_parquet(place: Place) -> None:
    _polars(place).sink_parquet(place.parquet)


def polars_into_postgres(place: Place) -> None:
    """Frames as CSV into COPY; what was there is deleted first."""
    golden = _polars(place).collect()
    parts = golden.iter_slices(100_000)
    copied(place.dsn, (part.write_csv(include_header=False).encode() for part in parts))


INTO_POSTGRES: Final = "Postgres"
WAYS: Final[Mapping[tuple[str, str], Callable[[Place], None]]] = {
    ("the store", INTO_POSTGRES): store_into_postgres,
    ("pandas, to_sql", INTO_POSTGRES): pandas_into_postgres,
    ("pandas, to_sql of many rows", INTO_POSTGRES): pandas_into_postgres_multi,
    ("DuckDB, COPY", INTO_POSTGRES): duckdb_into_postgres,
    ("Polars, COPY", INTO_POSTGRES): polars_into_postgres,
    ("the store's merge alone", "Parquet"): store_into_parquet,
    ("pandas", "Parquet"): pandas_into_parquet,
    ("DuckDB", "Parquet"): duckdb_into_parquet,
    ("Polars", "Parquet"): polars_into_parquet,
}
"""By name and where the golden bars go."""

LIBRARIES: Final = {"pandas": "pandas", "DuckDB": "duckdb", "Polars": "polars"}
"""What is loaded before the clock starts, by how the name of the way begins."""
