"""Frames into rows: every packet kind and segment, every documented fault, and the oracle."""

from __future__ import annotations

import random

import numpy as np
import pytest
from decoding import FEED_SESSION, FIRST_SEQ, TS_RECV_NS, bounds, decode, expected, rows_of
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha import decode_loops, frames
from kite_broker_zerodha.errors import BatchTooSmall, FrameIndexError
from kite_broker_zerodha.packets import (
    LAYOUTS,
    MAX_FRAME_ROWS,
    NS_PER_SECOND,
    PacketKind,
    Segment,
    is_tradable,
    price_scale_of,
)
from kite_broker_zerodha.testing import any_frames, good_frames, packet_fields
from kite_broker_zerodha.testing.fuzzing import random_packet
from kite_broker_zerodha.wire import encode_frame, encode_packet, encode_rows
from kite_contracts.tick_batch import (
    ABSENT,
    FIELDS,
    LAST_PRICE,
    Group,
    TickBatch,
    TickMode,
    Verdict,
)

NIFTY_50 = 256265
SBIN = 779521

# One packet of each kind as Kite would send it, written out by hand from its documentation.
LTP = bytes.fromhex("000be501 00010932")
INDEX_QUOTE = bytes.fromhex("0003e909 00231860 00232000 00230000 00231000 00231500 00000360")
INDEX_FULL = INDEX_QUOTE + bytes.fromhex("6553f100")
QUOTE = bytes.fromhex(
    "000be501 00010932 0000000a 00010900 ffffffff 00000014 0000001e"
    "00010800 00011000 00010700 00010850"
)
FULL = (
    QUOTE
    + bytes.fromhex("6553f0ff 00000064 000000c8 00000032 6553f100")
    + b"".join(
        bytes.fromhex("000001f4") + (67889 - step).to_bytes(4, "big") + bytes.fromhex("ffff aaaa")
        for step in range(10)
    )
)


def only_row(packet: bytes) -> dict[str, int]:
    (row,) = rows_of(decode(encode_frame([packet])))
    assert row.verdict == Verdict.OK
    return row.values | {"mode": row.mode, "groups": row.groups}


def header(token: int, last_price: int, ts_event_ns: int = ABSENT) -> dict[str, int]:
    return {
        "instrument_token": token,
        "ts_recv_ns": TS_RECV_NS,
        "ts_event_ns": ts_event_ns,
        "feed_session": FEED_SESSION,
        "feed_seq": FIRST_SEQ,
        "price_scale": 2,
        "last_price": last_price,
    }


TRADE = {
    "last_quantity": 10,
    "average_price": 67840,
    "volume_day": 2**32 - 1,
    "total_buy_quantity": 20,
    "total_sell_quantity": 30,
    "last_trade_time_ns": ABSENT,
}
OHLC = {"open": 67584, "high": 69632, "low": 67328, "close": 67664}
INDEX = {"high": 2301952, "low": 2293760, "open": 2297856, "close": 2299136, "index_change": 864}


def test_ltp_packet() -> None:
    assert only_row(LTP) == header(SBIN, 67890) | {"mode": TickMode.LTP, "groups": Group.NONE}


def test_index_packets_have_high_and_low_before_open() -> None:
    groups = {"groups": Group.OHLC | Group.INDEX}
    quote = header(NIFTY_50, 2300000) | INDEX | groups | {"mode": TickMode.QUOTE}
    assert only_row(INDEX_QUOTE) == quote
    full = header(NIFTY_50, 2300000, 1_700_000_000 * NS_PER_SECOND) | INDEX | groups
    assert only_row(INDEX_FULL) == full | {"mode": TickMode.FULL}


def test_quote_packet_has_no_times() -> None:
    groups = {"mode": TickMode.QUOTE, "groups": Group.OHLC | Group.TRADE}
    assert only_row(QUOTE) == header(SBIN, 67890) | OHLC | TRADE | groups


def test_full_packet() -> None:
    depth: dict[str, int] = {}
    for step in range(10):
        name = f"{'bid' if step < 5 else 'ask'}_{step % 5}"
        depth |= {f"{name}_price": 67889 - step, f"{name}_quantity": 500, f"{name}_orders": 65535}
    assert only_row(FULL) == (
        header(SBIN, 67890, 1_700_000_000 * NS_PER_SECOND)
        | OHLC
        | TRADE
        | {"last_trade_time_ns": 1_699_999_999 * NS_PER_SECOND}
        | {"oi": 100, "oi_day_high": 200, "oi_day_low": 50}
        | depth
        | {"mode": TickMode.FULL, "groups": 31 & ~Group.INDEX}
    )


