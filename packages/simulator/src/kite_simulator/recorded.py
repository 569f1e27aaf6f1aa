"""A recorded day in place of the seeded market: what was received, as packets again. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from kite_broker_zerodha.wire import encode_rows
from kite_contracts.tick_batch import (
    FEED_SESSION,
    INSTRUMENT_TOKEN,
    TS_RECV_NS,
    TickBatch,
    TickMode,
)
from kite_simulator.market import cut

_LAST_PRICE: Final = struct.Struct(">4xi")


class RecordedFrame(NamedTuple):
    """Ticks that came in one frame, in its order; ``received_ns`` since the epoch (UTC)."""

    received_ns: int
    tokens: Sequence[int]
    packets: Sequence[bytes]


def frames_of(batches: Iterable[TickBatch]) -> Iterator[list[RecordedFrame]]:
    """The frames of each batch; its ticks are ordered by receive time, session and sequence.

    Ticks of one session with the same receive time came in one frame, which does not reach beyond
    its batch. Raises WireValueError for a tick that no packet can carry.
    """
    for batch in batches:
        size = len(batch)
        keys = batch.values[:size, [TS_RECV_NS, FEED_SESSION]]
        begins = [0, *(np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1).tolist()]
        packets = encode_rows(batch)
        tokens = batch.values[:size, INSTRUMENT_TOKEN].tolist()
        yield [
            RecordedFrame(int(keys[first, 0]), tokens[first:end], packets[first:end])
            for first, end in zip(begins, [*begins[1:], size], strict=True)
            if end > first
        ]


class RecordedMarket:
    """The last packet of each instrument that was served."""

    def __init__(self) -> None:
        self._last: dict[int, bytes] = {}

    def add(self, tokens: Sequence[int]) -> None:
        """Nothing: what is listed is what was recorded."""

    def served(self, frame: RecordedFrame) -> None:
        self._last.update(zip(frame.tokens, frame.packets, strict=True))

    def packet(self, token: int, mode: TickMode = TickMode.FULL) -> bytes | None:
        """As much of the last packet as the mode has; None before the first one."""
        last = self._last.get(token)
        return None if last is None else cut(last, mode)

    def last_price(self, token: int) -> int | None:
        """A raw integer of the wire; None before the first packet."""
        last = self._last.get(token)
        return None if last is None else int(_LAST_PRICE.unpack_from(last)[0])
