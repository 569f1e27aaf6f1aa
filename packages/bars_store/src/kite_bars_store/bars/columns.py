"""Bars as columns: what a source hands over, and how the pure modules hold them.

Prices are integers times ``10**price_scale``; times are nanoseconds since 1970 (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[Any]]
"""Arrays of one length by name."""

NO_OI: Final = -1
"""Stands for "no open interest" in arrays; null in Postgres and Arrow."""

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume", "oi")
INTERVALS: Final[Mapping[str, int]] = MappingProxyType(
    {"m1": 1, "m5": 5, "m15": 15, "h1": 60, "d1": 1440}
)
"""Minutes by interval, named as in the `Bar` contract; m1 and d1 are recorded, the rest derived."""
RECORDED: Final = ("m1", "d1")
PURPOSES: Final = ("history", "heal", "live")


@dataclass(frozen=True)
class BarInstrument:
    """Whose bars they are, with what its prices are judged by on these days.

    ``tick_size`` is times ``10**price_scale``; 0 when it is not known.
    """

    exchange: str
    tradingsymbol: str
    price_scale: int = 2
    tick_size: int = 0

    @property
    def name(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


@dataclass(frozen=True)
class BarColumns:
    """Bars in any order. ``instrument`` is an index into the list that goes with them.

    All arrays are int64 and of one length; ``oi`` holds `NO_OI` where there is none.
    """

    instrument: Int64s
    ts_open_ns: Int64s
    open: Int64s
    high: Int64s
    low: Int64s
    close: Int64s
    volume: Int64s
    oi: Int64s

    def __len__(self) -> int:
        return len(self.ts_open_ns)

    def as_dict(self) -> Columns:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> BarColumns:
        """From rows (instrument, ts_open_ns, open, high, low, close, volume[, oi])."""
        full = [(*row, NO_OI)[:8] for row in rows]
        columns = np.array(full, dtype=np.int64).reshape(-1, 8).T
        return cls(*(np.ascontiguousarray(column) for column in columns))


@dataclass(frozen=True)
class SourceBars:
    """What one source has, in one call.

    ``interval`` is m1 or d1. ``purpose`` is history, heal (fetched to close a gap) or live.
    ``file_sha256`` is of the file, where there is one; ``rows_refused`` counts what was left out
    before; ``parameters`` is how it was obtained, for people, as JSON.
    """

    source: str
    interval: str
    instruments: Sequence[BarInstrument]
    bars: BarColumns
    purpose: str = "history"
    file_name: str | None = None
    file_sha256: bytes | None = None
    rows_refused: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


def take(columns: Columns, index: npt.NDArray[Any]) -> Columns:
    """The rows of ``index``, which is positions or a mask."""
    return {name: column[index] for name, column in columns.items()}


def concat(parts: Sequence[Columns]) -> Columns:
    """All rows of the parts, which have the same columns."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def find(keys: Int64s, wanted: Int64s) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Where each of ``wanted`` is in the ascending ``keys``, and whether it is there at all."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return position.astype(np.int64, copy=False), keys[position] == wanted


def is_ascending(keys: Int64s) -> bool:
    """Strictly: no key is there twice."""
    return bool((keys[1:] > keys[:-1]).all())


def run_starts(keys: npt.NDArray[Any]) -> Int64s:
    """The positions at which the value of ``keys`` differs from the one before."""
    if not len(keys):
        return np.empty(0, np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(keys[1:] != keys[:-1]) + 1])
