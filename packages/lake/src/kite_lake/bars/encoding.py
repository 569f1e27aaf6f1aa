"""Bars as Avro bytes, byte for byte what fastavro writes, as a compiled loop (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_contracts import schemas
from kite_contracts.tick_batch import ABSENT
from kite_kafka_io.framing import Framing
from kite_kafka_io.tick_loops import put_long
from kite_lake.bars.loops import (
    CLOSE,
    FLAWED,
    HIGH,
    LOW,
    OI,
    OPEN,
    OPEN_NS,
    OUT_ROW,
    OUT_SLOT,
    SCALE,
    TICKS,
    VERSION,
    VOLUME,
)
from kite_runtime.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Name = tuple[str, str]
"""Exchange and symbol."""

SOURCE: Final = "live"
_NUMBERS_BYTES: Final = 16 * 10 + 16
"""Of a record without its prefix and names, at most."""
_PRESENT: Final = 2  # branch 1 of a union, zigzag


@compiled
def _encode(
    bars: Ints,
    name_of: Ints,
    names: Bytes,
    name_ends: Ints,
    tokens: Ints,
    prefix: Bytes,
    source: Bytes,
    interval: int,
    optional: bool,
    out: Bytes,
    ends: Ints,
) -> int:
    at = 0
    for row in range(bars.shape[0]):
        bar = bars[row, OUT_SLOT:]
        for byte in prefix:
            out[at] = byte
            at += 1
        at = put_long(out, at, tokens[row])
        name = name_of[row]
        for place in range(name_ends[name - 1] if name else 0, name_ends[name]):
            out[at] = names[place]
            at += 1
        at = put_long(out, at, interval)
        at = put_long(out, at, bar[OPEN_NS])
        at = put_long(out, at, bar[SCALE])
        at = put_long(out, at, bar[OPEN])
        at = put_long(out, at, bar[HIGH])
        at = put_long(out, at, bar[LOW])
        at = put_long(out, at, bar[CLOSE])
        at = put_long(out, at, bar[VOLUME])
        if bar[OI] == ABSENT:
            out[at] = 0
            at += 1
        else:
            out[at] = _PRESENT
            at = put_long(out, at + 1, bar[OI])
        for byte in source:
            out[at] = byte
            at += 1
        out[at] = 1  # is_final
        at += 1
        if optional:
            out[at] = _PRESENT
            at += 1
        at = put_long(out, at, bar[VERSION])
        if optional:
            out[at] = _PRESENT
            at += 1
        out[at] = 0 if bar[FLAWED] else 1
        at += 1
        if optional:
            out[at] = _PRESENT
            at += 1
        at = put_long(out, at, bar[TICKS])
        ends[row] = at
    return at


class Encoded(NamedTuple):
    """Values that lie end to end in ``data``, and the token of each."""

    data: Bytes
    ends: Ints
    tokens: Ints


class BarEncoder:
    """Encodes bars of one interval."""

    def __init__(self, interval: str, framing: Framing) -> None:
        self.is_seconds = interval.startswith("s")
        subject, version = ("second_bar", 1) if self.is_seconds else ("bar", 2)
        fields = schemas.avro_schema(subject, version)["fields"]
        kind = next(each["type"] for each in fields if each["name"] == "interval")
        self._interval = kind["symbols"].index(interval)
        self._prefix = np.frombuffer(bytearray(framing.prefix(subject, version)), np.uint8)
        self._source = np.frombuffer(bytearray(_text(SOURCE)), np.uint8)
        self._names: dict[Name, bytes] = {}

    def encode(
        self, bars: Ints, tokens: Sequence[int], names: Mapping[int, Name]
    ) -> tuple[Encoded, set[int], int]:
        """The values of the bars whose instrument has a name; the tokens of the others, and how
        many bars that are. ``tokens`` are those of the bars' ``OUT_ROW``."""
        rows, name_of = np.unique(bars[:, OUT_ROW], return_inverse=True)
        of = [tokens[row] for row in rows.tolist()]
        words = [self._word(names.get(token)) for token in of]
        unnamed = {token for token, word in zip(of, words, strict=True) if not word}
        name_of, token_of = name_of.reshape(-1), np.array(of, np.int64)
        left_out = 0
        if unnamed:
            there = np.array([bool(word) for word in words])[name_of]
            left_out = len(bars) - int(np.count_nonzero(there))
            bars, name_of = bars[there], name_of[there]
        ends = np.empty(len(bars), np.int64)
        lengths = np.array([len(word) for word in words], np.int64)
        room = _NUMBERS_BYTES + len(self._prefix) + int(lengths.max(initial=0))
        out = np.empty(len(bars) * room, np.uint8)
        keys = token_of[name_of]
        end = _encode(
            np.ascontiguousarray(bars), name_of,
            np.frombuffer(bytearray(b"".join(words)) or bytearray(1), np.uint8),
            np.cumsum(lengths), keys, self._prefix, self._source, self._interval,
            not self.is_seconds, out, ends,
        )  # fmt: skip
        return Encoded(out[:end], ends, keys), unnamed, left_out

    def _word(self, name: Name | None) -> bytes:
        if name is None:
            return b""
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = _text(name[0]) + _text(name[1])
        return found


def _text(text: str) -> bytes:
    data = text.encode()
    length = np.empty(10, np.uint8)
    return length[: put_long(length, 0, len(data))].tobytes() + data
