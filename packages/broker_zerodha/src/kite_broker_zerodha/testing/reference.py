"""The decoder one packet at a time, in plain Python: what ``frames`` means, and its oracle.

It shares no table with ``packets``, so that a wrong offset cannot be wrong in both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from kite_contracts.bounds import TickBounds
from kite_contracts.tick_batch import ABSENT, DEPTH_LEVELS, FIELDS, Group, TickMode, Verdict

_LTP: Final = struct.Struct(">Ii")
_INDEX: Final = struct.Struct(">Iiiiiii")  # token, last, high, low, open, close, change
_TRADABLE: Final = struct.Struct(">IiIiIIIiiii")  # token .. sell quantity, open, high, low, close
_FULL_TAIL: Final = struct.Struct(">IIIII")  # last trade, OI, its day high and low, exchange time
_DEPTH_ENTRY: Final = struct.Struct(">IiHxx")
_TIME: Final = struct.Struct(">I")
_U16: Final = struct.Struct(">H")

_CDS, _BCD, _NCO = 3, 6, 12


@dataclass
class Row:
    """One row as ``frames`` must fill it: ``values`` has the columns that mean something.

    ``start`` and ``end`` are positions in the frame. ``verdict`` is one of ``Verdict`` or 1 + the
    first column out of bounds.
    """

    verdict: int
    start: int
    end: int
    mode: int = 0
    groups: int = 0
    values: dict[str, int] = field(default_factory=dict)


def decode_frame(
    frame: bytes,
    *,
    ts_recv_ns: int,
    feed_session: int,
    first_seq: int,
    bounds: TickBounds | None = None,
) -> list[Row]:
    """All rows of one frame; without ``bounds`` no value is checked. Never raises for any bytes."""
    rows = _split(frame)
    for slot, row in enumerate(rows):
        row.values.update(
            ts_recv_ns=ts_recv_ns, feed_session=feed_session, feed_seq=first_seq + slot
        )
        if row.verdict == Verdict.OK:
            _decode_packet(frame[row.start : row.end], row)
        if row.verdict == Verdict.OK and bounds is not None:
            row.verdict = _check(row.values, bounds)
        if row.verdict < 0:
            row.values.update(instrument_token=0, ts_event_ns=ABSENT, price_scale=0, last_price=0)
    return rows


def _split(frame: bytes) -> list[Row]:
    end = len(frame)
    if end < 2:
        return [Row(Verdict.TRUNCATED, 0, end)]
    rows: list[Row] = []
    at = 2
    for _ in range(_U16.unpack_from(frame)[0]):
        if end - at < 2 or end - at - 2 < _U16.unpack_from(frame, at)[0]:
            rows.append(Row(Verdict.TRUNCATED, at, end))
            return rows
        length = _U16.unpack_from(frame, at)[0]
        rows.append(Row(Verdict.OK, at + 2, at + 2 + length))
        at += 2 + length
    if at < end:
        rows.append(Row(Verdict.TRAILING_BYTES, at, end))
    return rows


def _decode_packet(packet: bytes, row: Row) -> None:
    match len(packet):
        case 8:
            row.mode, row.groups = TickMode.LTP, Group.NONE
            row.values.update(_named("instrument_token last_price", _LTP.unpack(packet)))
            row.values["ts_event_ns"] = ABSENT
        case 28 | 32:
            row.mode = TickMode.QUOTE if len(packet) == 28 else TickMode.FULL
            row.groups = Group.OHLC | Group.INDEX
            names = "instrument_token last_price high low open close index_change"
            row.values.update(_named(names, _INDEX.unpack_from(packet)))
            seconds = _TIME.unpack_from(packet, 28)[0] if len(packet) == 32 else 0
            row.values["ts_event_ns"] = _time_ns(seconds)
        case 44 | 184:
            row.mode, row.groups = TickMode.QUOTE, Group.OHLC | Group.TRADE
            names = (
                "instrument_token last_price last_quantity average_price volume_day"
                " total_buy_quantity total_sell_quantity open high low close"
            )
            row.values.update(_named(names, _TRADABLE.unpack_from(packet)))
            row.values.update(ts_event_ns=ABSENT, last_trade_time_ns=ABSENT)
            if len(packet) == 184:
                _decode_full_tail(packet, row)
        case _:
            row.verdict = Verdict.UNKNOWN_PACKET
            return
    segment = row.values["instrument_token"] & 0xFF
    known = segment in (*range(1, 10), _NCO)
    scale = 7 if segment == _CDS else 4 if segment in (_BCD, _NCO) else 2
    row.values["price_scale"] = scale if known else -1


def _decode_full_tail(packet: bytes, row: Row) -> None:
    row.mode = TickMode.FULL
    row.groups |= Group.OPEN_INTEREST | Group.DEPTH
    traded, oi, oi_day_high, oi_day_low, event = _FULL_TAIL.unpack_from(packet, 44)
    row.values.update(oi=oi, oi_day_high=oi_day_high, oi_day_low=oi_day_low)
    traded = 0 if traded < 31_536_000 else traded  # 1970: it never traded
    row.values.update(last_trade_time_ns=_time_ns(traded), ts_event_ns=_time_ns(event))
    for entry, numbers in enumerate(_DEPTH_ENTRY.iter_unpack(packet[64:])):
        side = "bid" if entry < DEPTH_LEVELS else "ask"
        for part, number in zip(("quantity", "price", "orders"), numbers, strict=True):
            row.values[f"{side}_{entry % DEPTH_LEVELS}_{part}"] = number


def _named(names: str, numbers: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(names.split(), numbers, strict=True))


def _time_ns(seconds: int) -> int:
    return seconds * 1_000_000_000 if seconds else ABSENT


def _check(values: dict[str, int], bounds: TickBounds) -> int:
    for column, name in enumerate(FIELDS):
        value = values.get(name, ABSENT)
        if value == ABSENT:
            continue
        low, high = int(bounds.low[column]), int(bounds.high[column])
        mask = int(bounds.masks[column])
        enumerated = mask != 2**64 - 1
        if not low <= value <= high or (enumerated and not mask >> (value - low) & 1):
            return column + 1
    return Verdict.OK
