"""A recorded day: frames of the seeded market, as the bridge would have decoded them."""

from __future__ import annotations

import numpy as np

from kite_broker_zerodha.frames import decode_frames, frame_index
from kite_broker_zerodha.wire import encode_frame
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import FEED_SEQ, FEED_SESSION, TickBatch, TickMode
from kite_simulator.market import Market, cut

SESSION = 1_767_584_700_000_000_000


def recorded(
    modes: dict[int, TickMode], frames: int, *, every_ns: int = 50_000_000
) -> tuple[list[list[bytes]], TickBatch]:
    """The packets of each frame, and all ticks; a frame has every instrument, in turn one fewer."""
    market = Market(7)
    tokens = list(modes)
    market.add(tokens)
    packets = []
    for number in range(frames):
        chosen = tokens[number % len(tokens) :]
        whole = market.advance(chosen, number / 20)
        packets.append([cut(each, modes[token]) for token, each in zip(chosen, whole, strict=True)])
    wire = [encode_frame(each) for each in packets]
    ends = np.cumsum([len(each) for each in wire]).tolist()
    batch = TickBatch(sum(map(len, packets)))
    rows, first_seq = [], 0
    for number, (payload, end) in enumerate(zip(wire, ends, strict=True)):
        received = SESSION + number * every_ns
        rows.append((end - len(payload), end, received, SESSION, first_seq))
        first_seq += len(packets[number])
    decode_frames(np.frombuffer(b"".join(wire), np.uint8), frame_index(rows), batch, tick_bounds())
    assert not batch.verdict[: len(batch)].any()
    assert (batch.values[: len(batch), FEED_SESSION] == SESSION).all()
    assert batch.values[: len(batch), FEED_SEQ].tolist() == list(range(len(batch)))
    return packets, batch
