"""Packets as Tick records: what the decoder makes of them, column by column."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.frames import decode_frames, frame_index
from kite_broker_zerodha.packet_records import packet_record
from kite_broker_zerodha.testing import UNKNOWN_LENGTHS, any_packets
from kite_broker_zerodha.wire import encode_frame
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import TickBatch
from kite_contracts.tick_rows import tick_record


@given(packet=any_packets(), session=st.integers(0, 2**62), seq=st.integers(0, 2**62))
def test_a_packet_is_the_record_of_its_row(packet: bytes, session: int, seq: int) -> None:
    frame = encode_frame([packet])
    batch = TickBatch(1)
    index = frame_index([(0, len(frame), 77, session, seq)])
    decode_frames(np.frombuffer(frame, np.uint8), index, batch, tick_bounds())
    wanted = tick_record(batch, 0)
    found = packet_record(packet, feed_session=session, feed_seq=seq, ts_recv_ns=77)
    assert found == wanted
    assert list(found or ()) == list(wanted)


@given(UNKNOWN_LENGTHS.flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_other_lengths_are_no_packet(data: bytes) -> None:
    assert packet_record(data) is None
