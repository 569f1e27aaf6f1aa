"""Our decoder against the official client's own parser, field by field.

Both agree on every frame but for this, the whole list of exceptions (README.md has it too):

| Exception         | kiteconnect 5.2.2                                | here                    |
|-------------------|--------------------------------------------------|-------------------------|
| negative price    | read as unsigned: raw + 2**32                    | signed                  |
| prices            | float                                            | integer and scale       |
| time              | naive datetime in the host's zone                | nanoseconds, UTC        |
| time 0            | 1970-01-01                                       | absent                  |
| traded in 1970    | that time                                        | absent                  |
| unknown segment   | 100                                              | no scale: a dead letter |
| change            | a float derived from last price and close        | not carried: derive it  |
| index change      | dropped                                          | carried as sent         |
| frame cut short   | raises, or takes a cut packet for a shorter kind | the rest is TRUNCATED   |
| unknown length    | skipped; raises below 4 bytes                    | UNKNOWN_PACKET, goes on |
| trailing bytes    | ignored                                          | TRAILING_BYTES          |
| less than 2 bytes | no ticks                                         | TRUNCATED               |
| out of bounds     | a tick like any other                            | a verdict, values kept  |

The divisors do not differ: CDS 1e7, BCD and NCO 1e4, others 100.
"""

from __future__ import annotations

import struct
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from decoding import decode, rows_of
from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteTicker  # type: ignore[import-untyped]

from kite_broker_zerodha.packets import (
    NS_PER_SECOND,
    SECONDS_OF_1970,
    UNKNOWN_PRICE_SCALE,
    PacketKind,
    Segment,
    is_tradable,
)
from kite_broker_zerodha.testing import any_packets, whole_frames
from kite_broker_zerodha.testing.reference import Row
from kite_broker_zerodha.wire import encode_frame, encode_packet
from kite_contracts.tick_batch import ABSENT, Group, TickMode, Verdict

KiteTick = dict[str, Any]
SBIN = 779521

TRADE_NAMES = {
    "last_traded_quantity": "last_quantity",
    "volume_traded": "volume_day",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
}


@cache
def ticker() -> KiteTicker:
    return KiteTicker("key", "token")


def kite_ticks(frame: bytes) -> list[KiteTick]:
    ticks: list[KiteTick] = ticker()._parse_binary(frame)
    return ticks


def our_ticks(frame: bytes) -> list[Row]:
    return [row for row in rows_of(decode(frame)) if row.verdict >= 0]


def in_kites_form(row: Row) -> KiteTick:
    """What kiteconnect must say about this row, the exceptions applied one by one."""
    value = row.values

    def price(name: str) -> float:
        unsigned = value[name] % 2**32  # exception: negative price
        scale = value["price_scale"]
        divisor = 100.0 if scale == UNKNOWN_PRICE_SCALE else 10.0**scale  # exception: segment
        return float(unsigned / divisor)  # exception: prices

    def time(name: str) -> datetime:
        seconds = 0 if value[name] == ABSENT else value[name] // NS_PER_SECOND  # exception: time 0
        return datetime.fromtimestamp(seconds)  # exception: time

    token = value["instrument_token"]
    tick: KiteTick = {
        "tradable": is_tradable(token),
        "mode": TickMode(row.mode).name.lower(),
        "instrument_token": token,
        "last_price": price("last_price"),
    }
    if row.groups & Group.OHLC:
        tick["ohlc"] = {name: price(name) for name in ("open", "high", "low", "close")}
    if row.groups & Group.TRADE:
        tick["average_traded_price"] = price("average_price")
        tick |= {theirs: value[ours] for theirs, ours in TRADE_NAMES.items()}
    if row.groups & Group.OPEN_INTEREST:
        tick |= {name: value[name] for name in ("oi", "oi_day_high", "oi_day_low")}
        tick["last_trade_time"] = time("last_trade_time_ns")
    if row.groups & Group.DEPTH:
        tick["depth"] = {
            side: [
                {
                    "quantity": value[f"{name}_{level}_quantity"],
                    "price": price(f"{name}_{level}_price"),
                    "orders": value[f"{name}_{level}_orders"],
                }
                for level in range(5)
            ]
            for side, name in (("buy", "bid"), ("sell", "ask"))
        }
    if row.mode == TickMode.FULL:
        tick["exchange_timestamp"] = time("ts_event_ns")
    return tick