@pytest.mark.parametrize("kind", PacketKind)
def test_all_columns_of_a_kind_are_in_its_groups(kind: PacketKind) -> None:
    values = only_row(random_packet(kind, random.Random(kind)))
    carried = {field.name for field in LAYOUTS[kind].fields}
    stamped = {"ts_recv_ns", "feed_session", "feed_seq", "price_scale", "mode", "groups"}
    assert values.keys() == carried | stamped


@pytest.mark.parametrize(
    ("segment", "scale"),
    [(segment, {"CDS": 7, "BCD": 4, "NCO": 4}.get(segment.name, 2)) for segment in Segment],
)
def test_segment_decides_the_price_scale(segment: int, scale: int) -> None:
    token = 12345 << 8 | segment
    assert price_scale_of(token) == scale
    for kind in PacketKind:
        packet = encode_packet(kind, {"instrument_token": token, "last_price": 1})
        assert only_row(packet)["price_scale"] == scale


@pytest.mark.parametrize("segment", [0, 10, 11, 13, 255])
def test_a_segment_that_kite_does_not_document_has_no_scale_and_is_no_tick(segment: int) -> None:
    packet = encode_packet(PacketKind.LTP, {"instrument_token": 12345 << 8 | segment})
    (row,) = rows_of(decode(encode_frame([packet])))
    assert row.verdict == 1 + FIELDS.index("price_scale")
    assert row.values["instrument_token"] == 12345 << 8 | segment


@pytest.mark.parametrize(
    ("seconds", "traded_s"),
    [(0, None), (1, None), (19_800, None), (31_535_999, None), (31_536_000, 31_536_000)],
)
def test_an_instrument_that_traded_in_1970_never_did(seconds: int, traded_s: int | None) -> None:
    fields = {"instrument_token": SBIN, "ts_event_ns": 1_700_000_000 * NS_PER_SECOND}
    packet = bytearray(encode_packet(PacketKind.FULL, fields))
    packet[44:48] = seconds.to_bytes(4, "big")
    row = only_row(bytes(packet))
    assert row["last_trade_time_ns"] == (ABSENT if traded_s is None else traded_s * NS_PER_SECOND)


def test_only_indices_are_not_tradable() -> None:
    assert not is_tradable(NIFTY_50)
    assert all(is_tradable(1 << 8 | s) for s in Segment if s is not Segment.INDICES)


def test_length_decides_the_kind_even_against_the_segment() -> None:
    index_in_full = encode_packet(PacketKind.FULL, {"instrument_token": NIFTY_50, "open": 7})
    assert only_row(index_in_full)["open"] == 7
    tradable_in_index = encode_packet(
        PacketKind.INDEX_FULL, {"instrument_token": SBIN, "index_change": -1}
    )
    assert only_row(tradable_in_index)["index_change"] == -1


@pytest.mark.parametrize("price", [-(2**31), -3700, -1, 0, 1, 2**31 - 1])
def test_prices_are_signed(price: int) -> None:
    for kind in PacketKind:
        packet = encode_packet(kind, {"instrument_token": SBIN, "last_price": price})
        assert only_row(packet)["last_price"] == price


def verdicts(frame: bytes) -> list[tuple[int, int, int]]:
    return [(row.verdict, row.start, row.end) for row in rows_of(decode(frame))]


GOOD = (Verdict.OK, 4, 12)


