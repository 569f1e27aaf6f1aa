"""The compiled loops over Kite's packets: which of ``packet_texts``, and the numbers in it."""

from __future__ import annotations

from typing import Final

import numpy as np

from kite_broker_zerodha.packets import DEFAULT_PRICE_SCALE, PRICE_SCALES, PacketKind, Wire
from kite_dead_letters.packet_texts import FULL_EVENT_AT, INDEX_EVENT_AT, TRADED_AT, WIRES
from kite_dead_letters.text_loops import Bytes, Word, put_number
from kite_kafka_io.librdkafka.memory import byte_at
from kite_runtime.compiled import compiled

_SCALES: Final = np.array(
    [PRICE_SCALES.get(segment, DEFAULT_PRICE_SCALE) for segment in range(256)], np.int64
)
_U16: Final = int(Wire.U16)
_PRICE: Final = int(Wire.PRICE)
_SECONDS: Final = int(Wire.SECONDS)
_LTP: Final = int(PacketKind.LTP)
_INDEX_QUOTE: Final = int(PacketKind.INDEX_QUOTE)
_INDEX_FULL: Final = int(PacketKind.INDEX_FULL)
_QUOTE: Final = int(PacketKind.QUOTE)
_FULL: Final = int(PacketKind.FULL)
_NS_DIGITS: Final = 9
_SIGN: Final = 1 << 31
_WRAP: Final = 1 << 32


@compiled
def packet_form(value: Word, count: Word) -> Word:
    """The position in ``packet_texts.FORMS``; -1 for lengths that are none of Kite's."""
    if count == _LTP:
        return 0
    if count == _INDEX_QUOTE:
        return 1
    if count == _INDEX_FULL:
        return 2 + (_word_at(value + INDEX_EVENT_AT) != 0)
    if count == _QUOTE:
        return 4
    if count == _FULL:
        traded = _word_at(value + TRADED_AT) != 0
        return 5 + 2 * traded + (_word_at(value + FULL_EVENT_AT) != 0)
    return -1


@compiled
def price_scale(value: Word) -> Word:
    """The scale of a packet's prices, by the segment in its token."""
    return _SCALES[byte_at(value + 3)]


@compiled
def put_field(out: Bytes, used: Word, value: Word, source: Word) -> Word:
    """Put a field of the packet at ``value``, ``source`` being that of its step."""
    at, wire = value + source // WIRES, source % WIRES
    if wire == _U16:
        return put_number(out, used, byte_at(at) << 8 | byte_at(at + 1))
    word = _word_at(at)
    if wire == _PRICE and word >= _SIGN:
        out[used] = 45
        return put_number(out, used + 1, _WRAP - word)
    used = put_number(out, used, word)
    if wire == _SECONDS:
        for index in range(_NS_DIGITS):
            out[used + index] = 48
        used += _NS_DIGITS
    return used


@compiled
def _word_at(at: Word) -> Word:
    return byte_at(at) << 24 | byte_at(at + 1) << 16 | byte_at(at + 2) << 8 | byte_at(at + 3)
