"""One packet as a Tick record in JSON form or text, quickly and without the compiled loops (pure).

For those who look at packets one by one, such as triage. ``frames`` and ``reference`` decide what a
frame means; a property test holds this module to them.
"""

from __future__ import annotations

import json
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


def packet_json(
    packet: bytes, *, feed_session: int = 0, feed_seq: int = 0, ts_recv_ns: int = 0
) -> bytes | None:
    """``packet_record`` as JSON text, in half the time: the keys' order is not the contract's."""
    size = len(packet)
    if size == PacketKind.FULL:
        part = _QUOTE(packet)
        tail = _FULL_TAIL(packet, _QUOTE_BYTES)
        scale = price_scale_of(part[0])
        stamps = (feed_session, feed_seq, ts_recv_ns, scale)
        body = _FULL_JSON[tail[0] > 0, tail[4] > 0]
        return body % (*stamps, *part[:7], tail[0], *part[7:], tail[4], *tail[1:4], *tail[5:])
    record = packet_record(
        packet, feed_session=feed_session, feed_seq=feed_seq, ts_recv_ns=ts_recv_ns
    )
    return None if record is None else json.dumps(record, separators=(",", ":")).encode()


def _full_json(traded: bool, event: bool) -> bytes:
    """A template: ``%d`` for each number, in the order that ``packet_json`` gives them."""
    # A time of 0 seconds is none; %.0a takes the number and prints nothing.
    times = {True: "%d000000000", False: "null%.0a"}
    level = '{"quantity":%d,"price":%d,"orders":%d}'
    levels = ",".join([level] * 5)
    return (
        '{"mode":"full","feed_session":%d,"feed_seq":%d,"ts_recv_ns":%d,"price_scale":%d,'
        '"instrument_token":%d,"last_price":%d,"trade":{"last_quantity":%d,"average_price":%d,'
        '"volume_day":%d,"total_buy_quantity":%d,"total_sell_quantity":%d,'
        f'"last_trade_time_ns":{times[traded]}}},'
        '"ohlc":{"open":%d,"high":%d,"low":%d,"close":%d},'
        f'"ts_event_ns":{times[event]},'
        '"open_interest":{"oi":%d,"day_high":%d,"day_low":%d},"index_change":null,'
        f'"depth":{{"bids":[{levels}],"asks":[{levels}]}}}}'
    ).encode()


_FULL_JSON: Final = {
    (traded, event): _full_json(traded, event)
    for traded in (False, True)
    for event in (False, True)
}