@pytest.mark.parametrize(
    ("frame", "rows"),
    [
        pytest.param(b"", [(Verdict.TRUNCATED, 0, 0)], id="nothing"),
        pytest.param(b"\x00", [(Verdict.TRUNCATED, 0, 1)], id="half a counter"),
        pytest.param(b"\x00\x00", [], id="no packets"),
        pytest.param(encode_frame([LTP]), [GOOD], id="good"),
        pytest.param(encode_frame([LTP])[:-1], [(Verdict.TRUNCATED, 2, 11)], id="packet cut"),
        pytest.param(
            encode_frame([LTP, LTP])[:13], [GOOD, (Verdict.TRUNCATED, 12, 13)], id="length cut"
        ),
        pytest.param(
            b"\xff\xff" + encode_frame([LTP])[2:],
            [GOOD, (Verdict.TRUNCATED, 12, 12)],
            id="announces more than there is",
        ),
        pytest.param(
            b"\x00\x01" + encode_frame([LTP, LTP])[2:],
            [GOOD, (Verdict.TRAILING_BYTES, 12, 22)],
            id="announces fewer than there are",
        ),
        pytest.param(
            encode_frame([LTP]) + b"\x00", [GOOD, (Verdict.TRAILING_BYTES, 12, 13)], id="trailing"
        ),
        pytest.param(b"\x00\x00\x07", [(Verdict.TRAILING_BYTES, 2, 3)], id="trailing alone"),
        pytest.param(
            encode_frame([LTP, LTP[:7], LTP]),
            [GOOD, (Verdict.UNKNOWN_PACKET, 14, 21), (Verdict.OK, 23, 31)],
            id="unknown length",
        ),
        pytest.param(
            encode_frame([LTP, b"", LTP]),
            [GOOD, (Verdict.UNKNOWN_PACKET, 14, 14), (Verdict.OK, 16, 24)],
            id="length zero",
        ),
        pytest.param(
            encode_frame([LTP, bytes(65535), LTP]),
            [GOOD, (Verdict.UNKNOWN_PACKET, 14, 65549), (Verdict.OK, 65551, 65559)],
            id="longest unknown",
        ),
    ],
)
def test_faults_keep_the_good_packets(frame: bytes, rows: list[tuple[int, int, int]]) -> None:
    assert verdicts(frame) == rows
    assert [(row.verdict, row.start, row.end) for row in expected(frame)] == rows


def test_value_out_of_bounds_names_its_first_column_and_is_kept() -> None:
    token_zero = encode_packet(PacketKind.LTP, {"instrument_token": 0, "last_price": 5})
    (row,) = rows_of(decode(encode_frame([token_zero])))
    assert row.verdict == 1 + FIELDS.index("instrument_token")
    assert row.values["last_price"] == 5
    too_early = encode_packet(
        PacketKind.FULL, {"instrument_token": SBIN, "ts_event_ns": NS_PER_SECOND, "oi": 9}
    )
    (row,) = rows_of(decode(encode_frame([too_early])))
    assert row.verdict == 1 + FIELDS.index("ts_event_ns")
    assert row.values["oi"] == 9


@given(any_frames(), st.binary(max_size=8), st.binary(max_size=8))
def test_compiled_equals_reference(frame: bytes, before: bytes, after: bytes) -> None:
    batch = decode(frame, before=before, after=after)
    assert rows_of(batch, frame_start=len(before)) == expected(frame)
    assert len(batch) == frames.count_slots(frame)


@given(good_frames())
def test_good_frames_encode_to_the_same_bytes(frame: bytes) -> None:
    batch = decode(frame)
    assert not batch.verdict[: len(batch)].any()
    packets = encode_rows(batch)
    # Padding and the two bytes after an order count are zero in frames of this encoder.
    assert encode_frame(packets) == frame


@given(st.data(), st.sampled_from(PacketKind))
def test_fields_survive_the_wire(data: st.DataObject, kind: PacketKind) -> None:
    fields = data.draw(packet_fields(kind))
    values = only_row(encode_packet(kind, fields))
    assert {name: values[name] for name in fields} == fields


@given(st.lists(any_frames(3), max_size=8), st.integers(0, 6))
def test_frames_that_do_not_fit_wait(many: list[bytes], spare: int) -> None:
    slots = [frames.count_slots(frame) for frame in many]
    batch = TickBatch(max([1, *slots]) + spare)
    buffer = np.frombuffer(b"".join(many), np.uint8)
    ends = np.cumsum([0] + [len(frame) for frame in many])
    seqs = np.cumsum([0, *slots])
    rows = [(ends[i], ends[i + 1], TS_RECV_NS, FEED_SESSION, seqs[i]) for i in range(len(many))]
    index = frames.frame_index(rows)
    done, seen = 0, []
    while done < len(many):
        taken = frames.decode_frames(buffer, index[done:], batch, bounds())
        assert taken > 0
        assert len(batch) == sum(slots[done : done + taken])
        rest = slots[done + taken : done + taken + 1]
        assert not rest or len(batch) + rest[0] > batch.capacity
        seen += batch.column("feed_seq").tolist()
        done += taken
    assert seen == list(range(sum(slots)))


