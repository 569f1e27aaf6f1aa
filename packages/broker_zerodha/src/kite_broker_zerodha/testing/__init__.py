"""Hypothesis strategies for Kite packets and frames, shared by the tests of every package."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from kite_broker_zerodha.packets import (
    LAYOUTS,
    NS_PER_SECOND,
    SECONDS_OF_1970,
    PacketKind,
    Segment,
    Wire,
)
from kite_broker_zerodha.testing.fuzzing import EXCHANGE_EPOCH_S, mutate
from kite_broker_zerodha.wire import encode_frame, encode_packet
from kite_contracts.tick_batch import ABSENT

KINDS: Final = st.sampled_from(PacketKind)
UNKNOWN_LENGTHS: Final = st.integers(0, 300).filter(lambda n: n not in set(PacketKind))

_WIRE_VALUES: Final = {
    Wire.U32: st.integers(0, 2**32 - 1),
    Wire.PRICE: st.integers(-(2**31), 2**31 - 1),
    Wire.U16: st.integers(0, 2**16 - 1),
    Wire.SECONDS: st.one_of(
        st.just(ABSENT), st.integers(1, 2**32 - 1).map(lambda seconds: seconds * NS_PER_SECOND)
    ),
    Wire.TRADE_SECONDS: st.one_of(
        st.just(ABSENT),
        st.integers(SECONDS_OF_1970, 2**32 - 1).map(lambda seconds: seconds * NS_PER_SECOND),
    ),
}
_EVENT_TIMES: Final = st.one_of(
    st.just(ABSENT),
    st.integers(EXCHANGE_EPOCH_S, 2**32 - 1).map(lambda seconds: seconds * NS_PER_SECOND),
)


def tokens() -> st.SearchStrategy[int]:
    """Instrument tokens of every known segment."""
    own, segments = st.integers(1, 2**24 - 1), st.sampled_from(Segment)
    return st.builds(lambda own, segment: own << 8 | segment, own, segments)


def packet_fields(kind: PacketKind) -> st.SearchStrategy[dict[str, int]]:
    """Fields of a good packet, for ``wire.encode_packet``: any value that the contract takes."""
    fields = {
        field.name: _WIRE_VALUES[field.wire]
        for field in LAYOUTS[kind].fields
        if field.wire is not Wire.MISSING
    }
    fields["instrument_token"] = tokens()
    if "ts_event_ns" in fields:
        fields["ts_event_ns"] = _EVENT_TIMES
    return st.fixed_dictionaries(fields)


def good_packets() -> st.SearchStrategy[bytes]:
    """Packets of all kinds that decode to good ticks."""
    return KINDS.flatmap(
        lambda kind: packet_fields(kind).map(lambda fields: encode_packet(kind, fields))
    )


def any_packets() -> st.SearchStrategy[bytes]:
    """Packets of a known length with any bytes in them; some break the contract's bounds."""
    return st.one_of(
        good_packets(), KINDS.flatmap(lambda kind: st.binary(min_size=kind, max_size=kind))
    )


def good_frames(max_packets: int = 6) -> st.SearchStrategy[bytes]:
    """Whole frames of good ticks, an empty one among them."""
    return st.lists(good_packets(), max_size=max_packets).map(encode_frame)


def whole_frames(max_packets: int = 6) -> st.SearchStrategy[bytes]:
    """Frames whose counters are right, with packets of known and of unknown lengths."""
    unknown = UNKNOWN_LENGTHS.flatmap(lambda size: st.binary(min_size=size, max_size=size))
    return st.lists(st.one_of(any_packets(), unknown), max_size=max_packets).map(encode_frame)


def broken_frames(max_packets: int = 6) -> st.SearchStrategy[bytes]:
    """Bytes in which something is wrong, or was meant to be: cut, announced, appended, random."""
    frames = whole_frames(max_packets)
    cut = st.tuples(frames, st.integers(0, 1200)).map(lambda pair: pair[0][: pair[1]])
    announced = st.tuples(st.integers(0, 2**16 - 1), frames).map(
        lambda pair: pair[0].to_bytes(2, "big") + pair[1][2:]
    )
    appended = st.tuples(frames, st.binary(min_size=1, max_size=40)).map(b"".join)
    mutated = st.tuples(frames, st.randoms(use_true_random=False)).map(
        lambda pair: mutate(pair[0], pair[1])
    )
    return st.one_of(cut, announced, appended, mutated, st.binary(max_size=400))


def any_frames(max_packets: int = 6) -> st.SearchStrategy[bytes]:
    """Every kind of frame above."""
    return st.one_of(whole_frames(max_packets), broken_frames(max_packets))
