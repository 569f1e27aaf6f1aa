"""Kite's tick packets as tables: where each field lies, how it is written, which column it fills.

A frame is big-endian: ``u16 count``, then ``count`` times (``u16 length``, ``length`` bytes). The
length alone decides the kind; the segment never does. An index token in a 44 or 184 byte packet, or
a tradable one in 28 or 32 bytes, is therefore decoded by its length like any other.

Sources: the packet tables of kite.trade's WebSocket documentation and the official clients. Where
these disagree (signed or unsigned prices, the divisors of currencies) README.md says what holds
here and why. Names, units and order of the columns are those of ``kite_contracts.tick_batch``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from kite_contracts.tick_batch import DEPTH_LEVELS, FIELDS, Group, TickMode

HEARTBEAT: Final = b"\x00"
"""Sent about every second; carries nothing, and is never handed to the decoder."""

COUNT_BYTES: Final = 2
LENGTH_BYTES: Final = 2
MAX_PACKETS: Final = 0xFFFF
MAX_FRAME_ROWS: Final = MAX_PACKETS + 1
"""The most rows any frame can take: each announced packet, and bytes after the last one."""

NS_PER_SECOND: Final = 1_000_000_000
SECONDS_OF_1970: Final = 365 * 86_400


class Segment(IntEnum):
    """The low byte of an instrument token; the rest of it is the exchange's own token."""

    NSE = 1
    NFO = 2
    CDS = 3
    BSE = 4
    BFO = 5
    BCD = 6
    MCX = 7
    MCXSX = 8
    INDICES = 9
    NCO = 12


PRICE_SCALES: Final[Mapping[int, int]] = MappingProxyType(
    {int(segment): 2 for segment in Segment} | {Segment.CDS: 7, Segment.BCD: 4, Segment.NCO: 4}
)
"""Decimals of a price on the wire (divisors 100, 1e7 and 1e4)."""
UNKNOWN_PRICE_SCALE: Final = -1
"""Of a segment that Kite does not document. The contract has no such scale, so its ticks become
dead letters, to be redriven by a release that knows the segment, and never wrong prices."""


def segment_of(token: int) -> int:
    """The segment number of an instrument token; not always a known ``Segment``."""
    return token & 0xFF


def price_scale_of(token: int) -> int:
    """How many decimals the integer prices of this instrument have: 2, 4, 7 or unknown."""
    return PRICE_SCALES.get(segment_of(token), UNKNOWN_PRICE_SCALE)


def is_tradable(token: int) -> bool:
    """Whether the instrument can be traded; indices cannot."""
    return segment_of(token) != Segment.INDICES


class PacketKind(IntEnum):
    """The five packets; the value is the length in bytes, which is the only type tag there is."""

    LTP = 8
    INDEX_QUOTE = 28
    INDEX_FULL = 32
    QUOTE = 44
    FULL = 184


class Wire(IntEnum):
    """How a field is written; all are big-endian."""

    U32 = 0
    """Unsigned 32 bits: tokens, quantities, open interest."""
    PRICE = 1
    """Signed 32 bits, in units of 10 ** -price_scale. Spreads and commodities can be negative."""
    U16 = 2
    """Unsigned 16 bits: numbers of orders."""
    SECONDS = 3
    """Unsigned 32 bits, UTC epoch seconds; 0 means absent. In the batch: nanoseconds or ABSENT."""
    TRADE_SECONDS = 5
    """As SECONDS, but all of 1970 means absent: instruments that never traded are sent with it."""
    MISSING = 4
    """Not in this packet, although its group is in the tick: the column is ABSENT."""


class Field(NamedTuple):
    """One field of a packet: ``column`` of the batch, wire type, and offset in bytes."""

    column: int
    wire: Wire
    offset: int

    @property
    def name(self) -> str:
        return FIELDS[self.column]


class PacketLayout(NamedTuple):
    """What a packet kind means. ``fields`` are in column order and start with the token."""

    kind: PacketKind
    mode: TickMode
    groups: Group
    fields: tuple[Field, ...]


def _fields(*rows: tuple[int, Wire, str]) -> tuple[Field, ...]:
    found = (Field(FIELDS.index(name), wire, offset) for offset, wire, name in rows)
    return tuple(sorted(found))


def _depth(first_offset: int) -> list[tuple[int, Wire, str]]:
    """Ten 12-byte entries, five bids and five asks: quantity, price, orders, two bytes padding."""
    rows: list[tuple[int, Wire, str]] = []
    for entry in range(2 * DEPTH_LEVELS):
        name = f"{'bid' if entry < DEPTH_LEVELS else 'ask'}_{entry % DEPTH_LEVELS}"
        offset = first_offset + 12 * entry
        rows.append((offset, Wire.U32, f"{name}_quantity"))
        rows.append((offset + 4, Wire.PRICE, f"{name}_price"))
        rows.append((offset + 8, Wire.U16, f"{name}_orders"))
    return rows


_LAST = ((0, Wire.U32, "instrument_token"), (4, Wire.PRICE, "last_price"))
_INDEX = (
    *_LAST,
    (8, Wire.PRICE, "high"),
    (12, Wire.PRICE, "low"),
    (16, Wire.PRICE, "open"),
    (20, Wire.PRICE, "close"),
    (24, Wire.PRICE, "index_change"),
)
_TRADABLE = (
    *_LAST,
    (8, Wire.U32, "last_quantity"),
    (12, Wire.PRICE, "average_price"),
    (16, Wire.U32, "volume_day"),
    (20, Wire.U32, "total_buy_quantity"),
    (24, Wire.U32, "total_sell_quantity"),
    (28, Wire.PRICE, "open"),
    (32, Wire.PRICE, "high"),
    (36, Wire.PRICE, "low"),
    (40, Wire.PRICE, "close"),
)
_NO_EVENT_TIME = (0, Wire.MISSING, "ts_event_ns")

LAYOUTS: Final = MappingProxyType(
    {
        layout.kind: layout
        for layout in (
            PacketLayout(PacketKind.LTP, TickMode.LTP, Group.NONE, _fields(*_LAST, _NO_EVENT_TIME)),
            PacketLayout(
                PacketKind.INDEX_QUOTE,
                TickMode.QUOTE,
                Group.OHLC | Group.INDEX,
                _fields(*_INDEX, _NO_EVENT_TIME),
            ),
            PacketLayout(
                PacketKind.INDEX_FULL,
                TickMode.FULL,
                Group.OHLC | Group.INDEX,
                _fields(*_INDEX, (28, Wire.SECONDS, "ts_event_ns")),
            ),
            PacketLayout(
                PacketKind.QUOTE,
                TickMode.QUOTE,
                Group.OHLC | Group.TRADE,
                _fields(*_TRADABLE, _NO_EVENT_TIME, (0, Wire.MISSING, "last_trade_time_ns")),
            ),
            PacketLayout(
                PacketKind.FULL,
                TickMode.FULL,
                Group.OHLC | Group.TRADE | Group.OPEN_INTEREST | Group.DEPTH,
                _fields(
                    *_TRADABLE,
                    (44, Wire.TRADE_SECONDS, "last_trade_time_ns"),
                    (48, Wire.U32, "oi"),
                    (52, Wire.U32, "oi_day_high"),
                    (56, Wire.U32, "oi_day_low"),
                    (60, Wire.SECONDS, "ts_event_ns"),
                    *_depth(64),
                ),
            ),
        )
    }
)