def comparable(tick: KiteTick) -> KiteTick:
    """Exceptions: change, traded in 1970."""
    assert ("change" in tick) == ("ohlc" in tick)
    kept = {name: value for name, value in tick.items() if name != "change"}
    if "last_trade_time" in kept and kept["last_trade_time"].timestamp() < SECONDS_OF_1970:
        kept["last_trade_time"] = datetime.fromtimestamp(0)
    return kept


def assert_agreement(frame: bytes) -> None:
    theirs = [comparable(tick) for tick in kite_ticks(frame)]
    assert [in_kites_form(row) for row in our_ticks(frame)] == theirs


@given(st.lists(any_packets(), max_size=6).map(encode_frame))
def test_the_same_ticks_of_every_frame(frame: bytes) -> None:
    assert len(kite_ticks(frame)) == len(rows_of(decode(frame)))
    assert_agreement(frame)


@given(whole_frames())
def test_the_same_ticks_beside_unknown_packets(frame: bytes) -> None:
    lengths = [row.end - row.start for row in rows_of(decode(frame))]
    if min(lengths, default=4) < 4:  # exception: unknown length
        with pytest.raises(struct.error):
            kite_ticks(frame)
    else:
        assert_agreement(frame)


@pytest.mark.parametrize("segment", Segment)
@pytest.mark.parametrize("kind", PacketKind)
def test_the_same_divisor_in_every_segment(kind: PacketKind, segment: Segment) -> None:
    packet = encode_packet(kind, {"instrument_token": SBIN & ~0xFF | segment, "last_price": 123456})
    assert_agreement(encode_frame([packet]))


def test_negative_price() -> None:
    frame = encode_frame(
        [encode_packet(PacketKind.LTP, {"instrument_token": SBIN, "last_price": -3700})]
    )
    assert kite_ticks(frame)[0]["last_price"] == 42949635.96
    assert our_ticks(frame)[0].values["last_price"] == -3700


def test_time_zero() -> None:
    frame = encode_frame([encode_packet(PacketKind.FULL, {"instrument_token": SBIN})])
    (tick,) = kite_ticks(frame)
    assert tick["exchange_timestamp"] == tick["last_trade_time"] == datetime.fromtimestamp(0)
    (row,) = our_ticks(frame)
    assert row.values["ts_event_ns"] == row.values["last_trade_time_ns"] == ABSENT


def test_change_and_index_change() -> None:
    fields = {"instrument_token": 256265, "last_price": 110, "close": 100, "index_change": 7}
    frame = encode_frame([encode_packet(PacketKind.INDEX_QUOTE, fields)])
    (tick,) = kite_ticks(frame)
    assert tick["change"] == pytest.approx(10.0)
    assert "index_change" not in tick
    assert our_ticks(frame)[0].values["index_change"] == 7


def test_frame_cut_short_raises_there_and_keeps_the_good_packets_here() -> None:
    ltp = encode_packet(PacketKind.LTP, {"instrument_token": SBIN, "last_price": 5})
    with pytest.raises(struct.error):
        kite_ticks(encode_frame([ltp, ltp])[:13])
    assert [row.values["last_price"] for row in our_ticks(encode_frame([ltp, ltp])[:13])] == [5]


def test_packet_cut_to_a_shorter_kind_is_a_wrong_tick_there_and_a_fault_here() -> None:
    full = encode_packet(PacketKind.FULL, {"instrument_token": SBIN, "oi": 9})
    cut = encode_frame([full])[: 4 + PacketKind.QUOTE]
    assert [tick["mode"] for tick in kite_ticks(cut)] == ["quote"]
    assert [row.verdict for row in rows_of(decode(cut))] == [Verdict.TRUNCATED]


def test_bytes_that_kiteconnect_does_not_see() -> None:
    frame = encode_frame([]) + b"more"
    assert kite_ticks(frame) == kite_ticks(b"") == kite_ticks(b"\x00") == []
    assert [row.verdict for row in rows_of(decode(frame))] == [Verdict.TRAILING_BYTES]
    assert [row.verdict for row in rows_of(decode(b""))] == [Verdict.TRUNCATED]


def test_out_of_bounds_is_a_tick_there() -> None:
    frame = encode_frame([encode_packet(PacketKind.LTP, {"instrument_token": 0})])
    assert len(kite_ticks(frame)) == 1
    assert [row.verdict for row in rows_of(decode(frame))] == [1]
