"""A vendor's Parquet file: batches of typed columns → bars."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from kite_bar_history.refused import PLAIN_HEADER
from kite_bar_history.vendor_files.blocks import BlockReader, BlockReading, Matrix
from kite_bar_history.vendor_files.layouts import IDENTITY, PRICES
from kite_bar_history.vendor_files.lines import Bar, Frame, read_cells
from kite_bar_history.vendor_files.opening import CutShort
from kite_bar_history.vendor_files.values import NOT_A_TIME, Fault
from kite_bars_store.bars.quality import Bools
from kite_contracts.sessions.model import ist, midnight_ns

_MAGIC: Final = b"PAR1"
_BATCH: Final = 65_536
_LOST: Final = (
    "%s is a float of %d bits, which does not hold it exactly: write the file with 64 bits"
)
_NUMBERS: Final = (*PRICES, "volume", "oi")


def column_names(path: Path) -> list[str] | None:
    """The columns of the file; None if it is no Parquet. Raises CutShort."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
        return list(pq.read_schema(str(path)).names)
    except (pa.ArrowException, OSError) as exc:
        raise CutShort("NOT_PARQUET", "is damaged or cut: copy it again") from exc


def readings(path: Path, frame: Frame) -> Iterator[BlockReading]:
    """The file's rows in their order; a row's number counts from 1. Raises CutShort."""
    reader = BlockReader(frame)
    try:
        for first, columns in _batches(path, frame):
            yield _read(columns, frame, reader, first)
    except (pa.ArrowException, OSError) as exc:
        raise CutShort("NOT_PARQUET", "is damaged; the rows before that were taken") from exc


def rows_at(path: Path, frame: Frame, numbers: Collection[int]) -> dict[int, str]:
    """These rows as lines of the layout ``plain``."""
    found = {}
    for first, columns in _batches(path, frame):
        rows = len(columns["open"])
        inside = [each for each in numbers if first <= each < first + rows]
        times = _times(columns, frame, rows) if inside else ()
        for each in inside:
            at = each - first
            found[each] = _plain(_cells(columns, at), int(times[at]), frame)
    return found


