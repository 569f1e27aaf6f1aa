"""A vendor's Parquet file: batches of typed columns → bars."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from kite_bar_history.refused import PLAIN_HEADER, stamp
from kite_bar_history.vendor_files.blocks import NOT_A_TIME, BlockReader, BlockReading, Matrix
from kite_bar_history.vendor_files.layouts import PRICES
from kite_bar_history.vendor_files.lines import Bar, Frame, judge_values
from kite_bar_history.vendor_files.values import UNKNOWN, Fault
from kite_contracts.sessions.model import midnight_ns

MAGIC: Final = b"PAR1"
_BATCH: Final = 65_536
_FLOAT32: Final = "%.7g"
_NUMBERS: Final = (*PRICES, "volume", "oi")


class NotParquet(Exception):
    """The file cannot be read as Parquet, from its beginning or from some place on."""


def column_names(path: Path) -> list[str]:
    """The columns of the file. Raises NotParquet."""
    try:
        return list(pq.read_schema(str(path)).names)
    except (pa.ArrowException, OSError) as exc:
        raise NotParquet from exc


def readings(path: Path, frame: Frame) -> Iterator[BlockReading]:
    """The file's rows in their order; a row's number counts from 1. Raises NotParquet."""
    names = column_names(path)
    fields = {key: names[at] for key, at in frame.positions.items()}
    reader = BlockReader(frame)
    first = 1
    try:
        with pq.ParquetFile(str(path)) as file:
            wanted = sorted(set(fields.values()))
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                columns = {key: batch.column(name) for key, name in fields.items()}
                yield _read(columns, frame, reader, first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as exc:
        raise NotParquet from exc


def rows_at(path: Path, frame: Frame, numbers: Collection[int]) -> dict[int, str]:
    """These rows as lines of the layout ``plain``."""
    names = column_names(path)
    fields = {key: names[at] for key, at in frame.positions.items()}
    wanted, found, first = set(numbers), {}, 1
    with pq.ParquetFile(str(path)) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            inside = [each for each in wanted if first <= each < first + batch.num_rows]
            columns = {key: batch.column(name) for key, name in fields.items()}
            if inside:
                times = _times(columns, frame, batch.num_rows)
            for each in inside:
                at = each - first
                found[each] = _plain(_cells(columns, at), int(times[at]), frame)
            first += batch.num_rows
    return found


def _read(columns: dict[str, Any], frame: Frame, reader: BlockReader, first: int) -> BlockReading:
    rows = len(next(iter(columns.values())))
    texts = _texts(columns, "exchange", "symbol")
    number = reader.numbers(texts, rows)
    times = _times(columns, frame, rows)
    floats: dict[str, Any] = {key: _as_floats(columns[key]) for key in _NUMBERS if key in columns}

    def look(at: int) -> tuple[str, Bar | Fault | None]:
        cells = _cells(columns, at)
        own, ts_ns = int(number[at]), int(times[at])
        text = _plain(cells, ts_ns, frame)
        if own == UNKNOWN:
            exchange, symbol = frame.naming.key(cells.get("exchange"), cells.get("symbol"))
            return text, Fault("UNKNOWN_SYMBOL", f"nobody knows {exchange}:{symbol[:40]}")
        if ts_ns == NOT_A_TIME:
            return text, Fault("NOT_A_TIME", "the time is missing or none of this layout")
        return text, judge_values(own, ts_ns, cells, frame)

    return reader.judged(number, times, floats, first, look)


def _times(columns: dict[str, Any], frame: Frame, rows: int) -> Matrix:
    """When each bar opens; `NOT_A_TIME` where nobody can say."""
    column = columns["time" if "time" in columns else "date"]
    kind = column.type
    if pa.types.is_date(kind):
        unique = column.dictionary_encode()
        opens = [NOT_A_TIME if each is None else midnight_ns(each) for each in _days(unique)]
        return _spread(unique, opens)
    if not pa.types.is_timestamp(kind):
        return BlockReader(frame).times(_texts(columns, "date", "time"), rows)
    if kind.tz is None and frame.layout.time_zone is not None:
        column = pc.assume_timezone(
            column, str(frame.layout.time_zone), ambiguous="earliest", nonexistent="latest"
        )
    unique = column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).dictionary_encode()
    labels = unique.dictionary.to_pylist()
    opens = [NOT_A_TIME if each is None else frame.clock.of_instant(each) for each in labels]
    return _spread(unique, opens)


def _days(encoded: Any) -> list[date | None]:
    return list(encoded.dictionary.to_pylist())


def _spread(encoded: Any, values: list[int]) -> Matrix:
    codes = pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False)
    table = np.array([*values, NOT_A_TIME], np.int64)
    found: Matrix = table[codes]
    return found


def _texts(columns: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: _as_text(columns[key]) for key in keys if key in columns}


def _as_text(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()).dictionary_encode()


def _as_floats(column: Any) -> Any:
    """As float64; of 32 bits the seven digits that they hold are what was meant."""
    if pa.types.is_float32(column.type):
        values = column.to_numpy(zero_copy_only=False)
        texts = np.char.mod(_FLOAT32, values.astype(np.float64))
        return pa.array(texts.astype(np.float64))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pa.array([_float(each) for each in column.to_pylist()], pa.float64())
    return column.cast(pa.float64(), safe=False)


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _cells(columns: dict[str, Any], at: int) -> dict[str, str]:
    found = {}
    for key, column in columns.items():
        value = column[at].as_py()
        if value is not None and pa.types.is_float32(column.type):
            found[key] = _FLOAT32 % value
        else:
            found[key] = "" if value is None else str(value)
    return found


def _plain(cells: dict[str, str], ts_ns: int, frame: Frame) -> str:
    """The row as a line of `PLAIN_HEADER`, with the time at which the bar opens."""
    exchange, symbol = frame.naming.key(cells.get("exchange"), cells.get("symbol"))
    when = "" if ts_ns == NOT_A_TIME else stamp(ts_ns)
    values = (exchange, symbol, when, *(cells.get(key, "") for key in _NUMBERS))
    assert len(values) == PLAIN_HEADER.count(",") + 1
    return ",".join(values)