def test_exact_fit_and_one_short() -> None:
    frame = encode_frame([LTP] * 3)
    buffer = np.frombuffer(frame * 2, np.uint8)
    size = len(frame)
    index = frames.frame_index([(0, size, 1, 2, 0), (size, 2 * size, 1, 2, 3)])
    for capacity, taken in ((6, 2), (5, 1), (3, 1)):
        batch = TickBatch(capacity)
        assert frames.decode_frames(buffer, index, batch, bounds()) == taken
        assert len(batch) == 3 * taken
    with pytest.raises(BatchTooSmall, match="3 rows, the batch has 2") as error:
        frames.decode_frames(buffer, index, TickBatch(2), bounds())
    assert (error.value.needed, error.value.capacity) == (3, 2)


def test_the_largest_frame_fits_the_documented_capacity() -> None:
    frame = b"\xff\xff" + bytes(2 * 65535) + b"!"
    assert frames.count_slots(frame) == MAX_FRAME_ROWS
    batch = decode(frame)
    assert len(batch) == MAX_FRAME_ROWS
    assert set(batch.verdict[:65535].tolist()) == {Verdict.UNKNOWN_PACKET}
    assert batch.verdict[65535] == Verdict.TRAILING_BYTES


def test_no_frames_empty_the_batch() -> None:
    batch = decode(encode_frame([LTP]))
    assert frames.decode_frames(np.zeros(0, np.uint8), frames.frame_index([]), batch, bounds()) == 0
    assert len(batch) == 0


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 11), (11, 11), (0, 2**62)])
def test_frame_outside_the_buffer(start: int, end: int) -> None:
    index = frames.frame_index([(0, 2, 0, 0, 0), (start, end, 0, 0, 0)])
    batch = TickBatch(4)
    with pytest.raises(FrameIndexError, match=f"from {start} to {end} in 10 bytes"):
        frames.decode_frames(np.zeros(10, np.uint8), index, batch, bounds())
    assert len(batch) == 0


@pytest.mark.parametrize(
    ("buffer", "index"),
    [
        (np.zeros(4, np.int8), np.zeros((1, 5), np.int64)),
        (np.zeros(8, np.uint8)[::2], np.zeros((1, 5), np.int64)),
        (np.zeros((2, 2), np.uint8), np.zeros((1, 5), np.int64)),
        (np.zeros(4, np.uint8), np.zeros((1, 4), np.int64)),
        (np.zeros(4, np.uint8), np.zeros(5, np.int64)),
        (np.zeros(4, np.uint8), np.zeros((1, 5), np.int32)),
        (np.zeros(4, np.uint8), np.zeros((5, 1), np.int64).T[:, ::-1]),
    ],
)
def test_arrays_of_another_kind(buffer: np.ndarray, index: np.ndarray) -> None:
    with pytest.raises(FrameIndexError):
        frames.decode_frames(buffer, index, TickBatch(1), bounds())


def test_rows_of_an_earlier_frame_leave_no_trace() -> None:
    batch = TickBatch(1)
    for frame in (encode_frame([FULL]), b"", encode_frame([LTP]), encode_frame([b"?"])):
        index = frames.frame_index([(0, len(frame), TS_RECV_NS, FEED_SESSION, FIRST_SEQ)])
        frames.decode_frames(np.frombuffer(frame, np.uint8), index, batch, bounds())
        assert rows_of(batch) == expected(frame)
    assert batch.values[0, LAST_PRICE] == 0


def test_warm_up_leaves_nothing_to_compile() -> None:
    def compiled() -> list[int]:
        loops = (decode_loops.decode, decode_loops.count_slots)
        return [len(getattr(loop, "signatures", ())) for loop in loops]

    frames.warm_up()
    before = compiled()
    frame = encode_frame([FULL])
    index = frames.frame_index([(0, len(frame), TS_RECV_NS, FEED_SESSION, FIRST_SEQ)])
    for data in (frame, bytearray(frame)):
        frames.decode_frames(np.frombuffer(data, np.uint8), index, TickBatch(1), bounds())
    decode(frame)
    assert compiled() == before
