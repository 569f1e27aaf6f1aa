"""One packet as a Tick record in JSON form or text, quickly and without the compiled loops (pure).

For those who look at packets one by one, such as triage. ``frames`` and ``reference`` decide what a
frame means; a property test holds this module to them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from kite_broker_zerodha.packets import NS_PER_SECOND, SECONDS_OF_1970, PacketKind, price_scale_of

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
    record["trade"]["last_trade_time_ns"] = _time_ns(traded if traded >= SECONDS_OF_1970 else 0)
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
    write = _WRITERS.get(len(packet))
    if write is None:
        return None
    return write(packet, (feed_session, feed_seq, ts_recv_ns))


_Stamps = tuple[int, int, int]


def _ltp_json(packet: bytes, stamps: _Stamps) -> bytes:
    token, last = _LTP(packet)
    return _LTP_JSON % (*stamps, price_scale_of(token), token, last)


def _index_json(packet: bytes, stamps: _Stamps) -> bytes:
    part = _INDEX(packet)
    scale = price_scale_of(part[0])
    if len(packet) == PacketKind.INDEX_QUOTE:
        return _INDEX_QUOTE_JSON % (*stamps, scale, *part)
    (event,) = _SECONDS(packet, _INDEX_TIME_AT)
    return _INDEX_FULL_JSON[bool(event)] % (*stamps, scale, *part, event)


def _quote_json(packet: bytes, stamps: _Stamps) -> bytes:
    part = _QUOTE(packet)
    return _QUOTE_JSON % (*stamps, price_scale_of(part[0]), *part)


def _full_json(packet: bytes, stamps: _Stamps) -> bytes:
    part = _QUOTE(packet)
    tail = _FULL_TAIL(packet, _QUOTE_BYTES)
    scale = price_scale_of(part[0])
    own = (*part[:7], tail[0], *part[7:], tail[4], *tail[1:4], *tail[5:])
    text: bytes = _FULL_JSON[tail[0] >= SECONDS_OF_1970, tail[4] > 0] % (*stamps, scale, *own)
    return text


_WRITERS: Final[dict[int, Callable[[bytes, _Stamps], bytes]]] = {
    PacketKind.LTP: _ltp_json,
    PacketKind.INDEX_QUOTE: _index_json,
    PacketKind.INDEX_FULL: _index_json,
    PacketKind.QUOTE: _quote_json,
    PacketKind.FULL: _full_json,
}

# Templates: %d for each number, in the order in which the packet has them.


def _time(there: bool) -> str:
    """A time of 0 seconds is none; %.0a takes the number and prints nothing."""
    return "%d000000000" if there else "null%.0a"


def _template(mode: str, *members: str) -> bytes:
    """A record's JSON: what every packet has, these members, and null for the others."""
    first = (
        f'{{"mode":"{mode}","feed_session":%d,"feed_seq":%d,"ts_recv_ns":%d,"price_scale":%d,'
        '"instrument_token":%d,"last_price":%d'
    )
    optional = ("ohlc", "trade", "ts_event_ns", "open_interest", "index_change", "depth")
    said = ",".join((first, *members))
    absent = [f'"{name}":null' for name in optional if f'"{name}":' not in said]
    return (",".join((said, *absent)) + "}").encode()


_TRADE: Final = (
    '"trade":{"last_quantity":%d,"average_price":%d,"volume_day":%d,"total_buy_quantity":%d,'
    '"total_sell_quantity":%d,"last_trade_time_ns":'
)
_OHLC: Final = '"ohlc":{"open":%d,"high":%d,"low":%d,"close":%d}'
_INDEX_OHLC: Final = '"ohlc":{"high":%d,"low":%d,"open":%d,"close":%d}'
_CHANGE: Final = '"index_change":{"change":%d}'
_OI: Final = '"open_interest":{"oi":%d,"day_high":%d,"day_low":%d}'
_LEVELS: Final = ",".join(['{"quantity":%d,"price":%d,"orders":%d}'] * 5)
_DEPTH: Final = f'"depth":{{"bids":[{_LEVELS}],"asks":[{_LEVELS}]}}'

_LTP_JSON: Final = _template("ltp")
_INDEX_QUOTE_JSON: Final = _template("quote", _INDEX_OHLC, _CHANGE)
_INDEX_FULL_JSON: Final = [
    _template("full", _INDEX_OHLC, _CHANGE, '"ts_event_ns":' + _time(event))
    for event in (False, True)
]
_QUOTE_JSON: Final = _template("quote", _TRADE + "null}", _OHLC)
_FULL_JSON: Final = {
    (traded, event): _template(
        "full",
        _TRADE + _time(traded) + "}",
        _OHLC,
        '"ts_event_ns":' + _time(event),
        _OI,
        _DEPTH,
    )
    for traded in (False, True)
    for event in (False, True)
}
