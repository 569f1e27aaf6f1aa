"""One packet as a Tick record in JSON form, quickly and without the compiled loops (pure).

For those who look at packets one by one, such as triage. ``frames`` and ``reference`` decide what a
frame means; a property test holds this module to them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from broker_zerodha.packets import NS_PER_SECOND, PacketKind, price_scale_of

Record = dict[str, Any]

_LTP: Final = struct.Struct(">Ii").unpack
_INDEX: Final = struct.Struct(">Iiiiiii").unpack_from
_SECONDS: Final = struct.Struct(">I").unpack_from
_QUOTE: Final = struct.Struct(">IiIiIIIiiii").unpack_from
_FULL_TAIL: Final = struct.Struct(">IIIII" + "IiHxx" * 10).unpack_from
_QUOTE_BYTES: Final = 44
_INDEX_TIME_AT: Final = 28


def packet_record(
    packet: bytes, *, feed_session: int = 0, feed_seq: int = 0, ts_recv_ns: int = 0
) -> Record | None:
    """The packet as a Tick record, every field there, whether the contract takes it or not.

    None where Kite documents no packet of this length.
    """
    read = _READERS.get(len(packet))
    if read is None:
        return None
    return read(packet, feed_session, feed_seq, ts_recv_ns)


def _ltp(packet: bytes, session: int, seq: int, recv_ns: int) -> Record:
    token, last = _LTP(packet)
    return {
        "instrument_token": token,
        "mode": "ltp",
        "ts_recv_ns": recv_ns,
        "ts_event_ns": None,
        "feed_session": session,
        "feed_seq": seq,
        "price_scale": price_scale_of(token),
        "last_price": last,
        "ohlc": None,
        "trade": None,
        "open_interest": None,
        "index_change": None,
        "depth": None,
    }


def _index(packet: bytes, session: int, seq: int, recv_ns: int) -> Record:
    token, last, high, low, first, close, change = _INDEX(packet)
    full = len(packet) == PacketKind.INDEX_FULL
    return {
        "instrument_token": token,
        "mode": "full" if full else "quote",
        "ts_recv_ns": recv_ns,
        "ts_event_ns": _time_ns(_SECONDS(packet, _INDEX_TIME_AT)[0]) if full else None,
        "feed_session": session,
        "feed_seq": seq,
        "price_scale": price_scale_of(token),
        "last_price": last,
        "ohlc": {"open": first, "high": high, "low": low, "close": close},
        "trade": None,
        "open_interest": None,
        "index_change": {"change": change},
        "depth": None,
    }


def _tradable(packet: bytes, session: int, seq: int, recv_ns: int) -> Record:
    token, last, quantity, average, volume, buy, sell, first, high, low, close = _QUOTE(packet)
    record = {
        "instrument_token": token,
        "mode": "quote",
        "ts_recv_ns": recv_ns,
        "ts_event_ns": None,
        "feed_session": session,
        "feed_seq": seq,
        "price_scale": price_scale_of(token),
        "last_price": last,
        "ohlc": {"open": first, "high": high, "low": low, "close": close},
        "trade": {
            "last_quantity": quantity,
            "average_price": average,
            "volume_day": volume,
            "total_buy_quantity": buy,
            "total_sell_quantity": sell,
            "last_trade_time_ns": None,
        },
        "open_interest": None,
        "index_change": None,
        "depth": None,
    }
    if len(packet) == PacketKind.FULL:
        _add_full(record, packet)
    return record


def _add_full(record: Record, packet: bytes) -> None:
    traded, oi, oi_high, oi_low, event, *depth = _FULL_TAIL(packet, _QUOTE_BYTES)
    record["mode"] = "full"
    record["ts_event_ns"] = _time_ns(event)
    record["trade"]["last_trade_time_ns"] = _time_ns(traded)
    record["open_interest"] = {"oi": oi, "day_high": oi_high, "day_low": oi_low}
    levels = [
        {"price": price, "quantity": quantity, "orders": orders}
        for quantity, price, orders in zip(depth[::3], depth[1::3], depth[2::3], strict=True)
    ]
    record["depth"] = {"bids": levels[:5], "asks": levels[5:]}


def _time_ns(seconds: int) -> int | None:
    return seconds * NS_PER_SECOND if seconds else None


_READERS: Final[dict[int, Callable[[bytes, int, int, int], Record]]] = {
    PacketKind.LTP: _ltp,
    PacketKind.INDEX_QUOTE: _index,
    PacketKind.INDEX_FULL: _index,
    PacketKind.QUOTE: _tradable,
    PacketKind.FULL: _tradable,
}
