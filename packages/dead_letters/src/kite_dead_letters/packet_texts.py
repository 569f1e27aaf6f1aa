"""The JSON of Kite's packets as texts with places for numbers, for a compiled loop (pure).

``packet_records.packet_json`` decides what the JSON is. Here it is asked once for each form, about
a packet whose numbers are all different, and each number that it wrote is looked up: so there is
one description of the JSON, and it is not here. A property test holds the loop to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.packet_records import packet_json
from kite_broker_zerodha.packets import (
    DEFAULT_PRICE_SCALE,
    LAYOUTS,
    NS_PER_SECOND,
    PacketKind,
    Wire,
)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

NOTHING: Final = -1
SESSION: Final = -2
SEQ: Final = -3
RECEIVED: Final = -4
SCALE: Final = -5
WIRES: Final = 8
"""A source that is not negative is a field: its offset times this, and how it is written."""

TRADED_AT: Final = 44
FULL_EVENT_AT: Final = 60
INDEX_EVENT_AT: Final = 28
FORMS: Final = (
    (PacketKind.LTP, ()),
    (PacketKind.INDEX_QUOTE, ()),
    (PacketKind.INDEX_FULL, (INDEX_EVENT_AT,)),
    (PacketKind.INDEX_FULL, ()),
    (PacketKind.QUOTE, ()),
    (PacketKind.FULL, (TRADED_AT, FULL_EVENT_AT)),
    (PacketKind.FULL, (TRADED_AT,)),
    (PacketKind.FULL, (FULL_EVENT_AT,)),
    (PacketKind.FULL, ()),
)
"""The texts: the kind, and which of its times are absent."""

_STAMPS: Final = {SESSION: 7 * 10**18 + 1, SEQ: 7 * 10**18 + 2, RECEIVED: 7 * 10**18 + 3}
_FIRST: Final = {Wire.U32: 3 * 10**9, Wire.PRICE: 2 * 10**9, Wire.U16: 5 * 10**4}
_FIRST_SECOND: Final = 15 * 10**8
_SIZES: Final = {Wire.U32: 4, Wire.PRICE: 4, Wire.U16: 2, Wire.SECONDS: 4}
_NUMBER: Final = re.compile(rb"(?<=:)([0-9]+)")


@dataclass(frozen=True)
class PacketTexts:
    """``steps`` of form f are those from ``starts[f]`` up to ``starts[f + 1]``: a piece of ``text``
    (from, to) and the source of the number behind it."""

    text: Bytes
    steps: Ints
    starts: Ints
    longest: int
    """No packet's JSON has more bytes."""


@cache
def packet_texts() -> PacketTexts:
    """All forms, in the order of ``FORMS``."""
    text = bytearray()
    steps: list[tuple[int, int, int]] = []
    starts = [0]
    longest = 0
    for kind, absent in FORMS:
        for piece, source in _pieces(kind, absent):
            steps.append((len(text), len(text) + len(piece), source))
            text += piece
        size = sum(last - first + 20 for first, last, _ in steps[starts[-1] :])
        longest = max(longest, size)
        starts.append(len(steps))
    return PacketTexts(
        np.frombuffer(bytes(text), np.uint8),
        np.array(steps, np.int64),
        np.array(starts, np.int64),
        longest,
    )


def _pieces(kind: PacketKind, absent: tuple[int, ...]) -> Iterator[tuple[bytes, int]]:
    packet = bytearray(kind)
    sources = {_STAMPS[stamp]: stamp for stamp in _STAMPS}
    sources[DEFAULT_PRICE_SCALE] = SCALE
    for number, field in enumerate(LAYOUTS[kind].fields):
        if field.wire == Wire.MISSING or field.offset in absent and field.wire == Wire.SECONDS:
            continue
        value = _FIRST.get(field.wire, _FIRST_SECOND) + number
        size = _SIZES[field.wire]
        packet[field.offset : field.offset + size] = value.to_bytes(size, "big")
        shown = value * NS_PER_SECOND if field.wire == Wire.SECONDS else value
        sources[shown] = field.offset * WIRES + field.wire
    found = packet_json(
        bytes(packet),
        feed_session=_STAMPS[SESSION],
        feed_seq=_STAMPS[SEQ],
        ts_recv_ns=_STAMPS[RECEIVED],
    )
    assert found is not None
    pieces = _NUMBER.split(found)
    for text, shown_text in zip(pieces[::2], [*pieces[1::2], None], strict=True):
        yield text, NOTHING if shown_text is None else sources[int(shown_text)]
