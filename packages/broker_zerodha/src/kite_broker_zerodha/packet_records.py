"""One packet as a Tick record in JSON form, without the compiled loops (pure).

For those who look at packets one by one, such as triage. ``frames`` and ``reference`` decide what a
frame means; a property test holds this module to them.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kite_broker_zerodha.packets import (
    LAYOUTS,
    NS_PER_SECOND,
    SECONDS_OF_1970,
    PacketKind,
    price_scale_of,
)

Record = dict[str, Any]

_LAST: Final = struct.Struct(">Ii").unpack_from
_INDEX: Final = struct.Struct(">8xiiiii").unpack_from
_SECONDS: Final = struct.Struct(">I").unpack_from
_TRADABLE: Final = struct.Struct(">8xIiIIIiiii").unpack_from
_FULL_TAIL: Final = struct.Struct(">44xIIIII" + "IiHxx" * 10).unpack_from
_INDEX_TIME_AT: Final = 28
_MODES: Final = {int(kind): layout.mode.name.lower() for kind, layout in LAYOUTS.items()}


def packet_record(
    packet: bytes, *, feed_session: int = 0, feed_seq: int = 0, ts_recv_ns: int = 0
) -> Record | None:
    """The packet as a Tick record, every field there, whether the contract takes it or not.

    None where Kite documents no packet of this length.
    """
    size = len(packet)
    if size not in _MODES:
        return None
    token, last = _LAST(packet)
    record: Record = {
        "instrument_token": token,
        "mode": _MODES[size],
        "ts_recv_ns": ts_recv_ns,
        "ts_event_ns": None,
        "feed_session": feed_session,
        "feed_seq": feed_seq,
        "price_scale": price_scale_of(token),
        "last_price": last,
        "ohlc": None,
        "trade": None,
        "open_interest": None,
        "index_change": None,
        "depth": None,
    }
    if size in (PacketKind.INDEX_QUOTE, PacketKind.INDEX_FULL):
        _add_index(record, packet)
    elif size in (PacketKind.QUOTE, PacketKind.FULL):
        _add_trade(record, packet)
    if size == PacketKind.FULL:
        _add_full(record, packet)
    return record


def _add_index(record: Record, packet: bytes) -> None:
    high, low, first, close, change = _INDEX(packet)
    record["ohlc"] = {"open": first, "high": high, "low": low, "close": close}
    record["index_change"] = {"change": change}
    if len(packet) == PacketKind.INDEX_FULL:
        record["ts_event_ns"] = _time_ns(_SECONDS(packet, _INDEX_TIME_AT)[0])


def _add_trade(record: Record, packet: bytes) -> None:
    quantity, average, volume, buy, sell, first, high, low, close = _TRADABLE(packet)
    record["ohlc"] = {"open": first, "high": high, "low": low, "close": close}
    record["trade"] = {
        "last_quantity": quantity,
        "average_price": average,
        "volume_day": volume,
        "total_buy_quantity": buy,
        "total_sell_quantity": sell,
        "last_trade_time_ns": None,
    }


def _add_full(record: Record, packet: bytes) -> None:
    traded, oi, oi_high, oi_low, event, *depth = _FULL_TAIL(packet)
    record["ts_event_ns"] = _time_ns(event)
    record["trade"]["last_trade_time_ns"] = _time_ns(traded if traded >= SECONDS_OF_1970 else 0)
    record["open_interest"] = {"oi": oi, "day_high": oi_high, "day_low": oi_low}
    levels = [
        {"price": price, "quantity": quantity, "orders": orders}
        for quantity, price, orders in zip(depth[::3], depth[1::3], depth[2::3], strict=True)
    ]
    record["depth"] = {"bids": levels[:5], "asks": levels[5:]}


def _time_ns(seconds: int) -> int | None:
    return seconds * NS_PER_SECOND if seconds else None
