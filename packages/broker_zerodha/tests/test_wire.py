"""The encoder refuses what the wire cannot carry, and fills what is not given with zero."""

from __future__ import annotations

import pytest

from kite_broker_zerodha.errors import BrokerError, WireValueError
from kite_broker_zerodha.packets import LAYOUTS, NS_PER_SECOND, PacketKind, Wire
from kite_broker_zerodha.wire import (
    HEARTBEAT,
    encode_frame,
    encode_packet,
    encode_rows,
    field_names,
)
from kite_contracts.tick_batch import ABSENT, FIELDS, LAST_PRICE, TS_EVENT_NS, TickBatch


@pytest.mark.parametrize("kind", PacketKind)
def test_packets_have_the_length_of_their_kind(kind: PacketKind) -> None:
    assert encode_packet(kind, {}) == bytes(kind)


@pytest.mark.parametrize("kind", PacketKind)
def test_layouts_cover_their_packets_without_overlap(kind: PacketKind) -> None:
    sizes = {Wire.U32: 4, Wire.PRICE: 4, Wire.SECONDS: 4, Wire.U16: 4, Wire.MISSING: 0}
    sizes[Wire.TRADE_SECONDS] = 4
    covered = [
        byte
        for field in LAYOUTS[kind].fields
        for byte in range(field.offset, field.offset + sizes[field.wire])
    ]
    assert sorted(covered) == list(range(kind))
    columns = [field.column for field in LAYOUTS[kind].fields]
    assert columns == sorted(set(columns))


@pytest.mark.parametrize("kind", PacketKind)
def test_field_names_are_columns(kind: PacketKind) -> None:
    assert set(field_names(kind)) <= set(FIELDS)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (PacketKind.LTP, {"last_price": 2**31}, "LTP: "),
        (PacketKind.LTP, {"last_price": -(2**31) - 1}, "LTP: "),
        (PacketKind.LTP, {"instrument_token": -1}, "LTP: "),
        (PacketKind.LTP, {"instrument_token": 2**32}, "LTP: "),
        (PacketKind.FULL, {"bid_0_orders": 2**16}, "FULL: "),
        (PacketKind.FULL, {"ts_event_ns": 2**32 * NS_PER_SECOND}, "FULL: "),
        (PacketKind.FULL, {"ts_event_ns": -NS_PER_SECOND}, "FULL: "),
        (PacketKind.FULL, {"ts_event_ns": 1}, "whole seconds, not 1 ns"),
        (PacketKind.LTP, {"open": 1}, "a LTP packet does not carry open"),
        (PacketKind.FULL, {"index_change": 1}, "does not carry index_change"),
        (PacketKind.QUOTE, {"ts_event_ns": NS_PER_SECOND}, "does not carry ts_event_ns"),
        (PacketKind.LTP, {"price": 1}, "does not carry price"),
    ],
)
def test_what_the_wire_cannot_carry(kind: PacketKind, fields: dict[str, int], message: str) -> None:
    with pytest.raises(WireValueError, match=message) as error:
        encode_packet(kind, fields)
    assert isinstance(error.value, BrokerError)
    assert isinstance(error.value, ValueError)


def test_absent_times() -> None:
    assert encode_packet(PacketKind.QUOTE, {"last_trade_time_ns": ABSENT}) == bytes(44)
    assert encode_packet(PacketKind.FULL, {"last_trade_time_ns": ABSENT}) == bytes(184)


def test_frame_limits() -> None:
    assert encode_frame([]) == b"\x00\x00"
    assert len(encode_frame([b""] * 65535)) == 2 + 2 * 65535
    with pytest.raises(WireValueError, match="65536 packets in a frame"):
        encode_frame([b""] * 65536)
    with pytest.raises(WireValueError, match="65536 bytes in a packet"):
        encode_frame([bytes(65536)])


def test_row_of_no_packet_kind() -> None:
    batch = TickBatch(1)
    batch.size = 1
    batch.groups[0] = 31
    with pytest.raises(WireValueError, match="groups 31 is no packet"):
        encode_rows(batch)


def test_rows_that_the_wire_cannot_carry() -> None:
    batch = TickBatch(1)
    batch.size, batch.values[0] = 1, 0
    batch.values[0, LAST_PRICE] = 2**31
    with pytest.raises(WireValueError, match="a value of last_price does not fit"):
        encode_rows(batch)
    layout = LAYOUTS[PacketKind.INDEX_FULL]
    batch.values[0], batch.mode[0], batch.groups[0] = 0, layout.mode, layout.groups
    batch.values[0, TS_EVENT_NS] = 1
    with pytest.raises(WireValueError, match="ts_event_ns: Kite's times are whole seconds"):
        encode_rows(batch)


def test_heartbeat_is_one_byte() -> None:
    assert len(HEARTBEAT) == 1
