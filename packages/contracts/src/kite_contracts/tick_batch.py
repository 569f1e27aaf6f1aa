"""The tick batch: many ticks as one integer matrix, shared by the decoder and the Avro codec.

One row is one packet of a Kite frame, one column one field of the ``Tick`` contract, in the order
of its Avro schema. A packet that could not be decoded has a row too (its verdict says why), so row
numbers and ``feed_seq`` stay gapless. No Python object exists per field.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
import numpy.typing as npt

DEPTH_LEVELS: Final = 5

HEADER_FIELDS: Final = (
    "instrument_token",
    "ts_recv_ns",
    "ts_event_ns",
    "feed_session",
    "feed_seq",
    "price_scale",
    "last_price",
)
OHLC_FIELDS: Final = ("open", "high", "low", "close")
TRADE_FIELDS: Final = (
    "last_quantity",
    "average_price",
    "volume_day",
    "total_buy_quantity",
    "total_sell_quantity",
    "last_trade_time_ns",
)
OPEN_INTEREST_FIELDS: Final = ("oi", "oi_day_high", "oi_day_low")
INDEX_FIELDS: Final = ("index_change",)
DEPTH_FIELDS: Final = tuple(
    f"{side}_{level}_{part}"
    for side in ("bid", "ask")
    for level in range(DEPTH_LEVELS)
    for part in ("price", "quantity", "orders")
)
FIELDS: Final = (
    HEADER_FIELDS + OHLC_FIELDS + TRADE_FIELDS + OPEN_INTEREST_FIELDS + INDEX_FIELDS + DEPTH_FIELDS
)
FIELD_COUNT: Final = len(FIELDS)

# Column numbers, for the compiled loops (numba freezes module constants).
INSTRUMENT_TOKEN: Final = 0
TS_RECV_NS: Final = 1
TS_EVENT_NS: Final = 2
FEED_SESSION: Final = 3
FEED_SEQ: Final = 4
PRICE_SCALE: Final = 5
LAST_PRICE: Final = 6
OHLC: Final = 7
TRADE: Final = 11
LAST_TRADE_TIME_NS: Final = 16
OPEN_INTEREST: Final = 17
INDEX_CHANGE: Final = 20
DEPTH: Final = 21

ABSENT: Final = -(2**63)
"""A value that is not there. Only ``ts_event_ns`` and ``last_trade_time_ns`` may be absent alone;
every other optional field is there exactly when its group is."""


class TickMode(IntEnum):
    """The subscription mode a packet belongs to; the numbers are the Avro enum's indices."""

    LTP = 0
    QUOTE = 1
    FULL = 2


class Group(IntFlag):
    """The optional groups of a tick; a row's ``groups`` says which of its columns mean anything."""

    NONE = 0
    OHLC = 1
    TRADE = 2
    OPEN_INTEREST = 4
    INDEX = 8
    DEPTH = 16


class Verdict(IntEnum):
    """Why a row is no tick. Zero is a good tick; ``1 + column`` names the column out of bounds."""

    OK = 0
    TRUNCATED = -1
    """The frame ended inside this packet, or announced more packets than it holds."""
    UNKNOWN_PACKET = -2
    """The packet's length is none that Kite documents."""
    TRAILING_BYTES = -3
    """Bytes follow the last packet that the frame announced."""


class TickBatch:
    """A preallocated batch of ``capacity`` rows, of which the first ``size`` are in use.

    ``values`` is int64 ``(capacity, FIELD_COUNT)``, prices as integers with ``price_scale``
    decimals, times in nanoseconds since the epoch (UTC). ``mode``, ``groups`` and ``verdict``
    describe each row. ``start`` and ``end`` are the row's bytes in the buffer that it was decoded
    from: the packet without its length prefix, or for a faulty row everything that it covers.
    """

    __slots__ = ("capacity", "size", "values", "mode", "groups", "verdict", "start", "end")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.capacity = capacity
        self.size = 0
        self.values: npt.NDArray[np.int64] = np.empty((capacity, FIELD_COUNT), np.int64)
        self.mode: npt.NDArray[np.uint8] = np.zeros(capacity, np.uint8)
        self.groups: npt.NDArray[np.uint8] = np.zeros(capacity, np.uint8)
        self.verdict: npt.NDArray[np.int16] = np.zeros(capacity, np.int16)
        self.start: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.end: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)

    def __len__(self) -> int:
        return self.size

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """The used part of one column, a view. Raises KeyError for a name not in ``FIELDS``."""
        try:
            return self.values[: self.size, FIELDS.index(name)]
        except ValueError:
            raise KeyError(name) from None
