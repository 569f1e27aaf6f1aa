"""A batch of ticks as columns: numpy, Arrow or pandas (pure).

Prices are integers with ``price_scale`` decimals unless another form is asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from kite_contracts.tick_batch import ABSENT, FIELDS, TickBatch, TickMode
from kite_contracts.tick_rows import NULLABLE_COLUMNS, group_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped]

Ints = npt.NDArray[np.int64]
Prices = Literal["scaled", "decimal", "float"]

PRICE_FIELDS: Final = frozenset(
    name
    for name in FIELDS
    if name.endswith("_price") or name in ("open", "high", "low", "close", "index_change")
)
TIME_FIELDS: Final = ("ts_recv_ns", "ts_event_ns", "last_trade_time_ns")
SCALE_MAX: Final = 7
"""The largest ``price_scale`` of the contract; prices as decimals have this many places."""


class TickColumns:
    """Ticks in the order in which they were read, each with where it was read.

    ``batch`` is the integer matrix (every row is good), ``partition`` and ``offset`` are int64.
    Of one instrument the order is that of the feed; between instruments it is not.
    """

    __slots__ = ("batch", "topic", "partition", "offset")

    def __init__(self, batch: TickBatch, topic: str, partition: Ints, offset: Ints) -> None:
        self.batch = batch
        self.topic = topic
        self.partition = partition
        self.offset = offset

    def __len__(self) -> int:
        return self.batch.size

    def chosen(self, keep: npt.NDArray[np.bool_]) -> TickColumns:
        """The rows where ``keep`` is true, copied."""
        batch = TickBatch(max(1, int(np.count_nonzero(keep))))
        batch.size = int(np.count_nonzero(keep))
        for name in ("values", "mode", "groups", "verdict", "start", "end"):
            getattr(batch, name)[: batch.size] = getattr(self.batch, name)[: self.batch.size][keep]
        return TickColumns(batch, self.topic, self.partition[keep], self.offset[keep])

    def column(self, name: str) -> Ints:
        """One field of the contract as int64 (``ABSENT`` where there is none), a view."""
        return self.batch.column(name)

    def price(self, row: int, name: str = "last_price") -> Decimal | None:
        """One price, exact; None where the tick has none. Raises KeyError for no price field."""
        if name not in PRICE_FIELDS:
            raise KeyError(name)
        if not bool(self.present(name)[row]):
            return None
        return Decimal(int(self.column(name)[row])).scaleb(-int(self.column("price_scale")[row]))

    def present(self, name: str) -> npt.NDArray[np.bool_]:
        """In which rows the field has a value."""
        size, number = self.batch.size, FIELDS.index(name)
        group = group_of(number)
        there = np.ones(size, np.bool_)
        if group:
            there &= (self.batch.groups[:size] & int(group)) != 0
        if number in NULLABLE_COLUMNS:
            there &= self.batch.values[:size, number] != ABSENT
        return there

    def to_numpy(self) -> dict[str, npt.NDArray[Any]]:
        """Every field as int64 by name, ``ABSENT`` (the smallest int64) where there is none, with
        ``mode`` (0 ltp, 1 quote, 2 full), ``partition`` and ``offset``. Prices are scaled."""
        columns: dict[str, npt.NDArray[Any]] = {
            name: np.ascontiguousarray(self.column(name)) for name in FIELDS
        }
        columns["mode"] = self.batch.mode[: self.batch.size]
        columns["partition"] = self.partition
        columns["offset"] = self.offset
        return columns

    def to_arrow(self, prices: Prices = "scaled") -> pa.RecordBatch:
        """An Arrow record batch: times are ``timestamp[ns, UTC]`` (named without ``_ns``), missing
        values null, ``mode`` a dictionary of ``ltp``, ``quote``, ``full``.

        ``prices``: ``scaled`` int64; ``decimal`` exact decimal128 with 7 places; ``float`` float64,
        the nearest to the exact price. Raises ValueError for a price that 7 places cannot hold.
        """
        import pyarrow as pa  # only for those who ask: it takes long to import

        convert = _PRICE_FORMS[prices]
        columns: dict[str, pa.Array] = {}
        for name in FIELDS:
            values, null = np.ascontiguousarray(self.column(name)), ~self.present(name)
            if name in TIME_FIELDS:
                kind = pa.timestamp("ns", "UTC")
                columns[name.removesuffix("_ns")] = pa.array(values, pa.int64(), null).cast(kind)
            elif name in PRICE_FIELDS:
                columns[name] = convert(np.where(null, 0, values), null, self.column("price_scale"))
            else:
                columns[name] = pa.array(values, pa.int64(), null)
        modes = pa.array([mode.name.lower() for mode in TickMode])
        mode = pa.array(self.batch.mode[: self.batch.size].astype(np.int8))
        columns["mode"] = pa.DictionaryArray.from_arrays(mode, modes)
        columns["partition"] = pa.array(self.partition, pa.int64())
        columns["offset"] = pa.array(self.offset, pa.int64())
        return pa.RecordBatch.from_pydict(columns)

    def to_pandas(self, prices: Prices = "scaled") -> pd.DataFrame:
        """A pandas frame with the columns of ``to_arrow``.

        Integers are ``Int64`` (so that a missing one does not turn the rest into floats), times
        ``datetime64[ns, UTC]``, decimals Python's ``Decimal``.
        """
        import pandas as pd
        import pyarrow as pa

        wanted = {pa.int64(): pd.Int64Dtype(), pa.float64(): pd.Float64Dtype()}
        frame: pd.DataFrame = self.to_arrow(prices).to_pandas(types_mapper=wanted.get)
        return frame


def _scaled(values: Ints, null: npt.NDArray[np.bool_], scale: Ints) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.int64(), null)


def _floats(values: Ints, null: npt.NDArray[np.bool_], scale: Ints) -> pa.Array:
    import pyarrow as pa

    # Both operands are exact below 2**53, so that the quotient is the nearest float.
    return pa.array(values / np.power(10.0, scale), pa.float64(), null)


def _decimals(values: Ints, null: npt.NDArray[np.bool_], scale: Ints) -> pa.Array:
    import pyarrow as pa

    if len(scale) and not 0 <= int(scale.min()) <= int(scale.max()) <= SCALE_MAX:
        raise ValueError(f"a price_scale is not between 0 and {SCALE_MAX}")
    factor = np.power(10, SCALE_MAX - scale)
    low = values * factor
    if bool((low // factor != values).any()):
        raise ValueError(f"a price does not fit 64 bits with {SCALE_MAX} places")
    # decimal128 is a little-endian 128-bit integer: the number, then its sign 64 times.
    data = np.column_stack((low, low >> 63)).tobytes()
    valid = np.packbits(~null, bitorder="little").tobytes()
    buffers = [pa.py_buffer(valid), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.decimal128(38, SCALE_MAX), len(low), buffers)


_PRICE_FORMS: Final[dict[str, Callable[..., Any]]] = {
    "scaled": _scaled,
    "decimal": _decimals,
    "float": _floats,
}
