"""Ticks as a file: Parquet or CSV, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import csv, parquet

from kite_runtime.errors import OutputUnusable, UsageError
from kite_runtime.files import replacing

SUFFIXES: Final = (".parquet", ".csv")


def check_suffix(file: Path) -> None:
    """Raise UsageError for a file whose name does not say its form."""
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{file} ends neither in .parquet nor in .csv, which say the form")


def nonempty(reader: Any) -> Any:
    """The same ``pyarrow.RecordBatchReader`` from its first row on; None where there is none."""
    for batch in reader:
        if batch.num_rows:

            def rest(first: Any = batch) -> Iterator[Any]:
                yield first
                yield from reader

            return pa.RecordBatchReader.from_batches(reader.schema, rest())
    return None


def write(reader: Any, file: Path) -> int:
    """Write the batches to ``file`` and return how many rows; the file is whole or unchanged.

    Raises OutputUnusable.
    """
    rows = 0
    try:
        with replacing(file) as part:
            if file.suffix == ".csv":
                writer: Any = csv.CSVWriter(part, reader.schema)
            else:
                writer = parquet.ParquetWriter(part, reader.schema, compression="zstd")
            with writer:
                for batch in reader:
                    writer.write_batch(batch)
                    rows += batch.num_rows
    except OSError as exc:
        raise OutputUnusable(file, exc) from exc
    return rows