def _batches(path: Path, frame: Frame) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of the first row, and the columns by field."""
    with pq.ParquetFile(str(path)) as file:
        names = file.schema_arrow.names
        fields = {key: names[at] for key, at in frame.positions.items()}
        first = 1
        for batch in file.iter_batches(_BATCH, columns=sorted(set(fields.values()))):
            yield first, {key: batch.column(name) for key, name in fields.items()}
            first += batch.num_rows


def _read(columns: dict[str, Any], frame: Frame, reader: BlockReader, first: int) -> BlockReading:
    rows = len(columns["open"])
    texts = _texts(columns, *IDENTITY, *frame.layout.keep)
    times = _times(columns, frame, rows)
    number = reader.on_days(reader.numbers(texts, rows), times)
    bits = {
        key: column.type.bit_width for key, column in columns.items() if _is_narrow(column.type)
    }
    lost: dict[str, Bools] = {}
    for key in _NUMBERS:
        if key in columns and _is_narrow(columns[key].type):
            columns[key], lost[key] = _widened(key, columns[key], number, frame)
    floats: dict[str, Any] = {
        key: _as_floats(columns[key]) for key in (*_NUMBERS, "lot") if key in columns
    }

    def look(at: int) -> tuple[str, Bar | Fault | None]:
        cells, ts_ns = _cells(columns, at), int(times[at])
        known = None if ts_ns == NOT_A_TIME else ts_ns
        found = read_cells(cells, frame, known)
        for key in [key for key, rows in lost.items() if rows[at] and found is not None]:
            reason = "PRICE_TOO_FINE" if key in PRICES else "NOT_A_VOLUME"
            found = Fault(reason, _LOST % (key, bits[key]))
        return _plain(cells, ts_ns, frame), found

    odd = np.any([np.zeros(rows, np.bool_), *lost.values()], axis=0) & (number >= 0)
    return reader.judged(number, times, {**texts, **floats}, odd, first, look)


def _times(columns: dict[str, Any], frame: Frame, rows: int) -> Matrix:
    """When each bar opens; `NOT_A_TIME` where it is unknown."""
    column = columns["time" if "time" in columns else "date"]
    kind = column.type
    opens: Callable[[Any], int] = midnight_ns
    if pa.types.is_timestamp(kind):
        if kind.tz is None and frame.layout.time_zone is not None:
            column = pc.assume_timezone(
                column, str(frame.layout.time_zone), ambiguous="earliest", nonexistent="latest"
            )
        column = column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
        opens = frame.clock.of_instant
    elif not pa.types.is_date(kind):
        return BlockReader(frame).times(_texts(columns, "date", "time"), rows)
    unique = column.dictionary_encode()
    values = [NOT_A_TIME if each is None else opens(each) for each in unique.dictionary.to_pylist()]
    codes = pc.fill_null(unique.indices, len(values)).to_numpy(zero_copy_only=False)
    found: Matrix = np.array([*values, NOT_A_TIME], np.int64)[codes]
    return found


def _texts(columns: dict[str, Any], *keys: str) -> dict[str, Any]:
    found = {key: columns[key] for key in keys if key in columns}
    for key, column in found.items():
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        found[key] = column.cast(pa.string()).dictionary_encode()
    return found


def _is_narrow(kind: Any) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float16(kind))


def _widened(key: str, column: Any, number: Matrix, frame: Frame) -> tuple[Any, Bools]:
    """A column of floats of 32 or 16 bits as 64-bit ones, and which of its numbers are lost.

    Such a float stands for all numbers nearer to it than to its neighbours. Where one of them alone
    is a price of the instrument's ticks, or else one of its decimals, that is what was meant; where
    none or several are, it cannot be known. Of whole numbers those from 2**24 on are lost, of 16
    bits those from 2**11 on.
    """
    narrow = column.to_numpy(zero_copy_only=False)
    values = narrow.astype(np.float64)
    if key not in PRICES:
        exact = 2.0 ** (np.finfo(narrow.dtype).nmant + 1)
        none = np.asarray(column.is_null())
        return pa.array(values, mask=none), np.abs(values) >= exact
    reach = np.spacing(np.abs(narrow)).astype(np.float64) / 2
    listed = frame.roster.asked
    scales = np.array([frame.scale(at) for at in range(len(listed))] or [0])
    own = np.array([each.instrument.price_scale for each in listed] or [0])
    ticks = np.array([each.instrument.tick_size for each in listed] or [0]) * 10.0 ** (scales - own)
    place = np.maximum(number, 0)
    power, tick = 10.0 ** scales[place], ticks[place]
    found, lost = values.copy(), ~np.isnan(values)
    for step in (np.ones_like(tick), tick):  # the ticks, written last, precede
        with np.errstate(divide="ignore", invalid="ignore"):
            price = np.rint(values * power / step) * step / power
            fits = (step / power > 2 * reach) & (np.abs(price - values) <= reach)
        found, lost = np.where(fits, price, found), lost & ~fits
    return pa.array(found, mask=np.isnan(values)), lost


def _as_floats(column: Any) -> Any:
    """As float64."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pa.array([_float(each) for each in column.to_pylist()], pa.float64())
    return column.cast(pa.float64(), safe=False)


def _float(text: str | None) -> float | None:
    try:
        return float(text if text and text.isascii() and "_" not in text else "")
    except ValueError:
        return None


def _cells(columns: dict[str, Any], at: int) -> dict[str, str]:
    found = {}
    for key, column in columns.items():
        value = column[at].as_py()
        found[key] = "" if value is None else str(value)
    return found


def _plain(cells: dict[str, str], ts_ns: int, frame: Frame) -> str:
    """The row as a line of `PLAIN_HEADER`, with the time at which the bar opens."""
    exchange, symbol = frame.naming.key(cells.get("exchange"), cells.get("symbol"))
    when = "" if ts_ns == NOT_A_TIME else ist(ts_ns).isoformat()
    values = (exchange, symbol, when, *(cells.get(key, "") for key in _NUMBERS))
    assert len(values) == PLAIN_HEADER.count(",") + 1
    return ",".join(values)
